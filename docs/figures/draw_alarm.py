"""The pictures of docs/alarm.md and docs/callbacks.md.

    python docs/figures/draw_alarm.py                  # a training of the starter model, minutes of one core
    python docs/figures/draw_alarm.py --run build/run  # keeps the training, and draws it again when it is called again

`curve`, `two_curves` and `text_by_text` show that training. `plateaus` is simulated with the plateau that
benchmarks/alarm.py uses, and `false_alarms` shows what that benchmark found on it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from matplotlib import style as styles
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hf_sentiment import BertForSentimentAnalysis, LearningCurveCallback, OverfittingGapCallback
from hf_sentiment.callbacks.learning_curve import read_history
from hf_sentiment.callbacks.learning_curve.drawing import INK, STYLE, TRAIN, new_figure
from hf_sentiment.data.prepare import prepare_data
from hf_sentiment.data.sources import starter_model
from hf_sentiment.data.tokenization import tokenize

Array = np.ndarray[Any, Any]
HERE = Path(__file__).parent
BENCHMARK = HERE.parents[1] / "benchmarks" / "results" / "alarm.json"
# The colours of the package's own curves.
VALIDATION, FAINT = "#D55E00", "#767676"
# Few texts, wrong labels and a high learning rate: a run that overfits.
TEXTS, VALIDATION_TEXTS, WRONG, LEARNING_RATE, EPOCHS = 300, 400, 0.2, 1e-4, 8


class LossesOfTexts(TrainerCallback):
    """Keeps the loss of each validation text at every evaluation, in `losses.npy` of the folder."""

    def __init__(self, texts: Dataset, collator: DataCollatorWithPadding, folder: Path) -> None:
        self.loader = torch.utils.data.DataLoader(texts, batch_size=50, collate_fn=collator)
        self.folder = folder
        self.rows: list[Array] = []

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Measure the texts, in evaluation mode."""
        found = []
        with torch.no_grad():
            for batch in self.loader:
                labels = batch.pop("labels")
                found.append(torch.nn.functional.cross_entropy(model(**batch).logits, labels, reduction="none"))
        self.rows.append(torch.cat(found).numpy())
        np.save(self.folder / "losses.npy", np.stack(self.rows))


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """The share of texts that were classified rightly."""
    return {"accuracy": float((np.asarray(prediction.predictions).argmax(axis=-1) == prediction.label_ids).mean())}


def train(folder: Path) -> None:
    """Fine-tune the starter model with the alarm and the curve, with records in `folder`."""
    tokenizer = AutoTokenizer.from_pretrained(starter_model())
    splits = prepare_data("starter", seed=0).splits
    texts = tokenize(concatenate_datasets(list(splits.values())), tokenizer, 64).shuffle(seed=1)
    train_texts, validation = texts.select(range(TEXTS)), texts.select(range(TEXTS, TEXTS + VALIDATION_TEXTS))
    labels = np.asarray(train_texts["labels"][:])
    flipped = np.random.default_rng(0).random(TEXTS) < WRONG
    train_texts = train_texts.remove_columns("labels").add_column("labels", np.where(flipped, 1 - labels, labels))
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    collator = DataCollatorWithPadding(tokenizer)
    trainer = Trainer(
        model=BertForSentimentAnalysis.from_pretrained(starter_model(), labels=["negative", "positive"]),
        args=TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=EPOCHS,
            learning_rate=LEARNING_RATE,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=50,
            eval_strategy="epoch",
            save_strategy="no",
            use_cpu=True,
            report_to=[],
            seed=0,
        ),
        train_dataset=train_texts,
        eval_dataset=validation,
        processing_class=tokenizer,
        data_collator=collator,
        compute_metrics=accuracy,
        callbacks=[
            OverfittingGapCallback(probe_size=200),
            LearningCurveCallback(),
            LossesOfTexts(validation.select_columns(["input_ids", "attention_mask", "labels"]), collator, folder),
        ],
    )
    trainer.train()


def card(height: float, panels: tuple[int, int] = (1, 1), **options: Any) -> tuple[Figure, list[Axes]]:
    """A white card with a frame, to be read on a white page and on a dark one, with its panels."""
    figure = new_figure(height)
    return figure, list(figure.subplots(*panels, squeeze=False, **options).flat)


def save(figure: Figure, name: str) -> None:
    """Write `name.svg`, the same bytes for the same figure."""
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None, "Title": name})


def two_curves(history: list[dict[str, Any]]) -> None:
    """The training loss of the log, that of the probe, and the validation loss, over the epochs of one run."""
    figure, (axes,) = card(3.4)
    epochs = [row["epoch"] for row in history]
    curves = (
        ("train_loss", "training loss in the log: mean over the epoch, dropout on", TRAIN, "--", "s", 1.2),
        ("gap/train_loss", "training loss of the probe: at this moment, dropout off", TRAIN, "-", "s", 1.8),
        ("eval_loss", "validation loss", VALIDATION, "-", "o", 1.8),
    )
    for name, label, color, style, marker, width in curves:
        values = [row[name] for row in history]
        axes.plot(epochs, values, linestyle=style, marker=marker, ms=4.5, color=color, label=label, linewidth=width)
    axes.set(xlabel="epoch", ylabel="log loss\n(lower is better)", ylim=(0, None), xticks=epochs)
    figure.legend(loc="outside upper left", fontsize=8.5)
    save(figure, "two_curves")


def plateaus(runs: int = 6, texts: int = 200, evaluations: int = 10) -> None:
    """Validation losses of models that never get worse: the plateau of benchmarks/alarm.py."""
    figure, panels = card(3.6, (2, runs // 2), sharex=True, sharey=True)
    generator = np.random.default_rng(3)
    for axes in panels:
        base = 0.5 * generator.exponential(size=texts)
        steps = 0.14 * generator.normal(size=(evaluations, texts)) - 0.14**2 / 2
        means = (base * np.exp(np.vstack([np.zeros(texts), np.cumsum(steps, axis=0)]))).mean(axis=1)
        axes.plot(means, color=VALIDATION, marker="o", ms=3.5)
        best = int(means.argmin())
        axes.plot(best, means[best], "o", ms=9, mfc="none", mec=INK)
        axes.axhline(0.5, color=FAINT, linestyle=":", linewidth=1.2)
    figure.supxlabel("evaluation", fontsize=9)
    figure.supylabel("validation loss of 200 texts", fontsize=9)
    save(figure, "plateaus")


def text_by_text(losses: Array, worse: int) -> None:
    """How the loss of each validation text changed from the best evaluation to the one at index `worse`."""
    best = int(losses.mean(axis=1).argmin())
    changes = losses[worse] - losses[best]
    figure, (axes,) = card(3.2)
    edges = np.arange(np.floor(changes.min() * 4) / 4, changes.max() + 0.25, 0.25)
    counts, _ = np.histogram(changes, edges)
    colours = [TRAIN if left < 0 else VALIDATION for left in edges[:-1]]
    axes.bar(edges[:-1], counts, width=0.25, align="edge", color=colours, edgecolor="white", linewidth=0.5)
    axes.axvline(changes.mean(), color=INK, linestyle="--", linewidth=1.2)
    alone = [losses[row].var(ddof=1) / losses.shape[1] for row in (best, worse)]
    paired = changes.std(ddof=1) / np.sqrt(losses.shape[1])
    lines = (
        f"{(changes < 0).mean():.0%} of the texts get a lower loss",
        f"{(changes > 1).mean():.0%} get one that is higher by more than 1",
        f"the mean rises by {changes.mean():.3f} (dashed)",
        f"its standard error: {paired:.3f} from pairs, {np.sqrt(sum(alone)):.3f} from two samples",
        f"skewness of the changes: {stats.skew(changes):.1f}",
    )
    axes.annotate("\n".join(lines), (0.98, 0.95), xycoords="axes fraction", ha="right", va="top", fontsize=9)
    axes.set(yscale="log", ylabel="validation texts (log scale)")
    axes.set_xlabel(f"loss of a text after epoch {worse + 1}, less its loss after epoch {best + 1}, the best")
    save(figure, "text_by_text")


def spending() -> None:
    """The share of the error rate that may have been spent, over ten planned evaluations."""
    figure, (axes,) = card(3.2)
    evaluations = np.arange(11)
    planned = (evaluations / 10) ** 1.5
    falls = {
        "the probe's loss stays as it is": np.zeros(11),
        "it falls by half below its value at the best evaluation": np.full(11, 0.5),
        "it falls to nothing: the texts are learnt by heart": np.ones(11),
    }
    for (label, fall), style in zip(falls.items(), ("-", "--", ":"), strict=True):
        share = 0.3 * planned + 0.7 * np.maximum(planned, np.where(evaluations > 0, fall**2, 0))
        axes.plot(evaluations, 5 * share, style, color=TRAIN, marker="o", ms=4, label=label)
    axes.set(xlabel="evaluation, of ten planned", ylabel="false alarms allowed so far\n(% of runs without overfitting)")
    axes.set(ylim=(0, 5.3), xticks=evaluations)
    figure.legend(loc="outside upper left", fontsize=8.5)
    save(figure, "spending")


def false_alarms(texts: int = 200) -> None:
    """Runs with an alarm among those of the benchmark's plateau, where every alarm is false, by rule."""
    rows = json.loads(BENCHMARK.read_text(encoding="utf-8"))["nulls"]
    row = next(row for row in rows if row["null"] == "martingale, 10 evaluations" and row["texts"] == texts)
    names = {
        "OverfittingGapTest": "OverfittingGapTest, alpha 0.05",
        "paired t, Bonferroni": "paired t-test, Bonferroni",
    }
    shares = {names.get(name, name): rate for name, (rate, _) in row["rates"].items()}
    shares = dict(sorted(shares.items(), key=lambda item: item[1]))
    figure, (axes,) = card(3.4)
    colours = [VALIDATION if name.startswith("OverfittingGapTest") else TRAIN for name in shares]
    bars = axes.barh(list(shares), list(shares.values()), color=colours, height=0.65)
    axes.bar_label(bars, [f"{100 * share:.1f} %" for share in shares.values()], padding=4, fontsize=8.5)
    axes.set(xlim=(0, 1.12), xticks=[0, 0.5, 1], xticklabels=["0", "50 %", "100 %"])
    axes.set_xlabel(f"runs with an alarm, of {row['runs']:,} in which nothing gets worse ({texts} validation texts)")
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()
    save(figure, "false_alarms")


def main() -> None:
    """Train, unless that was done, and draw."""
    parser = argparse.ArgumentParser(description="Make the pictures of docs/alarm.md and docs/callbacks.md.")
    parser.add_argument("--run", type=Path, help="folder that keeps the training; by default it is thrown away")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.run or Path(temporary)
        if not (folder / "losses.npy").is_file():
            train(folder)
        with styles.context(["default", STYLE], after_reset=True):
            draw(folder)


def draw(folder: Path) -> None:
    """Draw everything, with the training in `folder`."""
    (HERE / "curve.svg").write_bytes((folder / "records" / "curves.svg").read_bytes())
    two_curves(read_history(folder / "records" / "history.jsonl"))
    losses = np.load(folder / "losses.npy").astype(float)
    text_by_text(losses, len(losses) - 1)
    plateaus()
    spending()
    false_alarms()


if __name__ == "__main__":
    main()
