"""The audit finds what was planted, in its place, and nothing where nothing was."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_sentiment.data.audit import (
    Finding,
    Limits,
    audit_rows,
    contamination_finding,
    finding_lines,
    half_width,
    language_record,
    removals,
    row_findings,
    token_findings,
    worst,
)
from hf_sentiment.data.labels import infer_label_rule
from hf_sentiment.data.prepare import prepare_data
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.sources import load_data
from hf_sentiment.data.splits import SPLITS
from hf_sentiment.errors import DataError
from hf_sentiment.records.serialization import to_json

Table = list[tuple[str | None, str | None]]
Load = Callable[..., Rows]
WORDS = [f"w{i}" for i in range(400)]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load(train=[(text, label), …], test=…, labels=None)`: JSONL files as the audit reads them."""

    def make(labels: list[str] | None = None, **splits: Table | str) -> Rows:
        files = {}
        for name, content in splits.items():
            path = tmp_path / f"{name}.jsonl"
            if not isinstance(content, str):
                content = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in content)
            path.write_text(content, encoding="utf-8")
            files[f"{name}_file"] = str(path)
        raw = load_data(keep_broken=True, **files)
        return Rows.read(raw, infer_label_rule(raw.splits["train"]["label"][:], labels=labels))

    return make


def different(count: int, seed: int = 0) -> Table:
    """Texts of twelve random words, the two labels in turn."""
    generator = random.Random(seed)
    return [(" ".join(generator.choices(WORDS, k=12)), ("negative", "positive")[i % 2]) for i in range(count)]


def named(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def places(finding: Finding) -> list[tuple[str, int]]:
    return [(Path(example.source).name, example.row) for example in finding.examples]


def test_clean_data_have_no_finding_but_their_size(load: Load) -> None:
    findings = row_findings(load(train=different(200), validation=different(1300, 1), test=different(1300, 2)))
    assert worst(findings) == "ok"
    assert all(finding.count == 0 for finding in findings if finding.name not in ("small", "imbalance"))
    assert not removals(load(train=different(200))).any()


def test_texts_that_stand_for_no_text_are_found_and_stay(load: Load) -> None:
    planted = ["N/A", "nan", "NULL", " - ", "None", "#N/A", "...", "[deleted]", "Ｎ／Ａ", "？", "。。。", "无"]
    sound = ["none of it works", "no", "Null problemo", "nan bread was fine", "无聊"]
    rows = load(train=[*different(20), *[(text, "negative") for text in planted + sound]])
    found = named(row_findings(rows))["placeholders"]
    assert (found.severity, found.count, found.fixable) == ("warning", len(planted), 0)
    assert places(found) == [("train.jsonl", row) for row in range(21, 21 + len(planted))]
    assert rows.usable.texts[20:].tolist() == planted + sound
    assert "empty" not in removals(rows)


def test_rows_with_too_many_cells_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("text,label\ngood film,positive\nbad film,negative\nso, so,meh\nfine film,positive\n")
    raw = load_data(train_file=path, keep_broken=True)
    rows = Rows.read(raw, infer_label_rule(["negative", "positive"]))
    found = named(row_findings(rows))
    assert places(found["broken"]) == [("r.csv", 4)]
    assert "too many cells (3, the header has 2)" in found["broken"].examples[0].says
    assert found["empty"].count == 0


def test_every_bad_row_is_named_and_none_ends_the_audit(load: Load) -> None:
    lines = [
        '{"text": "good film", "label": "positive"}',
        '{"text": "  ", "label": "positive"}',
        '{"text": 3, "label": "negative"}',
        "not json at all",
        '{"text": "bad film", "label": null}',
        '{"text": "half an emoji \\ud83d", "label": "negative"}',
        '{"text": "what is this", "label": "spam"}',
        '{"text": "bad film", "label": "negative"}',
    ]
    rows = load(labels=["negative", "positive"], train="\n".join(lines))
    found = named(row_findings(rows))
    assert places(found["empty"]) == [("train.jsonl", 2), ("train.jsonl", 3), ("train.jsonl", 5)]
    assert places(found["broken"]) == [("train.jsonl", 4), ("train.jsonl", 6)]
    assert "not JSON" in found["broken"].examples[0].says
    assert places(found["unknown_labels"]) == [("train.jsonl", 7)]
    assert {found[name].severity for name in ("empty", "broken", "unknown_labels")} == {"error"}
    assert {named(row_findings(rows, drop_bad_rows=True))[name].severity for name in ("empty", "broken")} == {"warning"}


def test_training_goes_on_without_broken_lines_on_request(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in different(60)]
    path = tmp_path / "broken.jsonl"
    path.write_text("\n".join([*lines[:30], "not json", *lines[30:]]))
    with pytest.raises(DataError, match="row 31: not JSON"):
        prepare_data(train_file=str(path))
    prepared = prepare_data(train_file=str(path), on_bad_rows="drop")
    assert sum(map(len, prepared.splits.values())) == 60
    assert "fault" not in prepared.splits["train"].column_names
    assert named(prepared.findings)["broken"].examples[0].row == 31 and prepared.rows["train"]["bad"] == 1
    record = prepared.audit("starter", "me/bert-sst2")
    assert {finding.name: finding.severity for finding in record.findings}["contamination"] == "warning"
    written = json.dumps(to_json(record.findings))
    assert not [text for text, _ in different(60) if text in written]
    broken = next(finding for finding in record.findings if finding.name == "broken")
    (row,) = broken.facts["examples"]
    assert broken.count == 1 and (row["source"], row["row"]) == (str(path), 31) and "not JSON" in row["says"]


def test_duplicates_keep_emoticons_apart(load: Load) -> None:
    rows = [*different(40), ("Fun to watch :)", "positive"), ("fun to watch :)!", "positive")]
    found = named(row_findings(load(train=[*rows, ("fun to watch :(", "negative")])))
    assert places(found["duplicates"]) == [("train.jsonl", 42)]
    assert found["duplicates"].examples[0].facts["other"]["row"] == 41
    assert found["near_duplicates"].count == 0
    assert found["conflicts"].count == 0


def test_near_duplicates_are_not_counted_as_duplicates(load: Load) -> None:
    rows = different(40)
    text, label = rows[7]
    found = named(row_findings(load(train=[*rows, (f"{text} indeed", label)])))
    assert found["duplicates"].count == 0
    assert places(found["near_duplicates"]) == [("train.jsonl", 41)]
    assert found["near_duplicates"].fixable == 0


def test_contradictions_are_listed_with_both_rows(load: Load) -> None:
    rows = [*different(40), ("It is what it is", "negative"), ("it is what it is!", "positive")]
    conflicts = named(row_findings(load(train=rows)))["conflicts"]
    assert (conflicts.severity, conflicts.count, conflicts.fixable) == ("warning", 2, 2)
    assert places(conflicts) == [("train.jsonl", 41), ("train.jsonl", 42)]
    assert [example.label for example in conflicts.examples] == ["negative", "positive"]
    assert [example.facts["other"]["row"] for example in conflicts.examples] == [42, 41]


def test_leakage_is_an_error_and_is_removed_from_train_alone(load: Load) -> None:
    train, test = different(60), different(30, 1)
    leaked = [train[3], (f"{train[8][0]} really", train[8][1])]
    rows = load(train=train, test=test + leaked)
    leakage = named(row_findings(rows))["leakage"]
    assert (leakage.severity, leakage.count, leakage.total, leakage.facts["exact"]) == ("error", 2, 32, 1)
    assert places(leakage) == [("test.jsonl", 31), ("test.jsonl", 32)]
    assert [example.facts["other"]["row"] for example in leakage.examples] == [4, 9]
    removed = removals(rows)
    assert [(SPLITS[rows.split[i]], rows.row[i]) for i in removed.nonzero()[0]] == [("train", 4), ("train", 9)]


def test_what_is_removed_and_what_never_is(load: Load) -> None:
    test = [("twice in the test", "negative"), ("twice in the test", "negative"), ("disputed", "negative")]
    test += [("disputed", "positive"), ("", "positive")]
    validation = [("twice in the test", "negative"), ("only here", "positive")]
    train = [("once", "positive"), ("once", "positive"), ("both ways", "negative"), ("both ways", "positive")]
    rows = load(train=[*train, ("fine", "negative"), ("disputed", "positive")], validation=validation, test=test)
    by_split = {
        split: {int(rows.row[i]): why for i, why in enumerate(removals(rows)) if why and rows.within(split)[i]}
        for split in rows.names
    }
    assert by_split["train"] == {2: "duplicates", 3: "conflicts", 4: "conflicts", 6: "conflicts"}
    assert by_split["validation"] == {1: "leakage"}
    assert by_split["test"] == {2: "duplicates", 5: "empty"}


def test_a_misspelt_label_is_found_and_named(load: Load) -> None:
    rows = different(60)
    rows[20] = (rows[20][0], "posiitve")
    rare = named(row_findings(load(train=rows)))["rare_labels"]
    assert places(rare) == [("train.jsonl", 21)]
    assert "posiitve (1, misspelt positive?)" in rare.advice and "negative" not in rare.advice
    assert named(row_findings(load(train=rows)))["imbalance"].severity == "ok"
    capitals = [(text, label.title() if label in ("negative", "positive") else label) for text, label in rows]
    assert "posiitve (1, misspelt Positive?)" in named(row_findings(load(train=capitals)))["rare_labels"].advice


def test_imbalance_by_degrees(load: Load) -> None:
    severities = []
    for positives in (50, 20, 5):
        rows = [(text, "positive" if i < positives else "negative") for i, (text, _) in enumerate(different(100))]
        severities.append(named(row_findings(load(train=rows)))["imbalance"].severity)
    assert severities == ["ok", "note", "warning"]


def test_the_interval_of_small_splits() -> None:
    # Wilson and textbook: ±1.96 √(0.85 · 0.15 / 1225) = ±2.0 points.
    assert half_width(1225) == pytest.approx(0.02, abs=2e-5)
    assert half_width(1) == 0.5


def test_splits_that_train_will_make_are_judged_by_their_share(load: Load) -> None:
    findings = row_findings(load(train=different(100)), shares={"validation": 0.1, "test": 0.2})
    small = {finding.facts["split"]: finding for finding in findings if finding.name == "small"}
    assert (small["validation"].count, small["test"].count) == (10, 20)
    assert small["validation"].severity == "warning" and small["validation"].facts["made"]
    given = row_findings(load(train=different(100), test=different(30, 1)), shares={"validation": 0.1, "test": 0.2})
    assert [f.count for f in given if f.name == "small"] == [10, 30]


@pytest.mark.parametrize(
    ("data", "model", "severity"),
    [
        ("starter", "starter", "note"),
        ("starter:amazon", "starter", "ok"),
        (None, "starter", "ok"),
        ("stanfordnlp/sst2", "google-bert/bert-base-uncased", "note"),
        ("starter", "textattack/bert-base-uncased-SST-2", "warning"),
        ("cornell-movie-review-data/rotten_tomatoes", "me/bert-sst5", "warning"),
        (None, "me/bert_sst2", "note"),
        ("me/assistant-reviews", "me/massst", "ok"),
    ],
)
def test_contamination_in_both_directions(data: str | None, model: str, severity: str) -> None:
    assert contamination_finding(data, model).severity == severity


def test_of_a_folder_only_its_own_name_counts_and_is_told(tmp_path: Path) -> None:
    for name, severity in (("bert-sst2", "note"), ("mine", "ok")):
        folder = tmp_path / "sst2" / name
        folder.mkdir(parents=True)
        finding = contamination_finding(None, str(folder))
        assert finding.severity == severity and str(tmp_path) not in finding.advice


def test_tokens_that_are_cut_or_unknown(load: Load, tiny_tokenizer) -> None:  # type: ignore[no-untyped-def]
    rows = load(train=[("good film", "positive"), ("bad zebra \U0001f60d zebra", "negative"), ("a " * 20, "negative")])
    cut, unknown = token_findings(rows.usable, tiny_tokenizer, max_length=10)
    assert (cut.count, places(cut), cut.severity) == (1, [("train.jsonl", 3)], "warning")
    assert (unknown.count, unknown.total) == (3, 2 + 4 + 20)
    assert unknown.facts["words"] == {"zebra": 2, "\U0001f60d": 1}
    assert places(unknown) == [("train.jsonl", 2)]


def test_languages_of_texts_that_are_long_enough(load: Load) -> None:
    english = "The plot is thin, but the cast makes it worth your evening, number"
    german = "Das ist ein sehr guter Film, den ich gerne noch einmal sehen würde."
    rows = [(f"{english} {i}", "positive") for i in range(18)] + [(german, "positive"), ("kurz", "negative")]
    languages = named(audit_rows(load(train=rows)))["languages"]
    assert languages.facts["languages"] == {
        "en": pytest.approx(18 / 19, abs=1e-3),
        "de": pytest.approx(1 / 19, abs=1e-3),
    }
    assert (languages.severity, languages.facts["too_short"]) == ("note", 1)
    assert places(languages) == [("train.jsonl", 19)]


def test_texts_too_short_for_a_language_are_no_finding(load: Load) -> None:
    languages = named(audit_rows(load(train=[("gut", "positive"), ("schlecht", "negative")])))["languages"]
    assert (languages.severity, languages.total) == ("ok", 0)


def test_the_table_is_aligned_and_wraps() -> None:
    findings = [
        Finding("languages", "texts not in en", "ok", 0, 10),
        Finding("empty", "no text", "error", 1234, 5000, "remove these rows, " * 8),
    ]
    lines = finding_lines(findings, 90)
    assert all(len(line) <= 90 for line in lines)
    column = lines[0].index("what to do")
    assert lines[1].startswith("error") and "1,234" in lines[1] and "24.7 %" in lines[1]
    assert lines[1][column:].startswith("remove") and not lines[2][:column].strip()


def test_limits_are_inclusive_and_nothing_is_always_ok() -> None:
    limits = Limits(note=0.01, warning=0.1)
    assert [limits.severity(x) for x in (0, 0.009, 0.01, 0.1, 1)] == ["ok", "ok", "note", "warning", "warning"]
    assert Limits(error=0).severity(0) == "ok" and Limits(error=0).severity(1e-9) == "error"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Der Film war lang, aber die Schauspieler haben den Abend gerettet.", "de"),
        ("THE FILM WAS LONG AND DULL, BUT THE CAST MADE IT WORTH MY EVENING 👍👍👍", "en"),
        ("这部电影很长很无聊但是演员们让我的夜晚值得我会和朋友再看一次", "zh"),
        ("यह फिल्म बहुत लंबी और उबाऊ थी लेकिन कलाकारों ने मेरी शाम बना दी", "hi"),
        ("😀😀😀😀😀😀😀😀😀😀😀😀", None),  # py3langid calls it Afrikaans
        ("https://example.org/a/b/c/d/e/f/g?x=1&y=2&z=3", None),
        ("1234567890 1234567890 1234567890 !!! ??? ---", None),
        ("这本书很好看", "zh"),
        ("a good film", None),
    ],
)
def test_the_language_of_texts_is_recorded_where_they_have_one(text: str, language: str | None) -> None:
    expected = {"texts": 0, "shares": {}} if language is None else {"texts": 12, "shares": {language: 1.0}}
    assert language_record([text] * 12) == expected
