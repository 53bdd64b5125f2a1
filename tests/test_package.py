"""The package as it is installed: light to import, complete as a wheel."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hf_sentiment
from hf_sentiment.hub.card import PACKAGE_ON_INDEX, install_command

ROOT = Path(__file__).parents[1]


def test_every_public_name_resolves() -> None:
    for name in hf_sentiment.__all__:
        assert getattr(hf_sentiment, name) is not None
    assert set(hf_sentiment.__all__) <= set(dir(hf_sentiment))
    with pytest.raises(AttributeError, match="attribute nonsense"):
        hf_sentiment.nonsense  # noqa: B018


@pytest.mark.parametrize("name", ["train", "plan", "audit", "evaluate", "predict", "export", "demo", "publish"])
def test_a_command_is_a_function_of_the_package_too(name: str) -> None:
    function = getattr(hf_sentiment, name)
    room = "hub" if name == "publish" else "commands"
    assert function is getattr(importlib.import_module(f"hf_sentiment.{room}.{name}"), name)
    docstring = inspect.getdoc(function) or ""
    assert "Args:" in docstring and "Example" in docstring and f"{name}(" in docstring


def test_the_version_is_said_once() -> None:
    assert f'version = "{hf_sentiment.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert hf_sentiment.__version__ in (ROOT / "CHANGELOG.md").read_text()


def modules() -> list[str]:
    found = pkgutil.walk_packages(hf_sentiment.__path__, "hf_sentiment.")
    return [module.name for module in found if not module.name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for label, member in inspect.getmembers(module):
        if label.startswith("_") or getattr(member, "__module__", None) != name:
            continue
        if inspect.isclass(member) or inspect.isfunction(member):
            assert inspect.getdoc(member), f"{name}.{label}"
        if inspect.isclass(member):
            for method, function in vars(member).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    assert inspect.getdoc(function), f"{name}.{label}.{method}"


def test_the_model_imports_nothing_but_torch_and_transformers() -> None:
    allowed = {"torch", "transformers"} | sys.stdlib_module_names
    for path in (ROOT / "hf_sentiment" / "model").glob("*_bert_sentiment.py"):
        for line in path.read_text().splitlines():
            match = re.match(r"\s*(?:from|import) ([\w.]+)", line)
            if match and not match[1].startswith("."):
                assert match[1].split(".")[0] in allowed, line


def test_the_wheel_has_the_templates_and_is_found_there(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    from hatchling.builders.wheel import WheelBuilder

    wheel = next(iter(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert {f"hf_sentiment/model_card_templates/{name}" for name in ("sentiment.md", "report.html")} <= set(names)
    assert "hf_sentiment/py.typed" in names
    assert not any(name.startswith(("tests/", "recipes/")) for name in names)
    script = (
        "import hf_sentiment; from hf_sentiment.hub.card.templates import template_folder; print(template_folder())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == tmp_path / "site" / "hf_sentiment" / "model_card_templates"


def written() -> list[Path]:
    """Everything that people read or run: documents, recipes, templates, modules, the Makefile."""
    places = ("*.md", "*.toml", "Makefile", "docs/**/*.md", "benchmarks/*", "recipes/*", "model_card_templates/*")
    found = [path for place in (*places, "hf_sentiment/**/*.py") for path in ROOT.glob(place) if path.is_file()]
    return [path for path in found if path.name != "package_source.py"]


_PROMISE = re.compile(r"(?:install|add|run --with|run|-U|--upgrade)\s+[\"']?hf[-_]sentiment(?![-\w/.]|\s+@)")


def test_nothing_promises_the_package_from_an_index_that_does_not_have_it() -> None:
    assert _PROMISE.search('pip install "hf-sentiment[starter]"') and _PROMISE.search("uv add hf-sentiment")
    assert not _PROMISE.search('pip install "hf-sentiment @ git+https://example.org/me/hf-sentiment@v1"')
    assert install_command(None) == ("pip install hf-sentiment" if PACKAGE_ON_INDEX else None)
    if PACKAGE_ON_INDEX:
        return
    promised = [path.name for path in written() if _PROMISE.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert promised == []
    for path in ROOT.glob("recipes/*.py"):
        block = re.match(r"# /// script\n((?:#.*\n)*?)# ///\n", path.read_text(encoding="utf-8"))
        assert block is not None
        header = tomllib.loads(re.sub(r"(?m)^# ?", "", block[1]))
        assert header["dependencies"] == ["hf-sentiment"]
        source = header["tool"]["uv"]["sources"]["hf-sentiment"]["path"]
        assert (path.parent / source / "pyproject.toml").samefile(ROOT / "pyproject.toml")
        assert header["requires-python"] == project()["requires-python"]


def slugs(document: Path) -> set[str]:
    """The anchors of a document's headings, as its readers' browsers have them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def documents() -> list[Path]:
    """What people read; the links of a template are the published model's."""
    return [path for path in written() if path.suffix == ".md" and path.parent.name != "model_card_templates"]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_what_a_document_links_to_is_there(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), target
        assert not anchor or anchor in slugs(there), target


def project() -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return content


EXTRAS = project()["optional-dependencies"]


def requirements(extra: str) -> list[Requirement]:
    """Those of an extra that are not extras of this package."""
    return [item for item in map(Requirement, EXTRAS[extra]) if item.name != "hf-sentiment"]


def test_the_extra_all_is_all_of_them() -> None:
    (all_of_them,) = map(Requirement, EXTRAS["all"])
    assert all_of_them.extras == set(EXTRAS) - {"all"}


def test_every_dependency_is_pinned_and_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {str(canonicalize_name(name)): version for name, version in pins.items()}
    assert len(pinned) == len(pins)
    named = [*map(Requirement, project()["dependencies"]), *(item for extra in EXTRAS for item in requirements(extra))]
    for item in named:
        assert item.specifier.contains(pinned[canonicalize_name(item.name)]), item


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) - {"all", "test", "dev"}))  # these two the tests themselves import
def test_an_extra_can_be_imported(extra: str) -> None:
    modules: dict[str, list[str]] = {}
    for module, names in importlib.metadata.packages_distributions().items():
        for name in names:
            modules.setdefault(canonicalize_name(name), []).append(module)
    wanted = {canonicalize_name(item.name) for item in requirements(extra)}
    if missing := sorted(wanted - set(modules)):
        pytest.skip(f"{', '.join(missing)} not installed: make install-all")
    for name in wanted:
        for module in modules[name]:
            if module.isidentifier() and not module.startswith("_"):
                importlib.import_module(module)
