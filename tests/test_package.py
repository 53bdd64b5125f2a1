"""The package as it is installed: light to import, complete as a wheel."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hf_sentiment

ROOT = Path(__file__).parents[1]


def test_every_public_name_resolves() -> None:
    for name in hf_sentiment.__all__:
        assert getattr(hf_sentiment, name) is not None
    assert set(hf_sentiment.__all__) <= set(dir(hf_sentiment))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        hf_sentiment.nonsense  # noqa: B018


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
    assert "hf_sentiment/model_card_templates/sentiment.md" in names
    assert "hf_sentiment/py.typed" in names
    assert not any(name.startswith(("tests/", "recipes/")) for name in names)
    script = "import hf_sentiment; from hf_sentiment.hub.templates import template_folder; print(template_folder())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == tmp_path / "site" / "hf_sentiment" / "model_card_templates"
