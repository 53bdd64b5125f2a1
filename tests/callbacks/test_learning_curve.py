"""`LearningCurveCallback`: the history as it happened, with any model, and a run that does not notice it."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pty
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import (
    BertConfig,
    BertForTokenClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.learning_curve import LearningCurveCallback, draw_curves, read_history
from hf_sentiment.callbacks.shared import log_scalars
from hf_sentiment.errors import CallError

SIZES = {"vocab_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2}
SIZES |= {"hidden_size": 8, "intermediate_size": 8, "max_position_embeddings": 16}


def rows(length: int = 24, token_labels: bool = False) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 30, (length, 6), generator=generator)
    labels: Any = (ids > 15).long().tolist() if token_labels else (ids[:, 1] > 15).long().tolist()
    return Dataset.from_dict({"input_ids": ids.tolist(), "labels": labels})


def trainer(folder: Path, model: Any, callbacks: list[Any], token_labels: bool = False, **options: Any) -> Trainer:
    eval_dataset, kind = options.pop("eval_dataset", None), options.pop("kind", Trainer)
    arguments = {"num_train_epochs": 2, "per_device_train_batch_size": 4, "eval_strategy": "epoch", "use_cpu": True}
    arguments |= {"save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-2} | options
    return kind(
        model=model,
        args=TrainingArguments(output_dir=str(folder), **arguments),
        train_dataset=rows(token_labels=token_labels),
        eval_dataset=eval_dataset or rows(8, token_labels),
        callbacks=callbacks,
    )


class Alarm(TrainerCallback):
    """Logs at each evaluation what the overfitting alarm does; each list of levels is a run."""

    def __init__(self, *levels: int) -> None:
        self.levels = levels
        self.count = 0

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        log_scalars(args, state, control, gap_scalars(self.levels[self.count % len(self.levels)]))
        self.count += 1


def gap_scalars(level: int) -> dict[str, float]:
    scalars = {"gap/p_value": 0.2, "gap/alarm": level}
    for name, value in (("train_loss", 0.5), ("validation_loss", 0.7), ("gap", 0.2), ("worsening", 0.0)):
        scalars |= {f"gap/{name}": value, f"gap/{name}_low": value - 0.1, f"gap/{name}_high": value + 0.1}
    return scalars


def history_of(folder: Path) -> list[dict[str, Any]]:
    return read_history(folder / "records" / "history.jsonl")


def picture_text(folder: Path) -> str:
    """The SVG, whose words are drawn as shapes, each with a comment that spells it."""
    return (folder / "records" / "curves.svg").read_text(encoding="utf-8")


def test_every_evaluation_has_a_training_loss_even_in_a_run_shorter_than_a_logging_interval(
    tmp_path: Path, make_tiny: Callable[..., Any]
) -> None:
    run = trainer(tmp_path, make_tiny(), [LearningCurveCallback()])
    assert run.args.logging_steps > run.args.num_train_epochs * 6
    run.train()
    history = history_of(tmp_path)
    assert [(row["step"], row["epoch"]) for row in history] == [(6, 1.0), (12, 2.0)]
    assert all({"train_loss", "eval_loss", "learning_rate", "elapsed_seconds"} <= row.keys() for row in history)


def test_weights_are_the_same_with_and_without_it(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    weights = []
    for name, callbacks in (("with", [Alarm(0), LearningCurveCallback()]), ("without", [])):
        run = trainer(tmp_path / name, make_tiny(), callbacks)
        run.train()
        weights.append(run.model.state_dict())
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[1])


@pytest.mark.parametrize(
    ("model", "token_labels"),
    [
        (lambda: BertForTokenClassification(BertConfig(**SIZES)), True),
        (lambda: RobertaForSequenceClassification(RobertaConfig(**SIZES, pad_token_id=1)), False),
        (
            lambda: DistilBertForSequenceClassification(
                DistilBertConfig(vocab_size=40, n_layers=1, n_heads=2, dim=8, hidden_dim=8, max_position_embeddings=16)
            ),
            False,
        ),
    ],
    ids=["token classification", "roberta", "distilbert"],
)
def test_it_works_with_someone_elses_model_and_steps(
    tmp_path: Path, model: Callable[[], Any], token_labels: bool
) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 9, "max_steps": 9}
    trainer(tmp_path, model(), [LearningCurveCallback()], token_labels, **options).train()
    assert [(row["step"], "train_loss" in row) for row in history_of(tmp_path)] == [(9, True)]
    assert "training step (6 steps are an epoch)" in picture_text(tmp_path)


@pytest.mark.parametrize("first", ["alarm", "curve"])
def test_what_the_alarm_logs_is_in_the_row_and_in_the_picture_whichever_comes_first(
    tmp_path: Path, make_tiny: Callable[..., Any], first: str
) -> None:
    callbacks: list[Any] = [Alarm(0, 2), LearningCurveCallback()]
    run = trainer(tmp_path, make_tiny(), callbacks if first == "alarm" else callbacks[::-1])
    run.train()
    history = history_of(tmp_path)
    assert [row["gap/alarm"] for row in history] == [0, 2]
    assert all(gap_scalars(0).keys() | {"eval_loss", "train_loss"} <= row.keys() for row in history)
    assert "alarm: overfitting, from epoch 2" in picture_text(tmp_path)
    assert "overconfident" not in picture_text(tmp_path)


def test_an_evaluation_of_several_sets_is_one_row(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    sets = {"movies": rows(8), "books": rows(12)}
    run = trainer(tmp_path, make_tiny(), [LearningCurveCallback()], eval_dataset=sets)
    run.train()
    history = history_of(tmp_path)
    assert [row["step"] for row in history] == [6, 12]
    assert all({"eval_movies_loss", "eval_books_loss", "train_loss"} <= row.keys() for row in history)
    assert not any("runtime" in name or "per_second" in name for name in history[0])
    low = min(row["eval_books_loss"] for row in history)
    draw_curves(history, tmp_path / "books", "books_accuracy")
    assert f"lowest validation loss: {low:.4g} at" in (tmp_path / "books.svg").read_text()
    low = min(row["eval_movies_loss"] for row in history)
    assert f"lowest validation loss: {low:.4g} at" in picture_text(tmp_path)


@pytest.mark.parametrize(
    ("monitor", "sets", "message"),
    [
        ("films_accuracy", ("movies", "books"), r'LearningCurveCallback\(monitor="movies_films_accuracy"\)'),
        ("f1", (), r"eval_f1 is not among the metrics of the evaluation \(eval_loss\)"),
        ("movies_f1", ("movies", "books"), r'\(eval_books_loss, eval_movies_loss\).*monitor="movies_loss"'),
    ],
)
def test_what_is_certainly_not_measured_is_an_error_before_the_first_step(
    monitor: str, sets: tuple[str, ...], message: str, tmp_path: Path, make_tiny: Callable[..., Any]
) -> None:
    options = {"eval_dataset": {name: rows(8) for name in sets}} if sets else {}
    run = trainer(tmp_path, make_tiny(), [LearningCurveCallback(monitor=monitor)], **options)
    with pytest.raises(CallError, match=message):
        run.train()
    assert run.state.global_step == 0


@pytest.mark.parametrize("known", [True, False], ids=["known to the checkpoint", "unknown to it"])
def test_a_resumed_run_keeps_what_was_before_its_checkpoint_and_drops_the_rest(
    tmp_path: Path, make_tiny: Callable[..., Any], known: bool
) -> None:
    options = {"save_strategy": "epoch"}
    trainer(tmp_path, make_tiny(), [LearningCurveCallback()], **options).train()
    before = history_of(tmp_path)
    state_file = tmp_path / "checkpoint-6" / "trainer_state.json"
    state = json.loads(state_file.read_text())
    assert state["stateful_callbacks"]["LearningCurveCallback"]["attributes"] == {"evaluations": 1}
    if not known:
        del state["stateful_callbacks"]["LearningCurveCallback"]
    state_file.write_text(json.dumps(state))
    callback = LearningCurveCallback()
    run = trainer(tmp_path, make_tiny(), [callback], **options)
    run.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    after = history_of(tmp_path)
    assert [row["step"] for row in after] == [6, 12]
    assert after[0] == before[0] and after[1]["elapsed_seconds"] != before[1]["elapsed_seconds"]
    assert callback.elapsed_before == before[0]["elapsed_seconds"] < after[1]["elapsed_seconds"]


class Kill(TrainerCallback):
    """Ends a run before its step 8, as an error does."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 7:
            raise KeyboardInterrupt


def test_a_resumed_run_does_not_take_up_the_history_of_another_run(
    tmp_path: Path, make_tiny: Callable[..., Any]
) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "history.jsonl").write_text(
        '{"version": 1, "step": 4, "epoch": 0.7, "elapsed_seconds": 9.0}\n'
    )
    options = {"eval_strategy": "steps", "eval_steps": 10, "save_strategy": "steps", "save_steps": 6, "max_steps": 10}
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, make_tiny(), [LearningCurveCallback(), Kill()], **options).train()
    run = trainer(tmp_path, make_tiny(), [LearningCurveCallback()], **options)
    run.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert [row["step"] for row in history_of(tmp_path)] == [10]


def test_its_state_is_its_arguments_and_the_length_of_its_history(
    tmp_path: Path, make_tiny: Callable[..., Any]
) -> None:
    arguments = {"folder": str(tmp_path / "other"), "monitor": None, "table": False}
    run = trainer(
        tmp_path, make_tiny(), [LearningCurveCallback(**arguments)], num_train_epochs=1, save_strategy="epoch"
    )
    run.train()
    saved = json.loads((tmp_path / "checkpoint-6" / "trainer_state.json").read_text())["stateful_callbacks"]
    assert saved["LearningCurveCallback"] == {"args": arguments, "attributes": {"evaluations": 1}}
    assert len(read_history(tmp_path / "other" / "history.jsonl")) == 1


def test_evaluations_outside_training_are_not_of_the_run(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    run = trainer(tmp_path, make_tiny(), [LearningCurveCallback()], num_train_epochs=1)
    run.train()
    before = (tmp_path / "records" / "history.jsonl").read_bytes()
    run.evaluate(rows(5))
    run.predict(rows(8))
    assert (tmp_path / "records" / "history.jsonl").read_bytes() == before


def test_a_second_training_begins_a_new_history(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    run = trainer(tmp_path, make_tiny(), [LearningCurveCallback()])
    run.train()
    run.train()
    assert len(history_of(tmp_path)) == 2


def test_nan_is_left_out_and_the_file_stays_json(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    callback = LearningCurveCallback()
    run = trainer(tmp_path, make_tiny(), [callback], num_train_epochs=1, eval_on_start=True)
    with torch.no_grad():
        run.model.classifier.weight.fill_(float("nan"))
    run.train()
    for line in (tmp_path / "records" / "history.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    assert [(row["step"], "eval_loss" in row) for row in history_of(tmp_path)] == [(0, False), (6, False)]


def made_up_history(count: int) -> list[dict[str, Any]]:
    return [
        {"step": 10 * i, "epoch": float(i), "train_loss": 1 / i, "eval_loss": 0.5 + i / 50, "eval_accuracy": 0.8}
        for i in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [1, 60])
def test_pictures_are_whole_and_the_same_every_time(tmp_path: Path, count: int) -> None:
    history = [row | gap_scalars(0) for row in made_up_history(count)]
    for name in ("a.b", "c"):
        draw_curves(history, tmp_path / name)
    assert (tmp_path / "a.b.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (tmp_path / "a.b.svg").read_text().rstrip().endswith("</svg>")
    for ending in ("svg", "png"):
        assert (tmp_path / f"a.b.{ending}").read_bytes() == (tmp_path / f"c.{ending}").read_bytes()


def test_a_picture_says_which_training_loss_it_shows(tmp_path: Path) -> None:
    draw_curves(made_up_history(3), tmp_path / "running")
    running = (tmp_path / "running.svg").read_text()
    assert "training (running mean, dropout on)" in running and "95 % interval" not in running
    draw_curves([row | gap_scalars(0) for row in made_up_history(3)], tmp_path / "probe")
    probe = (tmp_path / "probe.svg").read_text()
    assert "training (probe, dropout off), 95 % interval" in probe and "running mean" not in probe


def test_a_loss_that_explodes_is_drawn_on_a_log_scale_and_one_that_is_lost_is_marked(tmp_path: Path) -> None:
    history = made_up_history(6)
    history[4] |= {"eval_loss": 1e9}
    del history[5]["eval_loss"]
    draw_curves(history, tmp_path / "curves")
    picture = (tmp_path / "curves.svg").read_text()
    assert "log scale" in picture and "validation loss not finite, from epoch 6" in picture


def test_a_user_s_own_style_is_neither_used_nor_changed(tmp_path: Path) -> None:
    import matplotlib

    draw_curves(made_up_history(2), tmp_path / "plain")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.hashsalt": "x"}):
        draw_curves(made_up_history(2), tmp_path / "styled")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "styled.svg").read_bytes()


class Doubling(Trainer):
    """Reports twice the loss, as the Trainer does for some models on two processes."""

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        output = super().evaluation_loop(*args, **kwargs)
        for name in [name for name in output.metrics if name.endswith("_loss")]:
            output.metrics[name] *= 2
        return output


@pytest.mark.parametrize("sets", [(), ("movies", "books")])
def test_of_a_wrong_loss_the_mean_over_the_texts_is_drawn_and_said_once(
    sets: tuple[str, ...], tmp_path: Path, make_tiny: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    histories = []
    for kind, name in ((Trainer, "right"), (Doubling, "wrong")):
        options = {"eval_dataset": {name: rows(8) for name in sets}} if sets else {}
        run = trainer(tmp_path / name, make_tiny(), [LearningCurveCallback()], kind=kind, **options)
        run.train()
        histories.append(history_of(tmp_path / name))
    loss = f"eval_{sets[0]}_loss" if sets else "eval_loss"
    for right, wrong in zip(*histories, strict=True):
        assert not any(name.startswith("own/") for name in right)
        assert wrong[loss] == pytest.approx(2 * right[loss], rel=1e-5)
        assert wrong[f"own/{loss}"] == pytest.approx(right[loss], rel=1e-5)
    assert sum("the curve is drawn of the mean" in message for message in caplog.messages) == 1
    lowest = min(row[loss] for row in histories[0])
    for name in ("right", "wrong"):
        assert f"lowest validation loss: {lowest:.4g} at" in picture_text(tmp_path / name)
    assert "reports another" in picture_text(tmp_path / "wrong") and "reports" not in picture_text(tmp_path / "right")


def test_losses_that_are_no_means_over_texts_are_not_compared(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = BertForTokenClassification(BertConfig(**SIZES))
    trainer(tmp_path, model, [LearningCurveCallback()], True, num_train_epochs=1, kind=Doubling).train()
    assert not any(name.startswith("own/") for name in history_of(tmp_path)[0])
    assert not any("the curve is drawn of the mean" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"logging_strategy": "no"}, [2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 14, 15]),
        ({"logging_strategy": "epoch", "num_train_epochs": 1}, [1, 2, 3, 4, 5]),
        ({"logging_strategy": "epoch", "num_train_epochs": 8}, [n for n in range(1, 41) if n % 5 in (0, 3)]),
        ({"logging_steps": 1}, list(range(1, 16))),
        ({"logging_strategy": "no", "max_steps": 3}, [1, 2, 3]),
    ],
)
def test_a_run_without_evaluations_has_its_training_loss(
    options: dict[str, Any], steps: list[int], tmp_path: Path, make_tiny: Callable[..., Any]
) -> None:
    given = {"eval_strategy": "no", "num_train_epochs": 3, "per_device_train_batch_size": 5} | options
    trainer(tmp_path, make_tiny(), [LearningCurveCallback()], **given).train()
    history = history_of(tmp_path)
    assert [row["step"] for row in history] == steps
    assert all({"epoch", "elapsed_seconds", "train_loss", "learning_rate"} <= row.keys() for row in history)
    assert "kept, the last" in picture_text(tmp_path) and (tmp_path / "records" / "curves.png").stat().st_size > 1000


def test_a_run_without_evaluations_that_is_resumed_has_one_history(
    tmp_path: Path, make_tiny: Callable[..., Any]
) -> None:
    options = {"eval_strategy": "no", "save_strategy": "steps", "save_steps": 4, "logging_strategy": "no"}
    trainer(tmp_path, make_tiny(), [LearningCurveCallback()], **options).train()
    steps = [row["step"] for row in history_of(tmp_path)]
    trainer(tmp_path, make_tiny(), [LearningCurveCallback()], **options).train(
        resume_from_checkpoint=str(tmp_path / "checkpoint-4")
    )
    assert [row["step"] for row in history_of(tmp_path)] == steps == list(range(1, 13))


@pytest.mark.parametrize(
    ("stopping", "options", "kept", "lowest"),
    [
        # Losses 0.7, 0.5, 0.6, and accuracies 0.8, 0.7, 0.9.
        ({}, {}, "kept: lowest validation loss: 0.5 at epoch 2", None),
        ({"monitor": "accuracy"}, {}, "kept, best accuracy: epoch 3, loss", "0.5 at epoch 2"),
        ({"restore_best": False}, {}, "kept, the last: epoch 3, loss 0.6", "0.5 at epoch 2"),
        (None, {}, "kept, the last: epoch 3, loss 0.6", "0.5 at epoch 2"),
        (
            {"restore_best": False},
            {"load_best_model_at_end": True, "metric_for_best_model": "loss", "save_strategy": "epoch"},
            "kept: lowest validation loss: 0.5 at epoch 2",
            None,
        ),
    ],
)
def test_the_picture_says_what_is_kept(
    stopping: dict[str, Any] | None,
    options: dict[str, Any],
    kept: str,
    lowest: str | None,
    tmp_path: Path,
    make_tiny: Callable[..., Any],
) -> None:
    scripts = {"eval_loss": [0.7, 0.5, 0.6], "eval_accuracy": [0.8, 0.7, 0.9]}

    class Script(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
            metrics |= {name: values.pop(0) for name, values in scripts.items()}

    early = [] if stopping is None else [EarlyStoppingCallback(9, **stopping)]
    callbacks = [Script(), LearningCurveCallback(), *early]  # whichever comes first
    trainer(tmp_path, make_tiny(), callbacks, num_train_epochs=3, **options).train()
    picture = " ".join(re.findall(r"<!-- (.*?) -->", picture_text(tmp_path)))
    assert kept in picture and "so far" not in picture
    assert ("lowest validation loss: " + lowest in picture) if lowest else picture.count("lowest") == 1
    assert "log loss (lower is better)" in picture and "accuracy (higher is better)" in picture


def test_a_notebook_shows_the_picture_in_place(
    tmp_path: Path, make_tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What IPython gives a kernel, as far as the callback asks; it was tried in a real one.
    (tmp_path / "IPython").mkdir()
    (tmp_path / "IPython" / "__init__.py").write_text(
        "version_info = (9,)\n\n\nclass Shell:\n    kernel = True\n\n\ndef get_ipython():\n    return Shell()\n"
    )
    (tmp_path / "IPython" / "display.py").write_text(
        "shown = []\n\n\nclass Image:\n    def __init__(self, data, format, width):\n        self.data = data\n\n\n"
        "class Handle:\n    def update(self, picture):\n        shown.append(('again', picture.data))\n\n\n"
        "def display(picture, display_id):\n    shown.append(('first', picture.data))\n    return Handle()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("IPython", "IPython.display"):
        monkeypatch.setitem(sys.modules, name, None)  # so that what is imported now is gone again afterwards
        del sys.modules[name]
    display = importlib.import_module("IPython.display")
    for share, shown in ((0.0, ["first", "again"]), (1e9, ["first", "again", "again"])):
        monkeypatch.setattr("hf_sentiment.callbacks.learning_curve.callback._DRAWING_SHARE", share)
        display.shown.clear()
        trainer(tmp_path, make_tiny(), [LearningCurveCallback()]).train()
        assert [how for how, _ in display.shown] == shown
    assert display.shown[-1][1] == (tmp_path / "records" / "curves.png").read_bytes()
    monkeypatch.setattr(sys.modules["IPython"].Shell, "kernel", None)  # IPython on a terminal
    trainer(tmp_path, make_tiny(), [LearningCurveCallback()]).train()
    assert len(display.shown) == 3


@contextlib.contextmanager
def terminal() -> Iterator[list[str]]:
    """Stderr is a terminal; afterwards the list has the lines that it shows, without what was wiped away."""
    outer, inner = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(outer, 65536):
                shown.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    lines: list[str] = []
    try:
        with os.fdopen(inner, "w", encoding="utf-8") as file, contextlib.redirect_stderr(file):
            yield lines
    finally:
        reader.join(timeout=10)
        os.close(outer)
    for line in b"".join(shown).decode("utf-8").replace("\r\n", "\n").replace("\x1b[A", "").split("\n"):
        lines.append(line.split("\r")[-1].rstrip())


def scripted(losses: list[float], alarm: Alarm) -> list[Any]:
    """Callbacks that replace what an evaluation found by a script."""

    class Script(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
            metrics["eval_loss"] = losses.pop(0)
            metrics["eval_accuracy"] = 0.75

    return [Script(), LearningCurveCallback(), alarm]


def test_a_terminal_shows_a_table_and_at_the_end_the_course(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    callbacks = scripted([0.5, 0.9], Alarm(1, 2))
    with terminal() as lines:
        trainer(tmp_path, make_tiny(), callbacks, disable_tqdm=False).train()
    assert [line for line in lines if line and "it/s" not in line] == [
        "  epoch  train probe  validation  accuracy       gap",
        "      1       0.5000      0.5000    0.7500   +0.2000   best, ▲ overconfident",
        "      2       0.5000      0.9000    0.7500   +0.2000   ▲ overfitting",
        "validation loss ▁█  lowest 0.5000 at epoch 1",
    ]


def test_the_table_can_be_turned_off(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    with terminal() as lines:
        trainer(tmp_path, make_tiny(), [LearningCurveCallback(table=False)], num_train_epochs=1).train()
    assert not any(lines) and len(history_of(tmp_path)) == 1


def test_nothing_is_printed_where_stderr_is_no_terminal(
    tmp_path: Path, make_tiny: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    trainer(tmp_path, make_tiny(), [LearningCurveCallback()], num_train_epochs=1).train()
    assert "validation" not in capfd.readouterr().err
