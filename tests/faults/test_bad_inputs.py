"""Ten thousand bad inputs: each has a right result, or one line and exit code 1 or 2."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bad_inputs
import pytest
import yaml
from bad_inputs import changed, copied, damaged, fields_of, json_lines, json_values, put, tables, words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import TrainingArguments

from hf_sentiment.commands.flags import COMMANDS
from hf_sentiment.parser import flag_words
from hf_sentiment.training.arguments import SentimentArguments

_LINES = [("good", "positive"), ("bad", "negative")] * 4
ROWS = "text,label\n" + "".join(f'"the {word} film, {i}",{label}\n' for i, (word, label) in enumerate(_LINES))


def of(few: int, many: int) -> Any:
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.faults)])


def for_all(examples: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    given(strategy)(
        settings(
            max_examples=examples,
            derandomize=examples < 100,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )(check)
    )()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An empty folder, which is the current one."""
    before = Path.cwd()
    folder = tmp_path_factory.mktemp("place")
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def good_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    import pandas as pd

    folder = tmp_path_factory.mktemp("good")
    rows = [(f"the {word} film {i}", label) for i, (word, label) in enumerate(_LINES)]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    frame.to_parquet(folder / "f.parquet")
    frame.to_excel(folder / "f.xlsx", index=False)
    frame.to_json(folder / "f.jsonl", orient="records", lines=True)
    frame.to_json(folder / "f.json", orient="records")
    frame.to_csv(folder / "f.csv", index=False)
    frame.to_csv(folder / "f.tsv", index=False, sep="\t")
    frame.to_csv(folder / "f.csv.gz", index=False)
    return {path.name[1:]: path.read_bytes() for path in folder.iterdir()}


def file_commands(model: Path, file: Path, output: Path) -> dict[str, list[str]]:
    train = ["--train_file", str(file), "--model_name_or_path", str(model)]
    return {
        "audit": ["audit", *train],
        "plan": ["plan", *train],
        "predict": ["predict", str(model), str(file), "--output", str(output)],
        "evaluate": ["evaluate", str(model), "--test_file", str(file)],
        "drop": ["evaluate", str(model), "--test_file", str(file), "--on_bad_rows", "drop", "--output", str(output)],
        "probabilities": ["evaluate", "--probabilities", str(file)],
    }


@of(30, 3000)
def test_files(examples: int, place: Path, tiny_folder: Path, good_files: dict[str, bytes]) -> None:
    made_up = {".csv": tables(), ".tsv": tables(), ".txt": tables(), ".jsonl": json_lines(), ".json": json_lines()}

    @st.composite
    def cases(draw: Any) -> tuple[str, bytes, str, str]:
        suffix = draw(st.sampled_from(sorted(good_files)))
        if suffix in made_up and draw(st.booleans()):
            content = draw(made_up[suffix])
        else:
            content = draw(damaged(good_files[draw(st.sampled_from((suffix, suffix, suffix, *sorted(good_files))))]))
        command = draw(st.sampled_from(("audit", "plan", "predict", "predict", "evaluate", "drop", "probabilities")))
        return suffix, content, command, draw(st.sampled_from((".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")))

    def check(case: tuple[str, bytes, str, str]) -> None:
        suffix, content, command, end = case
        file, output = place / f"in{suffix}", place / f"out{end if command == 'predict' else '.json'}"
        file.write_bytes(content)
        output.unlink(missing_ok=True)
        call = file_commands(tiny_folder, file, output)[command]
        bad_inputs.judge(call, output if str(output) in call else None)

    for_all(examples, cases(), check)


@of(30, 1500)
def test_recipes(examples: int, place: Path, tiny_folder: Path) -> None:
    (place / "good.csv").write_text(ROWS)
    names = st.sampled_from(sorted({*fields_of(SentimentArguments, TrainingArguments), "recipe", "", "x"}))
    mappings = st.dictionaries(names, words | json_values, max_size=3)
    base = f"train_file: {place / 'good.csv'}\nmodel_name_or_path: {tiny_folder}\n"

    def check(case: Any) -> None:
        content, command = case
        if isinstance(content, dict):
            content = (base + (yaml.safe_dump(content) if content else "")).encode("utf-8", "replace")
        (place / "r.yaml").write_bytes(content)
        bad_inputs.judge([command, str(place / "r.yaml")])

    made = (
        mappings
        | damaged((base + "labels: [negative, positive]\nlearning_rate: 2e-5\n").encode())
        | st.binary(max_size=30)
    )
    for_all(examples, st.tuples(made, st.sampled_from(("plan", "audit"))), check)


@of(30, 1500)
def test_flags(examples: int, place: Path, tiny_folder: Path) -> None:
    (place / "good.csv").write_text(ROWS)
    starts = {
        "plan": ["plan", "--train_file", "good.csv", "--model_name_or_path", str(tiny_folder)],
        "audit": ["audit", "--train_file", "good.csv", "--model_name_or_path", str(tiny_folder)],
        "evaluate": ["evaluate", str(tiny_folder), "--test_file", "good.csv"],
        "predict": ["predict", str(tiny_folder), "good.csv"],
        "publish": ["publish", str(tiny_folder), "me/x", "--dry_run"],
        "export": ["export", str(tiny_folder)],
    }

    @st.composite
    def cases(draw: Any) -> list[str]:
        name = draw(st.sampled_from(sorted(starts)))
        kinds = [COMMANDS[name], *((SentimentArguments, TrainingArguments) if COMMANDS[name].trains else ())]
        flags = sorted(set(fields_of(*kinds)) - {"output", "report", "fix", "dry_run", "host", "debug", "public"})
        said = list(starts[name])
        for _ in range(draw(st.integers(1, 3))):
            flag = draw(st.sampled_from(flags))
            value = draw(
                words | st.integers(-3, 10).map(str) | st.floats().map(str) | st.sampled_from(("good.csv", "."))
            )
            said += draw(
                st.sampled_from(
                    ([f"--{flag}", value], [f"--{flag}={value}"], [f"--{flag}"], [value], flag_words(flag, value))
                )
            )
        return said

    def check(said: list[str]) -> None:
        bad_inputs.judge(said)

    for_all(examples, cases(), check)


@of(20, 800)
def test_texts(examples: int, place: Path, tiny_folder: Path) -> None:
    """As many rows out as in, in their order; a text is labelled alike whatever stands beside it."""

    def check(texts: list[str]) -> None:
        file = place / "texts.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, *texts[::-1]]))
        code, out, err = bad_inputs.judge(["predict", str(tiny_folder), str(file)])
        assert code == 0, err
        rows = [json.loads(line) for line in out.split("\n")[:-1]]
        assert [row["text"] for row in rows] == [*texts, *texts[::-1]]
        scores = [row.get("scores") for row in rows]
        for one, two in zip(scores[: len(texts)], scores[::-1], strict=False):
            assert (one is None) == (two is None)
            if one and two:
                assert sum(one.values()) == pytest.approx(1, abs=1e-3)
                assert one["positive"] == pytest.approx(two["positive"], abs=1e-4)

    long = st.tuples(words, st.integers(1, 300)).map(lambda made: made[0] * made[1])
    for_all(examples, st.lists(words | st.text() | long, min_size=1, max_size=6), check)


@of(20, 800)
def test_labels(examples: int, place: Path, tiny_folder: Path) -> None:
    values = (
        st.sampled_from(("1", "5", "0", "2", "0.5", "-1", "4 stars", "positive", "neg", "5星", "yes", "no")) | words
    )

    def check(case: Any) -> None:
        labels, command, more = case
        file = place / "labels.jsonl"
        file.write_text(
            "".join(json.dumps({"text": f"the good film {i}", "label": label}) + "\n" for i, label in enumerate(labels))
        )
        call = file_commands(tiny_folder, file, place / "none")[command]
        bad_inputs.judge([*call, *more])

    few = st.lists(values | json_values, min_size=1, max_size=4)
    many = st.tuples(few, st.lists(st.integers(0, 3), min_size=1, max_size=40)).map(
        lambda made: [made[0][i % len(made[0])] for i in made[1]]
    )
    more = st.sampled_from(([], ["--on_bad_rows", "drop"], ["--num_labels", "2"], ["--labels", "negative,positive"]))
    for_all(examples, st.tuples(many, st.sampled_from(("plan", "audit")), more), check)


@of(20, 1000)
def test_configs(examples: int, place: Path, tiny_folder: Path) -> None:
    config = json.loads((tiny_folder / "config.json").read_text())

    def check(case: Any) -> None:
        content, command = case
        folder = copied(tiny_folder, place / "model")
        (folder / "config.json").write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        model_call(folder, place, command)

    contents = changed(config) | changed(config) | damaged(json.dumps(config, indent=1).encode())
    for_all(examples, st.tuples(contents, st.sampled_from(("predict", "plan", "publish"))), check)


def model_call(folder: Path, place: Path, command: str) -> None:
    (place / "few.csv").write_text(ROWS)
    calls = {
        "predict": ["predict", str(folder), "few.csv", "--output", "out.csv"],
        "plan": ["plan", "--train_file", "few.csv", "--model_name_or_path", str(folder)],
        "publish": ["publish", str(folder), "me/x", "--dry_run", "--license", "mit"],
    }
    (place / "out.csv").unlink(missing_ok=True)
    bad_inputs.judge(calls[command], Path("out.csv") if command == "predict" else None)


@of(20, 1000)
def test_model_folders(examples: int, place: Path, tiny_folder: Path, tiny_checkpoint: Path) -> None:
    files = sorted(path.name for path in tiny_folder.iterdir())

    @st.composite
    def cases(draw: Any) -> tuple[str, bytes | None, str]:
        name = draw(st.sampled_from([name for name in files if not name.endswith(".py")]))
        content = (tiny_folder / name).read_bytes()
        kind = draw(st.sampled_from(("missing", "damaged", "damaged", "exchanged", "header", "json")))
        if kind == "missing":
            return name, None, draw(st.sampled_from(("predict", "plan", "publish")))
        if kind == "exchanged":
            other = draw(st.sampled_from(files))
            content = (
                ((tiny_checkpoint if draw(st.booleans()) else tiny_folder) / other).read_bytes()
                if (tiny_checkpoint / other).exists()
                else b""
            )
        elif kind == "json" and name.endswith(".json"):
            content = json.dumps(draw(changed(json.loads(content)))).encode()
        elif kind == "header" and name.endswith(".safetensors"):
            size = struct.unpack("<Q", content[:8])[0]
            header = draw(changed(json.loads(content[8 : 8 + size])))
            made = json.dumps(header).encode()
            content = struct.pack("<Q", len(made)) + made + content[8 + size :]
        else:
            content = draw(damaged(content))
        return name, content, draw(st.sampled_from(("predict", "plan", "publish")))

    def check(case: Any) -> None:
        name, content, command = case
        folder = copied(tiny_folder, place / "model")
        put(folder / name, content)
        model_call(folder, place, command)

    for_all(examples, cases(), check)


def two_steps(checkpoint: Path, reviews: Path) -> list[str]:
    """A run with LoRA that keeps a checkpoint of each of its two steps: what is finished, and what is gone on with."""
    words = ["--model_name_or_path", str(checkpoint), "--train_file", str(reviews), "--max_steps", "2"]
    words += ["--lora", "true", "--use_cpu", "true", "--disable_tqdm", "true", "--keep_checkpoints"]
    return [*words, "--save_strategy", "steps", "--save_steps", "1"]


@pytest.fixture(scope="module")
def finished(tiny_checkpoint: Path, reviews_file: Path, finish: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finish(two_steps(tiny_checkpoint, reviews_file), tmp_path_factory.mktemp("runs") / "run")


@of(10, 800)
def test_records_and_cards(examples: int, place: Path, finished: Path) -> None:
    names = sorted(str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file())
    names = [
        name
        for name in names
        if name.startswith(("records/", "README", "adapter/")) and not name.endswith(("svg", "png"))
    ]

    @st.composite
    def cases(draw: Any) -> tuple[str, bytes | None, list[str]]:
        name = draw(st.sampled_from(names))
        content: bytes | None = (finished / name).read_bytes()
        assert content is not None
        more = draw(st.sampled_from(([], ["--adapter"], ["--stock"], ["--no_quotes"])))
        if name.endswith(".json") and draw(st.booleans()):
            return name, json.dumps(draw(changed(json.loads(content)))).encode(), more
        if name == "README.md" and draw(st.booleans()):
            head = content.split(b"---\n")
            head[1] = yaml.safe_dump(draw(changed(yaml.safe_load(head[1])))).encode()
            return name, b"---\n".join(head), more
        return name, draw(damaged(content) | st.just(None)), more

    def check(case: Any) -> None:
        name, content, more = case
        folder = copied(finished, place / "run")
        put(folder / name, content)
        bad_inputs.judge(["publish", str(folder), "me/x", "--dry_run", "--license", "mit", *more])

    for_all(examples, cases(), check)


@of(5, 300)
def test_templates(examples: int, place: Path, finished: Path) -> None:
    template = (Path(__file__).parents[2] / "model_card_templates" / "sentiment.md").read_bytes()

    def check(content: bytes) -> None:
        (place / "card.md").write_bytes(content)
        bad_inputs.judge(
            ["publish", str(finished), "me/x", "--dry_run", "--license", "mit", "--card_template", "card.md"]
        )

    for_all(examples, damaged(template) | tables(), check)


@of(5, 400)
def test_unfinished_runs(examples: int, place: Path, finished: Path, tiny_checkpoint: Path, reviews_file: Path) -> None:
    """A run with a damaged file is gone on with, begun anew, or refused by a line."""
    names = sorted(str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file())
    names = [name for name in names if name.startswith(("records/", "checkpoint", "_best"))]

    @st.composite
    def cases(draw: Any) -> tuple[str, bytes | None]:
        name = draw(st.sampled_from(names))
        content = (finished / name).read_bytes()
        if name.endswith(".json") and draw(st.booleans()):
            return name, json.dumps(draw(changed(json.loads(content)))).encode()
        return name, draw(damaged(content) | st.just(None))

    def check(case: Any) -> None:
        name, content = case
        folder = copied(finished, place / "unfinished")
        (folder / "records" / "evaluation.json").unlink()
        if content is None:
            (folder / name).unlink(missing_ok=True)
        elif not name.endswith("evaluation.json"):
            (folder / name).write_bytes(content)
        bad_inputs.judge(["train", *two_steps(tiny_checkpoint, reviews_file), "--output_dir", str(folder)])

    for_all(examples, cases(), check)
