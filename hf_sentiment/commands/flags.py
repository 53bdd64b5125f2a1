"""The commands as the command line has them: each is one dataclass of flags, and one call of what Python calls.

It imports neither torch nor transformers before a command runs, so that a help is quick and a wrong call answered soon.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hf_sentiment.commands.command import Command, quieten_libraries, say
from hf_sentiment.errors import CallError
from hf_sentiment.parser import FlagParser, Recipe, flag, switch, word
from hf_sentiment.records.atomic import refuse_existing, write_atomically

# Helps of flags that several commands have.
_LONG_TEXTS = "How texts longer than those that the model learned from are read: pieces or cut. Default: its own rule."
_BACKEND = "'torch'; of an exported folder 'onnx', 'onnx-int8', 'openvino', 'openvino-bf16' or 'openvino-int8'."
_JSON = "Print the result as JSON on stdout."


@dataclass(frozen=True, kw_only=True)
class Train(Command):
    """Fine-tune a model, measure it, and write a run folder.

    Every argument of transformers.TrainingArguments is taken as well: --learning_rate, --num_train_epochs,
    --per_device_train_batch_size, --seed, --bf16, --report_to, ... A recipe is a YAML file of the same names. What is
    left out is planned from the data: `hf-sentiment plan` shows it. --output_dir is required. The same command again
    goes on with an unfinished run, and changes nothing in a finished one.
    """

    trains: ClassVar[bool] = True
    json: bool = switch(_JSON)

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Train, and say what to do next."""
        from hf_sentiment.commands.train import train
        from hf_sentiment.compute.processes import is_main

        quieten_libraries()
        with contextlib.redirect_stdout(sys.stderr):  # the Trainer prints its logs
            result = train(**arguments)
        if result is not None and is_main():
            folder = shlex.quote(str(result.folder))
            say(f"Done: {result.folder}. Try: hf-sentiment predict {folder} FILE.csv, or read its README.md")
        if self.json and is_main():
            print((Path(arguments["output_dir"]) / "records" / "evaluation.json").read_text(encoding="utf-8"), end="")
        return 0


@dataclass(frozen=True, kw_only=True)
class Sweep(Command):
    """Try settings around the plan, and train the best; the test split is used once, at the end.

    The arguments and recipes of `hf-sentiment train` are taken, and what they say is not varied. --folds judges trials
    by so many folds, where there is no validation split anyway; --seeds is of the best ones. The same command again
    goes on with an unfinished sweep.
    """

    trains: ClassVar[bool] = True
    trials: int = flag(20, "Settings to try; the first is the plan.")
    jobs: int = flag(1, "Processes at the same time, which share the threads.")
    space: str | None = flag(None, "A YAML file of what is varied. Default: what the plan leaves open.")
    repeat: int = flag(3, "How many of the best are repeated with other seeds, the plan besides.")
    backend: str = flag("local", "'local', or 'ray' for a cluster: that of RAY_ADDRESS, or one on this machine.")
    json: bool = switch(_JSON)

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Sweep, and say what to do next."""
        from hf_sentiment.commands.sweep import sweep

        quieten_libraries()
        with contextlib.redirect_stdout(sys.stderr):
            result = sweep(**arguments, **_without(self, "json"))
        folder = Path(arguments["output_dir"])
        if result is not None:
            say(f"Done: {folder}. Its table is in records/sweep.json, its pictures beside it, the choice in README.md")
        if self.json:
            print((folder / "records" / "sweep.json").read_text(encoding="utf-8"), end="")
        return 0


@dataclass(frozen=True, kw_only=True)
class Plan(Command):
    """Show what `train` would do, and why, and train nothing.

    The arguments and recipes of `hf-sentiment train` are taken, those of transformers.TrainingArguments included.
    """

    trains: ClassVar[bool] = True
    json: bool = switch(_JSON)

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Print the plan."""
        from hf_sentiment.commands.plan import plan

        quieten_libraries()
        result = plan(**arguments)
        width = _columns() if sys.stdout.isatty() else None  # a decision stays in one line for grep
        for line in [json.dumps(result.to_dict())] if self.json else result.lines(width):
            print(line)
        return 0


@dataclass(frozen=True, kw_only=True)
class Audit(Command):
    """Check the data before training, and write cleaned copies.

    The arguments and recipes of `hf-sentiment train` are taken; those of training have no effect. Exit code: 0 if
    nothing is worse than a warning, 1 if there are errors, 2 if the call was wrong.
    """

    trains: ClassVar[bool] = True
    label_errors: bool | None = flag(None, "Look for probable label errors. Default: up to 5,000 texts.")
    fix: str | None = flag(None, "Write cleaned copies of the files into this folder.")
    overwrite: bool = flag(False, "Replace the copies that are in the folder of --fix.")
    output: Path | None = flag(None, "Write the report there as JSON, with up to 1,000 rows a finding.")
    json: bool = switch(_JSON)

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Print the report; the exit code is 1 where it has errors."""
        # Before minutes of work, and before seconds of imports.
        if self.output is not None:
            refuse_existing(self.output)
        from hf_sentiment.commands.audit import audit

        quieten_libraries()
        result = audit(**arguments, label_errors=self.label_errors, fix=self.fix, overwrite=self.overwrite)
        for line in result.lines(_columns()):
            say(line)
        _leave(result.to_dict(), self.output, self.json)
        return 1 if result.severity == "error" else 0


@dataclass(frozen=True, kw_only=True)
class Evaluate(Command):
    """Measure a model on labelled texts, with 95 % intervals.

    --probabilities measures any other system instead: leave MODEL out. Its file has a column p_LABEL or LABEL for each
    label, or `scores` in JSON lines. Its rows are found by the column of the texts, where it has that, or by their
    order. --test_file may be left out where the file has the given labels too.
    """

    model: str | None = word("MODEL", "A trained model's folder or a Hub id.", None)
    test_file: str | None = flag(None, "Labelled file.")
    dataset_name: str | None = flag(None, "Data set whose test split is used.")
    probabilities: str | None = flag(None, "File of the probabilities of another system, in place of MODEL.")
    against: str | None = flag(None, "Another model, or a file of its probabilities, to compare with.")
    slices: list[str] | None = flag(None, "Columns of the labelled file, to measure by their values too.")
    text_column: str | None = flag(None, "Column of the texts. Default: guessed, if only one column can be it.")
    label_column: str | None = flag(None, "Column of the labels. Default: guessed, if only one column can be it.")
    encoding: str | None = flag(None, "Encoding of a text file, such as windows-1252, if it is not found out.")
    on_bad_rows: str = flag("error", "Rows without text or known label: 'error' stops at them, 'drop' goes on.")
    output: Path | None = flag(None, "Write the report there as JSON.")
    report: Path | None = flag(None, "Write the report there as an HTML page to hand on; it quotes texts.")
    revision: str | None = flag(None, "Branch, tag or commit of a Hub repository.")
    backend: str = flag("torch", _BACKEND)
    long_texts: str | None = flag(None, _LONG_TEXTS)
    num_threads: int | None = flag(None, "CPU threads.")
    json: bool = switch(_JSON)

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Print the report."""
        files: dict[str, Path] = {name: file for name in ("output", "report") if (file := getattr(self, name))}
        for name, file in files.items():
            refuse_existing(file, f"--{name}")
        if self.report is not None and self.report.suffix.lower() != ".html":
            raise CallError(f"--report {self.report} is an HTML page: give it a name that ends in .html")
        if self.model is not None:
            _find_model(self.model, self.revision)
        from hf_sentiment.commands.evaluate import evaluate, shown_name
        from hf_sentiment.evaluation.report import report_lines
        from hf_sentiment.records.serialization import as_record

        quieten_libraries()
        report = evaluate(**_without(self, "output", "report", "json"))
        if self.report is not None:
            from hf_sentiment.report.page import evaluation_html

            write_atomically(self.report, evaluation_html(report, shown_name(str(self.model or self.probabilities))))
        _leave(as_record(report), self.output, self.json)
        for line in [*report_lines(report), *(f"Written: {file}" for file in files.values())]:
            say(line)
        return 0


@dataclass(frozen=True, kw_only=True)
class Predict(Command):
    """Label the texts of a file: all its rows and columns, in its order.

    Of a folder, all files in it are read, and a column in front names the file of each row. With a folder for --output
    each file becomes one there. The same command again goes on with an output that was stopped.
    """

    model: str = word("MODEL", "A trained model's folder or a Hub id.")
    data: str = word(
        "FILE", "CSV, TSV, JSONL, Excel, Parquet, or a text a line; a folder of them; - is standard input."
    )
    text_column: str | None = flag(None, "Column of the texts. Default: guessed, if only one column can be it.")
    output: str | None = flag(None, "A .csv, .tsv, .xlsx, .parquet or .jsonl file, or a folder. Default: stdout.")
    columns: str | None = flag(None, "Columns of the file to keep: id,date; '' keeps none. Default: all.")
    encoding: str | None = flag(None, "Encoding of a text file, such as windows-1252, if it is not found out.")
    revision: str | None = flag(None, "Branch, tag or commit of a Hub repository.")
    long_texts: str | None = flag(None, _LONG_TEXTS)
    num_threads: int | None = flag(None, "CPU threads; with --engine ray of each process, by default 1.")
    backend: str = flag("torch", _BACKEND)
    engine: str = flag("local", "'ray': of a folder into a folder, on all cores or on the cluster of RAY_ADDRESS.")

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Write the predictions, and say how many there are."""
        _find_model(self.model, self.revision)
        from hf_sentiment.commands.predict import predict

        quieten_libraries(self.backend == "torch")
        done = predict(**vars(self))
        sys.stdout.flush()  # before the last line is said: the reader may have had enough
        say(str(done))
        return 0


@dataclass(frozen=True, kw_only=True)
class Demo(Command):
    """Serve a page that labels texts and files, on this machine alone."""

    model: str = word("MODEL", "A trained model's folder or a Hub id.")
    host: str = flag("127.0.0.1", "Address to listen on; 0.0.0.0 lets other machines in, without a password.")
    port: int = flag(7860, "Port to listen on; 0 takes any that is free.")
    revision: str | None = flag(None, "Branch, tag or commit of a Hub repository.")
    num_threads: int | None = flag(None, "CPU threads.")

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Serve until Ctrl-C."""
        _find_model(self.model, self.revision)
        from hf_sentiment.commands.demo import demo

        quieten_libraries()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill ends it as Ctrl-C does
        demo(**vars(self))
        # At once: a file that is being labelled is not waited for.
        os._exit(0)


@dataclass(frozen=True, kw_only=True)
class Export(Command):
    """Write a model as ONNX or OpenVINO, compared with torch: a folder for `predict --backend` and other engines.

    With --int8 a model of 8-bit weights is written beside it, if at most 2 % of the labels change, and accuracy falls
    by at most 0.5 points.
    """

    model: str = word("MODEL", "A trained model's folder or a Hub id.")
    format: str = flag("onnx", "'onnx' or 'openvino'.")
    output: Path | None = flag(None, "The folder to write, which is not there yet.")
    int8: bool = switch("Write 8-bit weights too, measured on the given texts.")
    force: bool = switch("Keep the 8 bits, whatever they cost.")
    test_file: str | None = flag(None, "Labelled file to measure on.")
    dataset_name: str | None = flag(None, "Data set whose test split is measured on.")
    text_file: str | None = flag(None, "File of texts without labels to measure agreement on.")
    text_column: str | None = flag(None, "Column of the texts. Default: guessed, if only one column can be it.")
    label_column: str | None = flag(None, "Column of the labels. Default: guessed, if only one column can be it.")
    encoding: str | None = flag(None, "Encoding of a text file, such as windows-1252, if it is not found out.")
    revision: str | None = flag(None, "Branch, tag or commit of a Hub repository.")
    num_threads: int | None = flag(None, "CPU threads.")
    json: bool = switch(_JSON)

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Write the folder, and say how far it is from torch."""
        if self.output is None:
            raise CallError("name the folder to write: --output DIR")
        refuse_existing(self.output)
        _find_model(self.model, self.revision)
        from hf_sentiment.commands.export import export
        from hf_sentiment.records.serialization import as_record

        quieten_libraries()
        record = export(output=self.output, **_without(self, "output", "json"))
        say(f"Largest difference of a logit from torch: {record.largest_difference:.1g}, on {record.texts} texts")
        more = f", or {self.format}-int8" if self.int8 else ""
        say(f"Done: {self.output}. Try: hf-sentiment predict {self.output} FILE.csv --backend {self.format}{more}")
        if self.json:
            print(json.dumps(as_record(record)))
        return 0


@dataclass(frozen=True, kw_only=True)
class Publish(Command):
    """Publish a run on the Hub, verified, or not at all."""

    folder: str = word("RUN", "A run's --output_dir, or a trained model's folder.")
    repo_id: str = word("OWNER/NAME", "The repository on the Hub.")
    public: bool = switch("For everybody to see; otherwise private.")
    adapter: bool = switch("The LoRA adapter instead of the merged model.")
    stock: bool = switch("As a class of transformers or sentence-transformers with the same logits: no remote code.")
    create_pr: bool = switch("Open a pull request instead of changing main.")
    space: bool = switch("Make a Space with the page of `demo`, too.")
    dry_run: bool = switch("Make the folder, say what would be sent, and stop.")
    card_template: str | None = flag(None, "Your own Jinja template of README.md.")
    license: str | None = flag(None, "Licence of the model, from the Hub's list. Default: the base's, if known.")
    language: str | None = flag(None, "Language of the texts, such as en. Default: found out, if certain.")
    base_model: str | None = flag(None, "The base's Hub id, if the run lacks it.")
    package_source: str | None = flag(
        None, "Where others get this package, for the card: git+https://…@COMMIT or a wheel's https address."
    )
    no_quotes: bool = switch("Quote no texts of the data on the card.")
    json: bool = switch(_JSON)

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Publish, and print the address."""
        # Before torch and the Hub's client are imported.
        from hf_sentiment.records.folder import existing_folder

        existing_folder(self.folder)
        from hf_sentiment.hub.publish import publish

        quieten_libraries()
        # On the command line what is left out is the usual: quotes are, so the switch is `--no_quotes`.
        call = _without(self, "json", "card_template", "no_quotes")
        published = publish(**call, template=self.card_template, quote_texts=not self.no_quotes)
        if not self.dry_run:
            say(f'To stay at this version, put revision="{published.commit}" where the card has "main"')
            if published.space is not None:
                say(f"The page: {published.space}")
            say(f"Done: {published.url}")
        if self.json:
            record = dataclasses.asdict(published)
            print(json.dumps(record | {"folder": None if published.folder is None else str(published.folder)}))
        elif not self.dry_run:
            print(published.url)
        return 0


# In the order of a user's way, which is that of the help.
_ALL = (Train, Sweep, Plan, Audit, Evaluate, Predict, Export, Demo, Publish)
COMMANDS: dict[str, type[Command]] = {command.__name__.lower(): command for command in _ALL}


def help_of(name: str) -> str:
    """The help of a command: its words and flags, one spelling each.

    Args:
        name: One of `COMMANDS`.
    """
    from hf_sentiment.training.arguments import SentimentArguments

    command = COMMANDS[name]
    kinds = [command, *((Recipe, SentimentArguments) if command.trains else ())]
    first, _, rest = (command.__doc__ or "").partition("\n\n")
    parser = FlagParser(f"hf-sentiment {name}", *kinds, both=False)
    fields = [field for field in dataclasses.fields(command) if "word" in field.metadata]
    needed = {field.metadata["word"]: field.default is dataclasses.MISSING for field in fields}
    words = [word if is_needed else f"[{word}]" for word, is_needed in needed.items()]
    # argparse's own usage would repeat every flag.
    parser.usage = " ".join([parser.prog, *(["[RECIPE.yaml]"] if command.trains else words), "[--name value ...]"])
    parser.description, parser.epilog = first, " ".join(rest.split())
    return parser.format_help()


def _columns() -> int:
    return shutil.get_terminal_size((120, 24)).columns


def _find_model(model: str, revision: str | None) -> None:
    """A wrong name is said before torch is imported, which takes seconds."""
    from hf_sentiment.inference.locating import find_checkpoint

    find_checkpoint(model, revision)


def _without(command: Command, *names: str) -> dict[str, Any]:
    """The flags but those of these names, as keyword arguments."""
    return {name: value for name, value in vars(command).items() if name not in names}


def _leave(report: Mapping[str, Any], output: Path | None, on_stdout: bool) -> None:
    """Write a report as JSON to where it was asked for."""
    from hf_sentiment.records.atomic import write_json

    if output is not None:
        write_json(output, report)
    if on_stdout:
        print(json.dumps(report))
