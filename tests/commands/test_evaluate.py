"""`evaluate` reads labels by the model's rule and by its classes' names, and never by an index of another scheme."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from safetensors.numpy import load_file, save_file

from hf_sentiment.commands.evaluate import evaluate
from hf_sentiment.commands.predict import predict
from hf_sentiment.data.labels import infer_label_rule
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.records.schema import Estimate, Measurement

Save = Callable[..., str]
Write = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path, make_tiny: Any, tiny_tokenizer: Any) -> Save:
    """`save(values, **options)`: a model with the rule of a training column."""

    def make(values: list[Any], labels: tuple[str, ...] | None = None, **options: Any) -> str:
        rule = infer_label_rule(values, **options) if labels is None else None
        names = list(labels or rule.labels)
        maps = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
        folder = tmp_path / "model"
        make_tiny(**maps, label_rule=None if rule is None else rule.to_dict()).save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(labels)`: a CSV file with a good film for each label."""

    def make(labels: list[Any]) -> str:
        path = tmp_path / "test.csv"
        rows = [f"the film number {i} is good,{label}" for i, label in enumerate(labels)]
        path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
        return str(path)

    return make


def counts(report: Measurement) -> dict[str, int]:
    return {row.label: row.texts for row in report.per_class}


@pytest.mark.parametrize(
    ("trained", "options", "tested", "expected"),
    [
        ([0, 1], {}, ["negative", "Positive", "POS"], {"negative": 1, "positive": 2}),
        ([0, 1], {"labels": ["ham", "Spam"]}, ["Ham", "spam", " SPAM "], {"ham": 1, "Spam": 2}),
        ([1, 2, 4, 5, 5], {}, ["neg", "neutral", "pos", "pos"], {"negative": 1, "positive": 2}),
        ([0, 1, "neg", "pos"], {}, ["true", 1, "FALSE"], {"negative": 1, "positive": 2}),
        (["neg", "pos"], {}, [0, 1, 1], {"negative": 1, "positive": 2}),
        (["neg", "pos"], {}, [1, 3, 5, 5, 4], {"negative": 1, "positive": 3}),
        (["LABEL_0", "LABEL_1"], {"labels": ["bad", "good"]}, ["LABEL_1", "label_1", "LABEL_0"], {"bad": 1, "good": 2}),
    ],
)
def test_a_model_knows_its_classes_by_name(save, write, trained, options, tested, expected):
    assert counts(evaluate(save(trained, **options), test_file=write(tested))) == expected


def test_unknown_labels_are_named_with_what_is_known(save, write):
    model = save([0, 1])
    for labels, message in (
        (["positive", 0, "2"], r"row 4: unknown label '2' \(known: 0, 1, negative, positive\)"),
        (["positive", 0, "#N/A"], r"row 4: no label \('#N/A'\)"),
        (["positive", "None", 1], r"row 3: no label \('None'\)"),
    ):
        with pytest.raises(DataError, match=message):
            evaluate(model, test_file=write(labels))


def test_indices_are_not_read_beside_names_of_another_order(save, write):
    with pytest.raises(DataError, match="unknown label '0'"):
        evaluate(save(["pos", "neg"], label_names=["pos", "neg"]), test_file=write([0, 1]))


def test_class_labels_of_the_test_file_are_its_own(save, tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["positive", "negative"])})
    path = tmp_path / "test.parquet"
    Dataset.from_dict({"text": ["a film", "a book", "the cast"], "label": [0, 0, 1]}, features).to_parquet(path)
    for values in ([0, 1], ["neg", "pos"]):
        report = evaluate(save(values), test_file=str(path))
        assert counts(report) == {"negative": 1, "positive": 2}


def test_a_model_without_a_rule_is_read_by_its_names(save, write, caplog):
    model = save([], labels=("POSITIVE", "NEGATIVE"))
    assert counts(evaluate(model, test_file=write(["pos", "neg", "neg"]))) == {"POSITIVE": 1, "NEGATIVE": 2}
    with caplog.at_level(logging.INFO):
        assert counts(evaluate(model, test_file=write([0, 0, 1]))) == {"POSITIVE": 2, "NEGATIVE": 1}
    assert any("0 -> POSITIVE; 1 -> NEGATIVE" in message for message in caplog.messages)
    with pytest.raises(CallError, match=r"none of the model's labels POSITIVE,NEGATIVE is in .* joy, rage"):
        evaluate(model, test_file=write(["joy", "rage"]))


NOUNS, ADJECTIVES = ("film", "book", "plot", "cast"), ("good", "bad", "dull", "fine")
TEXTS = [f"- the {noun} was {adjective}" for noun in NOUNS for adjective in ADJECTIVES]
LABELS = ["pos", "neg", "neg", "pos"] * 4


@pytest.fixture
def test_file(tmp_path: Path) -> str:
    """Sixteen labelled texts with a column of another kind."""
    return table(tmp_path / "test.csv", {"text": TEXTS, "stars": LABELS, "shop": ["here", "there"] * 8})


def table(path: Path, columns: dict[str, list[Any]]) -> str:
    frame = pd.DataFrame(columns)
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False)
    return str(path)


def predictions(model: str, **columns: list[Any]) -> dict[str, list[Any]]:
    """Columns `p_LABEL` of the texts, beside others."""
    scores = [row["scores"] for row in SentimentClassifier.from_pretrained(model).predict(TEXTS)]
    assert all(scores)
    return columns | {f"p_{label}": [row[label] for row in scores] for label in ("negative", "positive")}


def figures(report: Measurement) -> list[float]:
    return [report.model.accuracy.value, report.model.macro_f1.value, report.model.log_loss.value]


def test_the_file_of_a_models_probabilities_is_as_good_as_the_model(save, test_file, tmp_path):
    model = save([0, 1])
    options = {"test_file": test_file, "label_column": "stars"}
    expected = pytest.approx(figures(evaluate(model, **options)), abs=1e-5)
    columns = predictions(model)
    by_order = table(tmp_path / "order.csv", columns)
    bare = table(tmp_path / "bare.csv", {name[2:].upper(): values for name, values in columns.items()})
    backwards = {name: values[::-1] for name, values in predictions(model, text=TEXTS).items()}
    by_text = table(tmp_path / "text.csv", {name: [*values, values[0]] for name, values in backwards.items()})
    scores = [{"positive": p, "negative": 1 - p} for p in columns["p_positive"]]
    nested = table(tmp_path / "scores.jsonl", {"scores": scores})
    for file in (by_order, bare, by_text, nested):
        assert figures(evaluate(probabilities=file, **options)) == expected, file
    alone = table(tmp_path / "alone.csv", predictions(model, text=TEXTS, stars=LABELS))
    assert figures(evaluate(probabilities=alone, label_column="stars")) == expected
    # As `predict` writes them: the texts and the given labels come back.
    predict(model, test_file, output=str(tmp_path / "written.csv"))
    written = str(tmp_path / "written.csv")
    assert figures(evaluate(probabilities=written, label_column="stars")) == expected
    assert figures(evaluate(probabilities=written, **options)) == expected  # with a ' before each text
    with pytest.raises(CallError, match="its column label is what was predicted"):
        evaluate(probabilities=written, label_column="label")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p_positive": [0.5] * 15 + [0.7], "p_negative": [0.5] * 16}, r"row 17: its probabilities sum to 1\.2"),
        ({"p_positive": [None] + [0.5] * 15}, "row 2: p_positive is '': write a probability"),
        ({"p_positive": ["high"] + [0.5] * 15}, "row 2: p_positive is 'high': write a probability"),
        ({"p_positive": [1.5] + [0.5] * 15, "p_negative": [-0.5] + [0.5] * 15}, "row 2: p_negative is '-0.5'"),
        ({"text": ["another text", *TEXTS[1:]]}, r"test\.csv, row 2: its text is not in .*probabilities\.csv"),
    ],
)
def test_probabilities_that_are_none_are_named(save, test_file, tmp_path, changes, message):
    half = {"p_negative": [0.5] * 16, "p_positive": [0.5] * 16}
    file = table(tmp_path / "probabilities.csv", half | changes)
    with pytest.raises((CallError, DataError), match=message) as raised:
        evaluate(probabilities=file, test_file=test_file, label_column="stars")
    assert "\n" not in str(raised.value)


def own_columns(names: list[str], value: float = 0.25) -> dict[str, list[Any]]:
    """A file of probabilities with the texts, the given labels and columns of these names beside them."""
    return {
        "text": TEXTS,
        "stars": LABELS,
        "p_negative": [1 - value] * 16,
        "p_positive": [value] * 16,
        **{name: [0 if name == "p_return" else 9] * 16 for name in names},
    }


@pytest.mark.parametrize("names", [["p_return"], ["p_id"], ["p_return", "p_id"]])
def test_columns_of_ones_own_are_no_labels(save, test_file, tmp_path, caplog, names):
    file = table(tmp_path / "own.csv", own_columns(names))
    report = evaluate(probabilities=file, label_column="stars")
    assert counts(report) == {"negative": 8, "positive": 8} and report.model.accuracy.value == 0.5
    assert f"own.csv: {', '.join(names)} is not the probability of a label" in caplog.text
    numbers = own_columns(names) | {"stars": [0, 1] * 8}
    assert counts(evaluate(probabilities=table(tmp_path / "numbers.csv", numbers), label_column="stars")) == {
        "negative": 8,
        "positive": 8,
    }
    against = evaluate(save([0, 1]), test_file=test_file, label_column="stars", against=file).against
    assert against is not None and against.model.accuracy.value == 0.5


def test_a_label_that_no_text_has_keeps_its_column_where_the_probabilities_need_it(tmp_path):
    columns = own_columns([]) | {"p_negative": [0.5] * 16, "p_neutral": [0.25] * 16, "p_return": [0] * 16}
    report = evaluate(probabilities=table(tmp_path / "three.csv", columns), label_column="stars")
    assert [row.label for row in report.per_class] == ["negative", "neutral", "positive"]


def test_a_label_without_a_column_is_named(tmp_path):
    columns = own_columns([])
    del columns["p_negative"]
    with pytest.raises(CallError, match="add a column for negative"):
        evaluate(probabilities=table(tmp_path / "one.csv", columns), label_column="stars")
    columns = own_columns([]) | {"stars": ["neutral", *LABELS[1:]]}
    with pytest.raises(DataError, match="row 2: unknown label 'neutral'"):
        evaluate(probabilities=table(tmp_path / "two.csv", columns), label_column="stars")


def test_equal_texts_of_other_probabilities_are_told_apart_by_their_order_alone(save, tmp_path, caplog):
    texts = ["a good film", *TEXTS[1:15], "a good film"]
    data = table(tmp_path / "data.csv", {"text": texts, "stars": LABELS})
    right = [0.9 if label == "pos" else 0.1 for label in LABELS[:15]] + [0.1]  # of the last text it is wrong
    columns = {"text": texts, "p_negative": [1 - p for p in right], "p_positive": right}
    options = {"test_file": data, "label_column": "stars"}
    same = evaluate(probabilities=table(tmp_path / "same.csv", columns), **options)
    assert same.model.accuracy.value == 15 / 16
    backwards = {name: values[::-1] for name, values in columns.items()}
    with pytest.raises(DataError, match=r"back\.csv, row 17: the text is that of row 2, its probabilities are not"):
        evaluate(probabilities=table(tmp_path / "back.csv", backwards), **options)
    named = {"texts" if name == "text" else name: values for name, values in columns.items()}
    with caplog.at_level(logging.INFO):
        assert evaluate(probabilities=table(tmp_path / "order.csv", named), **options).model == same.model
    assert 'order.csv has no column "text": its rows are taken in their order' in caplog.text


def test_a_first_row_without_a_text_has_no_scores(tmp_path):
    rows = [
        {"text": text, "stars": label, "scores": {"negative": 0.25, "positive": 0.75}}
        for text, label in zip(TEXTS, LABELS, strict=True)
    ]
    rows[0] |= {"text": "", "scores": None}
    file = tmp_path / "scores.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = evaluate(probabilities=str(file), label_column="stars", on_bad_rows="drop")
    assert report.model.accuracy.value == pytest.approx(7 / 15)


def test_a_model_of_several_labels_a_text_is_not_measured(save, test_file):
    model = save([0, 1])
    config = Path(model) / "config.json"
    said = json.loads(config.read_text(encoding="utf-8")) | {"problem_type": "multi_label_classification"}
    config.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(CallError, match="gives a text several labels: evaluate measures models of one label a text"):
        evaluate(model, test_file=test_file, label_column="stars")


def test_a_broken_model_is_said_to_be_broken(save, test_file):
    model = save([0, 1])
    weights = load_file(f"{model}/model.safetensors")
    lost = {name: values * np.nan for name, values in weights.items()}
    save_file(lost, f"{model}/model.safetensors", {"format": "pt"})
    with pytest.raises(CallError, match="the model gives NaN: its weights are damaged"):
        evaluate(model, test_file=test_file, label_column="stars")


def test_without_texts_there_are_as_many_rows(save, test_file, tmp_path):
    file = table(tmp_path / "short.csv", {"p_negative": [0.5] * 15, "p_positive": [0.5] * 15})
    with pytest.raises(DataError, match=r"has 15 rows, and .*test\.csv 16: give as many"):
        evaluate(probabilities=file, test_file=test_file, label_column="stars")


def test_three_rounded_probabilities_are_measured(tmp_path):
    columns = {f"p_{label}": [0.333] * 18 for label in ("negative", "neutral", "positive")}
    given = {"text": [f"text {row}" for row in range(18)], "stars": ["neg", "neutral", "pos"] * 6}
    report = evaluate(probabilities=table(tmp_path / "thirds.csv", given | columns), label_column="stars")
    assert report.model.auroc.value == 0.5 and report.model.log_loss.value == pytest.approx(np.log(3))


def test_what_is_of_the_model_is_refused_beside_probabilities(test_file):
    with pytest.raises(CallError, match="--revision and --backend say how MODEL is read"):
        evaluate(probabilities=test_file, label_column="stars", backend="onnx")


@pytest.mark.parametrize("name", ["gone.xlsx#all", "http://127.0.0.1:9/gone.csv.gz"])
def test_what_it_is_compared_with_may_be_any_file(name, save, test_file):
    with pytest.raises(CallError, match=r"gone\.(xlsx: no such file|csv\.gz: cannot be downloaded)"):
        evaluate(save([0, 1]), test_file=test_file, label_column="stars", against=name)


def test_two_models_are_compared_text_by_text(save, test_file, tmp_path):
    model = save([0, 1])
    right = [[0.2, 0.8] if label == "pos" else [0.8, 0.2] for label in LABELS]
    file = table(tmp_path / "right.csv", {"p_negative": [a for a, _ in right], "p_positive": [b for _, b in right]})
    report = evaluate(model, test_file=test_file, label_column="stars", against=file)
    against = report.against
    assert against is not None and against.name == "right.csv" and against.model.accuracy.value == 1
    hits = round(report.model.accuracy.value * 16)
    assert (against.both_right, against.only_this, against.only_other, against.both_wrong) == (hits, 0, 16 - hits, 0)
    assert against.p_value == pytest.approx(min(1.0, 2 * 0.5 ** (16 - hits)))
    for metric in ("accuracy", "macro_f1", "mcc", "log_loss", "brier"):
        difference, ours, theirs = (getattr(of, metric) for of in (against.difference, report.model, against.model))
        assert difference.value == pytest.approx(ours.value - theirs.value)
        assert difference.low <= difference.value <= difference.high
    same = evaluate(probabilities=file, test_file=test_file, label_column="stars", against=model).against
    assert same is not None and same.only_this == 16 - hits
    three = table(tmp_path / "three.csv", {f"p_{label}": [1 / 3] * 16 for label in ("negative", "neutral", "positive")})
    with pytest.raises(DataError, match=r"row 2: its probabilities sum to 0\.6667 \(negative, positive\)"):
        evaluate(model, test_file=test_file, label_column="stars", against=three)
    itself = evaluate(model, test_file=test_file, label_column="stars", against=model).against
    assert itself is not None and itself.difference.log_loss == Estimate(0, 0, 0) and itself.p_value == 1


def test_the_command_line_compares_slices_and_writes_a_page(save, test_file, tmp_path, run_cli):
    model, page = save([0, 1]), tmp_path / "report.html"
    words = ["evaluate", "--test_file", test_file, "--label_column", "stars", "--against", model]
    code, out, err = run_cli(*words, "--slices", "shop", "--report", page, "--json", model)
    assert code == 0, err
    record = json.loads(out)
    assert [(row["value"], row["texts"]) for row in record["slices"]] == [("here", 8), ("there", 8)]
    assert "this less the other" in err and "shop: here" in err and "too few to say anything" in err
    assert "p = 1" in err and record["against"]["name"] == "model"
    assert err.splitlines()[-1] == f"Written: {page}"
    html = page.read_text(encoding="utf-8")
    assert "<h1>model</h1>" in html and "The other model is model" in html and "too few to say anything" in html
    for wrong, message in (
        (["--report", tmp_path / "page.txt"], "name that ends in .html"),
        (["--report", page], "exists and is not overwritten"),
        (["--probabilities", test_file], "MODEL, or --probabilities FILE, and not both"),
        (["--slices", "shops"], 'no column "shops" for --slices, did you mean shop?'),
        (["--against", tmp_path / "nothing"], "nothing"),
        (["--against", tmp_path / "missing.csv"], "missing.csv: no such file"),
    ):
        code, _, err = run_cli(*words[:5], model, *wrong)
        assert code == 2 and message in err.splitlines()[-1], err
    code, _, err = run_cli(*words[:5])
    assert code == 2 and "name what is evaluated: MODEL" in err
