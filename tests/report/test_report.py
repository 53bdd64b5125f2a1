"""The report is one page that needs nothing from elsewhere, whatever stands in the texts and the labels."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from hf_sentiment.evaluation.report import evaluate_split, evaluate_texts
from hf_sentiment.records.schema import Alarm, Measurement, TrainingRecord
from hf_sentiment.report.page import evaluation_html, report_html

HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\"'><a href='javascript:alert(1)'>{{ 7 * 7 }}{% raw %}",
    "\u202eمراجعة \u2067سيئة\u2069 \U0001f600\U0001f468‍\U0001f469‍\U0001f467",
    "x" * 10_000,
    "</table></main></html>",
]
# All that the page is made of: nothing that runs, and nothing that is fetched.
TAGS = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "div", "table", "thead", "tbody"}
TAGS |= {"tr", "th", "td", "img", "strong", "code", "bdi", "ul", "li", "dl", "dt", "dd"}
EMPTY = {"meta", "img"}


class Page(HTMLParser):
    """The elements of a page, which have to be closed in their order, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words, self._open = "", list[str]()
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self.words += " " * (tag in ("td", "th", "p", "h1"))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(text: str) -> Page:
    """A page that is self-contained, and that a screen reader can find its way in."""
    page = Page(text)
    assert {tag for tag, _ in page.elements} <= TAGS
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name in ("href", "srcset") for name in attributes), tag
    assert all(
        (image["src"] or "").startswith("data:image/svg+xml;base64,") and image["alt"] for image in page.all("img")
    )
    assert all(heading["scope"] in ("col", "row") for heading in page.all("th"))
    assert all(table["aria-label"] for table in page.all("table")) and page.all("html")[0]["lang"] == "en"
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert "url(" not in text and "@import" not in text and "default-src 'none'" in text
    return page


def measured(texts: list[str], labels: list[str], wrong: bool = False) -> Measurement:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(len(labels)), size=len(texts))
    references = generator.integers(len(labels), size=len(texts))
    if wrong:
        references = (probabilities.argmax(axis=1) + 1) % len(labels)
    return evaluate_texts(probabilities, Dataset.from_dict({"text": texts, "label": references}), labels)


def test_hostile_texts_and_labels_are_shown_and_do_nothing() -> None:
    labels = ["<b>bad</b>", "a label of many words, which goes on & on", *(f"{'long' * 20}{i}" for i in range(9))]
    page = read(evaluation_html(measured(HOSTILE, labels, wrong=True), "<script>name</script>"))
    words = " ".join(page.words.split())
    for text in (" ".join(text.split()) for text in HOSTILE if len(text) < 300):
        assert text in words
    assert "x" * 299 + "…" in words and "x" * 301 not in words
    assert "<b>bad</b>" in words and "Report: <script>name</script>" in words
    assert len(page.all("img")) == 2
    assert "fewer an interval says nothing" in words and "no baselines" in words and "no human ceiling" in words


def test_every_figure_has_its_interval_and_the_baselines_beside_it() -> None:
    texts = [f"the film number {i} is {'good' if i % 2 else 'bad'}" for i in range(120)]
    labels = np.arange(120) % 2
    data = Dataset.from_dict({"text": texts, "label": labels})
    probabilities = np.where(np.eye(2)[labels] > 0, 0.8, 0.2)
    train, test = data.select(range(60)), data.select(range(60, 120))
    evaluation = evaluate_split(probabilities[60:], train, test, ["negative", "positive"])
    words = " ".join(read(evaluation_html(evaluation, "reviews")).words.split())
    for metrics in (evaluation.model, evaluation.baselines.majority, evaluation.baselines.tfidf_logistic_regression):
        assert metrics is not None
        assert f"{metrics.accuracy} {metrics.macro_f1} {metrics.log_loss}" in words
    ahead = evaluation.differences["majority"].accuracy
    assert f"{ahead.value:+.3f} [{ahead.low:+.3f}, {ahead.high:+.3f}]" in words
    assert "There are none: it labels every text as it was given" in words
    (only,) = evaluation.reliability
    assert f"0.8 to 0.9 60 {only.confidence:.3f} {only.accuracy}" in words


def test_a_folder_of_which_nothing_is_known_says_so(tiny_folder: Path) -> None:
    words = " ".join(read(report_html(tiny_folder)).words.split())
    assert "Nothing was measured. There is no evaluation in its records." in words
    for section in ("no picture", "no check of the data", "no plan"):
        assert section in words
    assert re.search(r"my\.model-v1 Report of a training run, by hf-sentiment", words)


def test_the_alarm_and_what_ended_the_run_are_told(tiny_folder: Path) -> None:
    alarm = Alarm(30, 3.0, "overfitting", 0.1, 0.6, "validation loss rose <again>: say --lora true", "stop")
    training = TrainingRecord(
        date="2026-01-02",
        seconds=90,
        peak_memory_bytes=1,
        steps=30,
        epochs=3.0,
        best_epoch=2.0,
        stopped="the alarm",
        alarms=(alarm,),
        unlabeled_texts=0,
        repeated=False,
        lora=None,
        device="cpu",
        threads=1,
        python="3.11",
        versions={"torch": "2.13"},
    )
    evaluation = replace(measured(["a text"] * 40, ["bad", "good"]), training=training, temperature=1.25)
    words = " ".join(read(report_html(tiny_folder, evaluation)).words.split())
    assert "Epoch 3, overfitting: validation loss rose <again>: say --lora true" in words
    assert "Stopped early: the alarm." in words and "Report of a training run, 2026-01-02" in words
    assert "temperature of 1.250" in words and "1.5 minutes on cpu. python 3.11, torch 2.13." in words


@pytest.mark.parametrize("labels", [2, 5])
def test_the_bins_give_the_calibration_error(labels: int) -> None:
    evaluation = measured(["a text"] * 400, [f"label {i}" for i in range(labels)])
    gaps = [each.texts * abs(each.confidence - each.accuracy.value) for each in evaluation.reliability]
    assert sum(each.texts for each in evaluation.reliability) == 400
    assert sum(gaps) / 400 == pytest.approx(evaluation.model.ece.value)
    for each in evaluation.reliability:
        assert each.low <= each.confidence <= each.high
        assert each.accuracy.low <= each.accuracy.value <= each.accuracy.high
