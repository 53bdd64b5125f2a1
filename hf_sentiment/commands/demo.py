"""`demo`: a page in the browser for one model. `publish --space` puts this very file into a Space, as its `app.py`."""

from __future__ import annotations

import errno
import gzip
import html
import importlib.util
import logging
import os
import socket
import tempfile
import threading
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from huggingface_hub import metadata_load, snapshot_download

from hf_sentiment.commands.predict import write_file
from hf_sentiment.errors import CallError, SentimentError, first_line, missing_extra
from hf_sentiment.inference.classifier import Prediction, SentimentClassifier
from hf_sentiment.inference.locating import find_checkpoint
from hf_sentiment.inference.outputs import OUTPUTS
from hf_sentiment.inference.rows import read_rows
from hf_sentiment.records.read import read_evaluation

if TYPE_CHECKING:
    import gradio as gr

logger = logging.getLogger("hf_sentiment.commands.demo")  # in a Space this module has another name

CHARACTERS, MEGABYTES, ROWS, WAITING = 20_000, 20, 50_000, 20
LIMITS = (
    f"A text has at most {CHARACTERS:,} characters, a file {MEGABYTES} MB and {ROWS:,} rows. Texts are labelled one "
    f"after another, and so are files; {WAITING} may wait. Files are removed after an hour, and when the page ends."
)
NEUTRAL = ["An absolute delight from start to finish.", "It broke after two days, and nobody answered my letter."]
# Texts in any direction of writing; what is wide scrolls in its own place; the picture is readable on a dark page.
STYLE = """
.gradio-container { width: 100% !important; max-width: 1000px !important; margin: auto }
textarea, .result, .result * { unicode-bidi: plaintext; text-align: start }
.empty { min-height: 140px !important }
.sheet { background: white; width: 100%; contain: inline-size; overflow-x: auto; border-radius: 6px }
.sheet img { display: block; width: 100%; min-width: 600px }
iframe.sheet { height: 85vh; border: 0; color-scheme: light }
.dark .sheet { background: none; color-scheme: dark }
.dark .sheet img { filter: invert(0.91) hue-rotate(180deg) }
"""


def demo(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    revision: str | None = None,
    num_threads: int | None = None,
) -> None:
    """Serve a page that labels texts and files, and shows the curves and the report of a run, until Ctrl-C.

    Nothing is asked of the network: neither by the page, nor by the server once the model is there.

    Args:
        model: A folder or Hub id.
        host: The address to listen on; only that of this machine by default.
        port: The port; 0 takes any that is free.
        revision: Branch, tag or commit of a Hub repository.
        num_threads: CPU threads.

    Raises:
        CallError: An unknown model, a port in use, or no Gradio.

    Examples:
        >>> demo("runs/reviews")  # doctest: +SKIP
    """
    if importlib.util.find_spec("gradio") is None:
        raise missing_extra("demo", "the page needs gradio")
    port = _free_port(host, port)
    # Whatever is sent to the page is removed with this folder, a file that is half labelled as well.
    with _files_of_gradio():
        page = make_page(model, revision=revision, num_threads=num_threads)
        launch(page, server_name=host, server_port=port, prevent_thread_lock=True, quiet=True)
        try:
            if not socket.gethostbyname(host).startswith("127."):
                logger.warning("There is no password: whoever reaches %s can use the page", host)
            logger.info("The page is at %s; Ctrl-C ends it", page.local_url)
            threading.Event().wait()
        except KeyboardInterrupt:
            logger.info("The page has ended")
        finally:
            # A browser that is open keeps its connection, which is cut; that is no error.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            page.server.config.timeout_graceful_shutdown = 1
            page.close(verbose=False)


@contextmanager
def _files_of_gradio() -> Iterator[None]:
    """Let Gradio keep its files in a folder that goes with the page, and then where it did."""
    before = {name: value for name, value in os.environ.items() if name == "GRADIO_TEMP_DIR"}
    with tempfile.TemporaryDirectory(prefix="hf-sentiment-page-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["GRADIO_TEMP_DIR"]
            os.environ.update(before)


def _free_port(host: str, port: int) -> int:
    """The port, or one that is free: said before the seconds that a model takes to load."""
    try:
        with socket.create_server((host, port)) as listening:
            return int(listening.getsockname()[1])
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            remedy = f"name another, --port {port + 1}, or --port 0 for any that is free"
            raise CallError(f"port {port} of {host} is in use: {remedy}") from error
        raise CallError(f"cannot listen on --host {host} --port {port}: {first_line(error)}") from error


def make_page(model: str, *, revision: str | None = None, num_threads: int | None = None) -> gr.Blocks:
    """The page of a model, with the model loaded.

    Args:
        model: A folder or Hub id.
        revision: Branch, tag or commit of a Hub repository.
        num_threads: CPU threads.

    Raises:
        CallError: An unknown model.
    """
    place = find_checkpoint(model, revision)
    classifier = SentimentClassifier.from_pretrained(model, revision=revision, num_threads=num_threads)
    here = Path(place).is_dir()
    if not here:  # what the repository has of a run's card and records
        place = snapshot_download(place, revision=revision, allow_patterns=["README.md", "records/*"])
    folder = Path(place)
    import gradio as gr

    title = folder.resolve().name if here else model
    # Files are removed an hour after they came, and when the server ends.
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.HTML(f"<h1>{html.escape(title)}</h1>")
        with gr.Tab("Texts and files"):
            _text_part(classifier, folder)
            _file_part(classifier)
            gr.Markdown(LIMITS)
        with gr.Tab("Curves and report"):
            for heading, (name, show) in PANELS.items():
                path = folder / "records" / name
                shown = show(path) if path.is_file() else f"<p>This model has no records/{name}.</p>"
                gr.HTML(f"<h2>{heading}</h2>{shown}")
    return page


def launch(page: gr.Blocks, **options: Any) -> None:
    """Start the server of a page: no share link, nothing sent to or fetched from elsewhere.

    Args:
        page: Of `make_page`.
        **options: Of `gradio.Blocks.launch`.
    """
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    page.launch(
        share=False,
        ssr_mode=False,
        footer_links=[],
        run_history=False,
        max_file_size=MEGABYTES * 2**20,
        css=STYLE,
        **options,
    )


def _text_part(classifier: SentimentClassifier, folder: Path) -> None:
    import gradio as gr

    def label_text(text: str) -> list[Any]:
        with _errors_shown():
            if len(text) > CHARACTERS:
                raise CallError(f"the text has {len(text):,} characters, and at most {CHARACTERS:,} are read")
            prediction = classifier.predict([text])[0]
        return [show(prediction) for show in ANSWERS]

    with gr.Row():
        with gr.Column():
            text = gr.Textbox(label="Text", lines=5, max_lines=15)
            button = gr.Button("Label the text", variant="primary")
        with gr.Column():
            evaluation = read_evaluation(folder / "records" / "evaluation.json")
            calibrated = evaluation is not None and evaluation.temperature is not None
            bars = gr.Label(label=f"Probabilities{', calibrated' if calibrated else ''}", elem_classes="result")
            answers = [bars, *(gr.HTML(label="note", elem_classes="result") for _ in ANSWERS[1:])]
    events, names = [button.click, text.submit], {"api_name": "label_text", "concurrency_id": "texts"}
    gr.on(events, label_text, text, answers, show_progress_on=bars, **names)
    gr.Examples(_examples(folder), text, answers, label_text, run_on_click=True, cache_examples=False)


def _file_part(classifier: SentimentClassifier) -> None:
    import gradio as gr

    def label_file(
        file: str | None,
        column: str,
        kind: str,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008
    ) -> tuple[str, str]:
        with _errors_shown(file):
            if file is None:
                raise CallError("no file: choose one")
            if _unpacked(Path(file)) > 20 * MEGABYTES * 2**20:
                raise CallError(f"the file has more than {20 * MEGABYTES} MB once it is unpacked: send it in parts")
            rows = read_rows(file, column or None)
            if (rows.total or 0) > ROWS:
                raise CallError(f"the file has {rows.total:,} rows, and at most {ROWS:,} are read: send it in parts")
            # Where Gradio keeps its files, so that this one is removed with them.
            output = Path(tempfile.mkdtemp(dir=labeled.GRADIO_CACHE), f"{Path(file).stem}_labelled{kind}")
            done = write_file(rows, rows.columns, classifier, output)
        lines = html.escape(str(replace(done, output=None))).replace("\n", "<br>")
        return f"<p>{lines}</p>", str(output)

    with gr.Row():
        with gr.Column():
            file = gr.File(label="File: CSV, TSV, Excel, JSONL or Parquet", height=140)
            column = gr.Textbox(label="text_column: where the texts are, if it is not found out", max_lines=1)
            kind = gr.Radio(list(OUTPUTS), value=OUTPUTS[0], label="Write as")
            button = gr.Button("Label the file", variant="primary")
        with gr.Column():
            labeled = gr.File(label="Labelled file", height=140)
            counts = gr.HTML(label="counts", elem_classes="result")
    inputs, outputs = [file, column, kind], [counts, labeled]
    button.click(label_file, inputs, outputs, api_name="label_file", concurrency_id="files", show_progress_on=labeled)


def _unpacked(file: Path) -> int:
    """Bytes of a workbook or a compressed file once it is unpacked, or a little more than a file may have."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return sum(one.file_size for one in archive.infolist())
        if file.suffix.lower() != ".gz":
            return file.stat().st_size
        with gzip.open(file) as unpacked:  # to its end, unless that is too far
            return sum(len(unpacked.read(2**20)) for _ in range(20 * MEGABYTES + 1))
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise CallError(f"{file}: cannot be unpacked ({first_line(error)}): pack it again") from error


@contextmanager
def _errors_shown(file: str | None = None) -> Iterator[None]:
    """Show this package's errors on the page, as the lines that they are; a file by its name alone."""
    import gradio as gr

    try:
        yield
    except SentimentError as error:
        line = str(error) if file is None else str(error).replace(f"{Path(file).parent}{os.sep}", "")
        raise gr.Error(html.escape(line, quote=False), print_exception=False) from error


def _examples(folder: Path) -> list[str]:
    """Texts that the card has as examples, or neutral ones."""
    try:
        card = metadata_load(folder / "README.md") or {}
    except (OSError, ValueError, yaml.YAMLError):  # no card, or somebody's own
        card = {}
    rows = card.get("widget") or []
    texts = [row.get("text") for row in rows if isinstance(row, dict)]
    return [text for text in texts if isinstance(text, str) and len(text) <= 200] or NEUTRAL


def _note(prediction: Prediction) -> str:
    note = html.escape(prediction.get("note", ""))
    return f"<p>{'No label' if prediction['label'] is None else 'Note'}: {note}</p>" if note else ""


# What is shown of one text: first the bars, then HTML. What comes later is one entry more here, too.
ANSWERS: list[Callable[[Prediction], Any]] = [lambda prediction: prediction["scores"], _note]


def _picture(path: Path) -> str:
    data = b64encode(path.read_bytes()).decode()
    return f'<div class="sheet"><img alt="" src="data:image/svg+xml;base64,{data}"></div>'


def _document(path: Path) -> str:
    """Somebody's HTML, which runs nothing and fetches nothing."""
    rule = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    content = f'<meta http-equiv="Content-Security-Policy" content="{rule}">{path.read_text(encoding="utf-8")}'
    return f'<iframe class="sheet" sandbox srcdoc="{html.escape(content)}"></iframe>'


# What is shown of the model: title → record, and its HTML. What comes later is one entry more.
PANELS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "Curves": ("curves.svg", _picture),
    "Report": ("report.html", _document),
}

if __name__ == "__main__":  # in a Space, whose card names the model
    card = metadata_load(Path(__file__).with_name("README.md")) or {}
    launch(make_page(card["models"][0]))
