"""What people read: short lines, links that lead somewhere, messages that the package really says."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import hf_sentiment

ROOT = Path(__file__).parents[1]
WIDTH = 120
_FENCE = re.compile(r"\s*(```|````)")


def tracked(pattern: str) -> list[Path]:
    """The files of the repository, or, where there is no git, of the source archive."""
    asked = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=False)
    if asked.returncode == 0 and asked.stdout:
        return [ROOT / line for line in asked.stdout.splitlines() if (ROOT / line).is_file()]
    return [path for path in ROOT.rglob(pattern) if not set(path.parts) & {".venv", ".cache", "runs", "site"}]


def prose(path: Path) -> list[tuple[int, str]]:
    """Numbered lines without what cannot be wrapped: tables, code, templates, and pictures."""
    kept, in_code = [], False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if _FENCE.match(line):
            in_code = not in_code
        elif not in_code and not line.lstrip().startswith(("|", "![", "<")):
            kept.append((number, line))
    return kept


every_document = pytest.mark.parametrize("path", tracked("*.md"), ids=lambda path: str(path.relative_to(ROOT)))


@every_document
def test_prose_is_at_most_120_wide(path: Path) -> None:
    if path.parent.name == "model_card_templates" or path.name == "card.md":
        pytest.skip("the lines of a card are what is filled in")
    long = [(number, line) for number, line in prose(path) if len(line) > WIDTH and " " in line.strip()]
    assert not long


@every_document
def test_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.:/])/(?:home|root|work|opt|Users)/\S*", text)


def test_the_readme_is_a_first_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def pages(entries: object) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    values = entries.values() if isinstance(entries, dict) else entries
    assert not isinstance(values, (str, type(None)))
    return [page for entry in values for page in pages(entry)]  # type: ignore[attr-defined]


def test_the_navigation_has_every_page() -> None:
    navigation = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert there == {page for page in navigation if not page.startswith("repository/")}
    assert all((ROOT / page.removeprefix("repository/")).is_file() for page in navigation if page not in there)


def said() -> str:
    """Every text in the package's code; where a value is filled in there is a new line."""
    texts = []
    for path in (ROOT / "hf_sentiment").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\n" for part in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_the_messages_of_the_troubleshooting_page_are_the_packages() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = [line for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    texts = said()
    unknown = [line for line in quoted for part in line.split("…") if part.strip() and part.strip(" :") not in texts]
    assert len(quoted) > 30
    assert unknown == []


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hf_sentiment.__version__


def imports() -> list[tuple[str, str]]:
    """What the examples import from the package, with where: Python blocks of all documents but the changelog."""
    found = []
    for path in tracked("*.md"):
        for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            lines = re.findall(r"^(?:from|import) hf_sentiment.*$", block, re.MULTILINE)
            found += [(str(path.relative_to(ROOT)), line) for line in lines]
    return found


@pytest.mark.parametrize(("path", "line"), imports())
def test_what_an_example_imports_is_there(path: str, line: str) -> None:
    exec(compile(line, path, "exec"), {})
