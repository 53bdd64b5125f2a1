"""The page that `demo` serves: by its API, in a real browser, and as a process that Ctrl-C ends."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hf_sentiment.commands.demo import CHARACTERS, NEUTRAL, ROWS, launch, make_page
from hf_sentiment.commands.predict import predict
from hf_sentiment.inference.classifier import SentimentClassifier

gradio_client = pytest.importorskip("gradio_client", reason="no gradio: make install")

LABELS = ["negative", "חיובי <b>"]
CARD = """---
widget:
- text: the film was never dull .
- text: 5
- text: {long}
---
"""
# A report that would change the page around it, and fetch from elsewhere, if it could.
REPORT = "<h1>All figures</h1><script>parent.document.title = 'taken'</script><img src='http://192.0.2.1/seen.png'>"


@pytest.fixture(scope="module")
def run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a label in Hebrew, a card and records."""
    folder = tmp_path_factory.mktemp("runs") / "my <run>"
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = dict(enumerate(LABELS))
    config["label2id"] = {label: index for index, label in enumerate(LABELS)}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text(CARD.format(long="very " * 100), encoding="utf-8")
    (folder / "records").mkdir()
    (folder / "records" / "report.html").write_text(REPORT)
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300"><rect width="900" height="300"/></svg>'
    (folder / "records" / "curves.svg").write_text(picture)
    return folder


@pytest.fixture(scope="module")
def address(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a running server with the page; the model is loaded once, and its folder is not needed any more."""
    copy = shutil.copytree(run, tmp_path_factory.mktemp("copies") / run.name)
    page = make_page(str(copy))
    shutil.rmtree(copy)
    launch(page, prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close(verbose=False)


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return gradio_client.Client(address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


@pytest.mark.parametrize("text", ["the film was great .", "very " * 1000, "הסרט היה טוב"])
def test_a_text_has_what_the_classifier_says_of_it(client: Any, run: Path, text: str) -> None:
    bars, note = client.predict(text, api_name="/label_text")
    (wanted,) = SentimentClassifier.from_pretrained(run).predict([text])
    assert bars["label"] == wanted["label"]
    shown = {row["label"]: row["confidence"] for row in bars["confidences"]}
    assert shown == pytest.approx(wanted["scores"], abs=1e-6)
    assert note == (f"<p>Note: {wanted['note']}</p>" if "note" in wanted else "")
    assert ("cut (at " in note) == (len(text) > 1000)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_has_no_label_and_a_note(client: Any, text: str) -> None:
    bars, note = client.predict(text, api_name="/label_text")
    assert bars == {}
    assert note == "<p>No label: empty text</p>"


def test_a_text_beyond_the_limit_is_one_line(client: Any) -> None:
    with pytest.raises(Exception, match=r"^the text has 20,001 characters, and at most 20,000 are read$"):
        client.predict("a" * (CHARACTERS + 1), api_name="/label_text")


@pytest.mark.parametrize("kind", [".csv", ".jsonl"])
def test_a_file_comes_back_as_predict_writes_it(client: Any, run: Path, tmp_path: Path, kind: str) -> None:
    file, wanted = tmp_path / "new films.csv", tmp_path / f"wanted{kind}"
    file.write_text("id,text\n1,a great film\n2,\n3,=1+1 boring\n", encoding="utf-8")
    counts, labeled = client.predict(gradio_client.handle_file(file), "", kind, api_name="/label_file")
    done = predict(str(run), str(file), output=wanted)
    assert Path(labeled).name == f"new films_labelled{kind}"
    assert Path(labeled).read_bytes() == wanted.read_bytes()
    assert counts == f"<p>{replace(done, output=None)}</p>"


def test_texts_are_labelled_while_a_file_is(client: Any, run: Path, tmp_path: Path) -> None:
    file, wanted = tmp_path / "films.txt", tmp_path / "wanted.csv"
    texts = ["the film was great .", "dull , very dull .", "bad"]
    file.write_text("\n".join(["text", *texts * 1000]))
    (first, *_), expected = texts, SentimentClassifier.from_pretrained(run).predict(texts)
    job = client.submit(gradio_client.handle_file(file), "", ".csv", api_name="/label_file")
    while not job.done():
        bars, _ = client.predict(first, api_name="/label_text")
        shown = {row["label"]: row["confidence"] for row in bars["confidences"]}
        assert shown == pytest.approx(expected[0]["scores"], abs=1e-6)
    predict(str(run), str(file), output=wanted)
    assert Path(job.result()[1]).read_bytes() == wanted.read_bytes()


def test_errors_of_a_file_are_the_packages_lines_without_the_servers_paths(client: Any, tmp_path: Path) -> None:
    file, long = tmp_path / "films.csv", tmp_path / "long.txt"
    file.write_text("id,text\n1,good\n")
    with pytest.raises(Exception, match=r'^films.csv: no column "review" \(columns: id, text\)$'):
        client.predict(gradio_client.handle_file(file), "review", ".csv", api_name="/label_file")
    bomb = tmp_path / "bomb.csv.gz"
    with gzip.open(bomb, "wb", 1) as unpacked:
        for _ in range(401):
            unpacked.write(b" " * 2**20)
    with pytest.raises(Exception, match=r"^the file has more than 400 MB once it is unpacked: send it in parts$"):
        client.predict(gradio_client.handle_file(bomb), "", ".csv", api_name="/label_file")
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"text\ngood\n" * 1000)[:-20])
    with pytest.raises(Exception, match=r"^torn.csv.gz: cannot be unpacked .*: pack it again$"):
        client.predict(gradio_client.handle_file(torn), "", ".csv", api_name="/label_file")
    long.write_text("text\n" + "a good film\n" * (ROWS + 1))
    with pytest.raises(Exception, match=r"^the file has 50,001 rows, and at most 50,000 are read: send it in parts$"):
        client.predict(gradio_client.handle_file(long), "", ".csv", api_name="/label_file")
    with pytest.raises(Exception, match=r"^no file: choose one$"):
        client.predict(None, "", ".csv", api_name="/label_file")


def test_a_model_without_card_and_records_has_a_page_that_says_so(tiny_folder: Path) -> None:
    content = json.dumps(make_page(str(tiny_folder)).get_config_file())
    assert "has no records/curves.svg" in content and "has no records/report.html" in content
    assert NEUTRAL[0] in content


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium: apt-get install chromium")
def test_the_page_in_a_browser(address: str) -> None:
    api = pytest.importorskip("playwright.sync_api")
    requests: list[Any] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("request", lambda request: requests.append(request))
        page.goto(address)
        api.expect(page.get_by_role("heading", name="my <run>")).to_be_visible()
        page.get_by_text("the film was never dull").click()  # an example, which is labeled at once
        api.expect(page.locator(".result h2")).to_have_text(re.compile("|".join(map(re.escape, LABELS))))
        assert {page.locator(".result dt").nth(index).inner_text() for index in (0, 1)} == set(LABELS)
        page.get_by_label("Text", exact=True).fill(" ")
        page.get_by_role("button", name="Label the text").click()
        api.expect(page.get_by_text("No label: empty text")).to_be_visible()
        page.get_by_role("button", name="Label the file").click()
        api.expect(page.get_by_text("no file: choose one")).to_be_visible()
        page.get_by_role("tab", name="Curves and report").click()
        picture = page.locator(".sheet img")
        api.expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") == 900
        api.expect(page.frame_locator("iframe").get_by_role("heading", name="All figures")).to_be_visible()
        assert page.title() == "my <run>"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        # Of a page that it reads in parts, Chromium also tells the requests that the policy forbids.
        sent = [request.url for request in requests if request.failure != "csp"]
        browser.close()
    assert [url for url in sent if not url.startswith((address, "data:", "blob:", "about:"))] == []


# A process that says to which addresses it connects.
_WATCHED = """
import sys
sys.addaudithook(lambda event, said: event == "socket.connect" and print("connects to", said[1], file=sys.stderr))
from hf_sentiment.cli import main
main()
"""


def test_ctrl_c_ends_the_process_and_nothing_was_asked_of_the_network(tiny_folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "temporary"
    kept.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", _WATCHED, "demo", str(tiny_folder), "--port", "0"],
        env={**os.environ, "TMPDIR": str(kept)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if match := re.search(r"The page is at (http://127\.0\.0\.1:\d+/); Ctrl-C ends it", line):
                break
        else:
            raise AssertionError("".join(lines))
        file = tmp_path / "texts.txt"
        file.write_text("text\na good film\n")
        client = gradio_client.Client(match[1], verbose=False, download_files=tmp_path)
        client.predict(gradio_client.handle_file(file), "", ".csv", api_name="/label_file")
        assert {"texts.txt", "texts_labelled.csv"} <= {path.name for path in kept.rglob("*.*")}
        # Another file is under way when it ends: it is neither waited for nor left behind.
        file.write_text("text\n" + "a good film\n" * ROWS)
        client.submit(gradio_client.handle_file(file), "", ".csv", api_name="/label_file")
        process.send_signal(signal.SIGINT)
        lines += process.communicate(timeout=60)[1].splitlines(keepends=True)
    finally:
        process.kill()
    assert process.returncode == 0
    assert lines[-1] == "The page has ended\n"
    assert [line for line in lines if line.startswith("connects to") and "127.0.0.1" not in line] == []
    assert list(kept.glob("hf-sentiment*")) == []


def test_a_port_in_use_is_said_before_the_model_is_loaded(run_cli: Callable[..., Any], tiny_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        code, _, said = run_cli("demo", tiny_folder, "--port", port)
    assert code == 2
    remedy = f"name another, --port {port + 1}, or --port 0 for any that is free"
    assert said == f"error: port {port} of 127.0.0.1 is in use: {remedy}\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["runs/nothing"], "error: runs/nothing: no such folder"),
        (["MODEL", "--host", "192.0.2.1"], "error: cannot listen on --host 192.0.2.1 --port 7860: "),
        (["MODEL", "--port", "70000"], "error: cannot listen on --host 127.0.0.1 --port 70000: "),
    ],
)
def test_a_wrong_call_is_one_line(run_cli: Callable[..., Any], tiny_folder: Path, words: list[str], line: str) -> None:
    code, _, said = run_cli("demo", *(str(tiny_folder) if word == "MODEL" else word for word in words))
    assert code == 2
    assert said.startswith(line) and said.count("\n") == 1


def test_without_gradio_one_line_says_how_to_install_it(
    run_cli: Callable[..., Any], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, said = run_cli("demo", tiny_folder)
    assert code == 2
    assert said.startswith('error: the page needs gradio: `pip install --constraint constraints.txt ".[demo]"`')
