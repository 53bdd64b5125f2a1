"""The command `hf-sentiment`: each command is one call into a room of the package.

Everything for people goes to stderr; stdout carries results alone. Exit codes: 0 done, 1 the work failed or the audit
found errors, 2 the call was wrong. An error is one line; `--debug` shows the traceback.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import logging
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_sentiment.compute.threads import wait_briefly
from hf_sentiment.errors import SentimentError
from hf_sentiment.records.atomic import refuse_existing

app = typer.Typer(
    name="hf-sentiment",
    help="Fine-tune a BERT for sentiment, measure, use and publish it.",
    epilog="`hf-sentiment COMMAND --help` says what a command takes. --debug shows the traceback of an error.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# The base of typer's errors about a call. typer has its own copy of click, whose names it does not all export.
_UsageError: Any = typer.BadParameter.__bases__[0]
_FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A trained model's folder or a Hub id.")]
TextColumn = Annotated[str | None, typer.Option("--text_column", "--text-column", help="Column of the texts.")]
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", help="Encoding of a text file, such as windows-1252, if it is not found out."),
]
Revision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a Hub repository.")]
Threads = Annotated[int | None, typer.Option("--num_threads", "--num-threads", min=1, help="CPU threads.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from hf_sentiment import __version__

        print(f"hf-sentiment {__version__}")


@app.command("train", context_settings=_FORWARD)
def train_command(context: typer.Context) -> None:
    """Fine-tune a model; `train --help` lists the arguments."""
    words, as_json, wants_help = _forwarded(context)
    if wants_help:
        _print_train_help()
        return
    from hf_sentiment.training.arguments import SentimentArguments, parse_call

    sentiment, training = parse_call(words)
    arguments = SentimentArguments(**sentiment)
    from hf_sentiment.commands.train import train

    _quieten_libraries()
    with contextlib.redirect_stdout(sys.stderr):  # the Trainer prints its logs
        result = train(arguments, **training)
    if result is not None:
        folder = result.folder
        _say(f"Done: {folder}. Try: hf-sentiment predict {shlex.quote(str(folder))} FILE.csv, or read its README.md")
    if as_json:
        print((Path(training["output_dir"]) / "records" / "evaluation.json").read_text(encoding="utf-8"), end="")


def _forwarded(context: typer.Context) -> tuple[list[str], bool, bool]:
    """The words for a parser of its own, and whether `--json` and help were asked for."""
    words = [word for word in context.args if word != "--json"]
    return words, "--json" in context.args, "--help" in words or "-h" in words


def _print_train_help() -> None:
    from hf_sentiment.training.arguments import RecipeParser, SentimentArguments

    text = RecipeParser([SentimentArguments]).help_of(
        "hf-sentiment train [RECIPE.yaml] --output_dir DIR",
        "Every argument of transformers.TrainingArguments is accepted as well: --learning_rate, --num_train_epochs, "
        "--per_device_train_batch_size, --seed, --bf16, --report_to, ...  A recipe is a YAML file of the same names; "
        "flags override it. What is left out is planned from the data: `hf-sentiment plan` shows it. The same command "
        "again goes on with an unfinished run, and changes nothing in a finished one. --json prints the evaluation on "
        "stdout.",
    )
    print(text)


@app.command("plan", context_settings=_FORWARD)
def plan_command(context: typer.Context) -> None:
    """Show what `train` would do, and why, and train nothing."""
    words, as_json, wants_help = _forwarded(context)
    if wants_help:
        print(
            "hf-sentiment plan [RECIPE.yaml] [--name value ...] [--json]: the arguments of `hf-sentiment train --help`"
        )
        return
    from hf_sentiment.records.serialisation import as_record
    from hf_sentiment.training.arguments import SentimentArguments, parse_call
    from hf_sentiment.training.assemble import prepare_plan
    from hf_sentiment.training.plan import plan_lines, plan_record

    sentiment, training = parse_call(words)
    arguments = SentimentArguments(**sentiment)
    _quieten_libraries()
    planned = prepare_plan(arguments, training)
    if as_json:
        print(json.dumps(as_record(plan_record(planned.plan))))
        return
    for line in plan_lines(planned.plan, sources=True):
        print(line)


@app.command("audit", context_settings=_FORWARD)
def audit_command(context: typer.Context) -> None:
    """Check the data before training, and write cleaned copies."""
    words, as_json, wants_help = _forwarded(context)
    from hf_sentiment.commands.audit import audit_data, audit_help, parse_audit

    if wants_help:
        print(audit_help())
        return
    arguments, own, training = parse_audit(words)
    output = None if own.output is None else Path(own.output)
    if output is not None:
        refuse_existing(output)
    from hf_sentiment.records.atomic import write_json

    _quieten_libraries()
    result = audit_data(arguments, label_errors=own.label_errors, fix=own.fix, overwrite=own.overwrite, **training)
    for line in result.lines(shutil.get_terminal_size((120, 24)).columns):
        _say(line)
    if output is not None:
        write_json(output, result.to_dict())
    if as_json:
        print(json.dumps(result.to_dict()))
    if result.severity == "error":
        raise typer.Exit(1)


@app.command("evaluate")
def evaluate_command(
    model: Model,
    test_file: Annotated[str | None, typer.Option("--test_file", "--test-file", help="Labelled file.")] = None,
    dataset_name: Annotated[
        str | None, typer.Option("--dataset_name", "--dataset-name", help="Data set whose test split is used.")
    ] = None,
    text_column: TextColumn = None,
    label_column: Annotated[
        str | None, typer.Option("--label_column", "--label-column", help="Column of the labels.")
    ] = None,
    encoding: Encoding = None,
    on_bad_rows: Annotated[str, typer.Option("--on_bad_rows", "--on-bad-rows", help="'error' or 'drop'.")] = "error",
    output: Annotated[Path | None, typer.Option("--output", help="Write the report there as JSON.")] = None,
    revision: Revision = None,
    num_threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on labelled texts, with 95 % intervals."""
    if output is not None:
        refuse_existing(output)
    _find_model(model, revision)
    from hf_sentiment.commands.evaluate import evaluate_model
    from hf_sentiment.evaluation.report import report_lines
    from hf_sentiment.records.serialisation import as_record, write_record

    _quieten_libraries()
    report = evaluate_model(
        model,
        test_file=test_file,
        dataset_name=dataset_name,
        text_column=text_column,
        label_column=label_column,
        encoding=encoding,
        on_bad_rows=on_bad_rows,
        revision=revision,
        num_threads=num_threads,
    )
    for line in report_lines(report):
        _say(line)
    if output is not None:
        write_record(output, report)
    if as_json:
        print(json.dumps(as_record(report)))


@app.command("predict")
def predict_command(
    model: Model,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV, TSV, JSONL, Excel or Parquet; - reads a text a line.")
    ],
    text_column: TextColumn = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="A .csv, .tsv, .xlsx or .jsonl file; by default JSON lines on stdout."),
    ] = None,
    encoding: Encoding = None,
    backend: Annotated[str, typer.Option("--backend", help="torch.")] = "torch",
    revision: Revision = None,
    num_threads: Threads = None,
) -> None:
    """Label the texts of a file: all its rows and columns, in its order."""
    _find_model(model, revision)
    from hf_sentiment.commands.predict import predict_file

    _quieten_libraries()
    try:
        done = predict_file(
            model,
            file,
            text_column=text_column,
            output=output,
            encoding=encoding,
            backend=backend,
            revision=revision,
            num_threads=num_threads,
        )
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has had enough, as `head` has after some lines
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would flush into the pipe again
        return
    _say(str(done))


@app.command("publish")
def publish_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's --output_dir, or a trained model's folder.")],
    repo_id: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the Hub.")],
    public: Annotated[bool, typer.Option("--public", help="For everybody to see; otherwise private.")] = False,
    adapter: Annotated[bool, typer.Option("--adapter", help="The LoRA adapter instead of the merged model.")] = False,
    create_pr: Annotated[
        bool, typer.Option("--create_pr", "--create-pr", help="Open a pull request instead of changing main.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry_run", "--dry-run", help="Make the folder, say what would be sent, and stop."),
    ] = False,
    card_template: Annotated[
        Path | None, typer.Option("--card_template", "--card-template", help="Your own Jinja template of README.md.")
    ] = None,
    license: Annotated[
        str | None, typer.Option("--license", help="Of the model, from the Hub's list. Default: the base's, if known.")
    ] = None,
    language: Annotated[
        str | None,
        typer.Option("--language", help="Of the texts, such as en. Default: found out, if certain."),
    ] = None,
    base_model: Annotated[
        str | None, typer.Option("--base_model", "--base-model", help="The base's Hub id, if the run lacks it.")
    ] = None,
    package_source: Annotated[
        str | None,
        typer.Option(
            "--package_source",
            "--package-source",
            help="Where others get this package, for the card: git+https://…@COMMIT or a wheel's https address.",
        ),
    ] = None,
    no_quotes: Annotated[
        bool, typer.Option("--no_quotes", "--no-quotes", help="Quote no texts of the data on the card.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a run on the Hub, verified, or not at all."""
    from hf_sentiment.records.folder import existing_folder

    existing_folder(folder)
    from hf_sentiment.hub.publish import publish

    _quieten_libraries()
    published = publish(
        folder,
        repo_id,
        public=public,
        adapter=adapter,
        create_pr=create_pr,
        dry_run=dry_run,
        template=card_template,
        license=license,
        language=language,
        base_model=base_model,
        quote_texts=not no_quotes,
        package_source=package_source,
    )
    if not dry_run:
        _say(f'To stay at this version, put revision="{published.commit}" where the card has "main"')
        _say(f"Done: {published.url}")
    if as_json:
        record = dataclasses.asdict(published)
        print(json.dumps(record | {"folder": None if published.folder is None else str(published.folder)}))
    elif not dry_run:
        print(published.url)


def _find_model(model: str, revision: str | None) -> None:
    """A wrong name is said before torch is imported, which takes seconds."""
    from hf_sentiment.inference.locating import find_checkpoint

    find_checkpoint(model, revision)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _set_up_logging() -> None:
    """Our own messages on stderr, plain; the libraries' from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("hf_sentiment")
    package.handlers = [handler]
    package.setLevel(logging.INFO)
    package.propagate = False


def _quieten_libraries() -> None:
    """Leave one progress bar, that of the work: loading and saving take a moment each."""
    import datasets
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    _set_up_logging()
    wait_briefly()
    sys.exit(_run(words, debug))


def _run(words: list[str], debug: bool) -> int:
    try:
        code = app(words or ["--help"], standalone_mode=False)
        if code == 1:  # a command that did its work, and found errors in the data
            return 1
        if code:  # typer answers Ctrl-C by a code of its own
            return _failed("stopped", 1)
    except SentimentError as error:
        if debug:
            raise
        return _failed(str(error), error.exit_code)
    except _UsageError as error:
        return _failed(f"{error.format_message().rstrip('.')}: `hf-sentiment --help` lists the commands", 2)
    except (KeyboardInterrupt, typer.Abort):
        return _failed("stopped", 1)
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        remedies = {errno.ENOSPC: "make room there, or name another place", errno.EDQUOT: "make room there"}
        remedies |= dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "name another place, or change its rights")
        return _failed(f"{where}{error.strerror or error}: {remedies.get(error.errno or 0, '--debug shows where')}", 1)
    except Exception as error:  # the last stop: one line for a person, the traceback on request
        if debug:
            raise
        reason = (str(error).strip().splitlines() or [""])[0]
        return _failed(f"{type(error).__name__}: {reason} (--debug shows where)", 1)
    return 0


def _failed(message: str, code: int) -> int:
    if "tqdm" in sys.modules:  # a bar that was under way has left the cursor in its line
        for bar in list(getattr(sys.modules["tqdm"].tqdm, "_instances", ())):
            bar.close()
    _say(f"error: {message}")
    return code
