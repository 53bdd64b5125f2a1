"""The files outside docs/ that the site shows, and the links to them.

Pages link to files of the repository as a reader of the clone sees them, such as `../recipes/finetune.py`. Every file
that is linked so becomes part of the site, under `repository/`: Markdown as a page, pictures as they are, all else as a
page with its text. The links are rewritten to these. A link to what is not there stays as it is, and fails the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Where the site has the files of the repository.
FOLDER = "repository/"
# What the navigation names, linked or not.
ALWAYS = ("recipes/README.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASE.md", "SECURITY.md")

_LINK = re.compile(r"(\]\()([^)\s]+)(?=\))")
_PICTURES = (".png", ".svg")
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what the pages link to outside docs/, and what those link to."""
    waiting = [(f"docs/{file.src_uri}", file.content_string) for file in files.documentation_pages()]
    added: set[str] = set()
    for name in ALWAYS:
        _add(name, added, waiting, files, config)
    while waiting:
        source, text = waiting.pop()
        for link in _LINK.finditer(text):
            target = _target(source, link[2])
            if target is not None and not target.startswith("docs/") and (ROOT / target).is_file():
                _add(target, added, waiting, files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites the links between docs/ and the rest of the repository."""
    source = page.file.src_uri
    here = source[len(FOLDER) :] if source.startswith(FOLDER) else f"docs/{source}"

    def rewritten(link: re.Match[str]) -> str:
        target = _target(here, link[2])
        if target is None:
            return link[0]
        anchor = link[2].partition("#")[1:]
        place = target.removeprefix("docs/") if target.startswith("docs/") else _place(target)
        return f"{link[1]}{posixpath.relpath(place, posixpath.dirname(source) or '.')}{''.join(anchor)}"

    return _LINK.sub(rewritten, markdown)


def _target(source: str, link: str) -> str | None:
    """The path in the repository that a link in `source` names; nothing for addresses and anchors."""
    name = link.partition("#")[0]
    if not name or re.match(r"[a-z]+:", name):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), name))


def _place(target: str) -> str:
    """Where the site has a file of the repository; the first page there is the home page here."""
    if target == "README.md":
        return "index.md"
    as_it_is = target.endswith(("README.md", *_PICTURES)) or ("/" not in target and target.endswith(".md"))
    return FOLDER + target + ("" if as_it_is else ".md")


def _add(target: str, added: set[str], waiting: list[tuple[str, str]], files: Files, config: MkDocsConfig) -> None:
    """Makes a file of the repository part of the site; Markdown waits to have its links followed."""
    if target in added or target == "README.md":
        return
    added.add(target)
    path, place = ROOT / target, _place(target)
    if target.endswith(_PICTURES):
        files.append(File.generated(config, place, abs_src_path=str(path)))
        return
    text = path.read_text(encoding="utf-8")
    if place == FOLDER + target:
        waiting.append((target, text))
    else:
        text = f"# {path.name}\n\n`{target}`\n\n````{_LANGUAGES.get(path.suffix, 'text')}\n{text}\n````\n"
    files.append(File.generated(config, place, content=text))
