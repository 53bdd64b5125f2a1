"""What a docstring says of arguments is what the signature has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "hf_sentiment"
MODULES = sorted(PACKAGE.rglob("*.py"))

# With so many parameters a public function has an `Args:` section. Fewer are explained where their names do not say it.
EXPLAINED_FROM = 4

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Documented(NamedTuple):
    """A function, or a class whose docstring explains the arguments of its `__init__` or the fields of a dataclass."""

    name: str
    docstring: str
    parameters: list[str]
    is_public: bool
    is_function: bool


def documented() -> Iterator[Documented]:
    for path in MODULES:
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        yield from members(ast.parse(path.read_text(encoding="utf-8")), module, True)


def members(parent: ast.AST, name: str, is_public: bool) -> Iterator[Documented]:
    for node in ast.iter_child_nodes(parent):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        full, public = f"{name}.{node.name}", is_public and not node.name.startswith("_")
        docstring = ast.get_docstring(node)
        if docstring is not None and isinstance(node, ast.ClassDef):
            yield Documented(full, docstring, of_class(node), public, False)
        elif docstring is not None and not isinstance(node, ast.ClassDef):
            yield Documented(full, docstring, of_function(node, isinstance(parent, ast.ClassDef)), public, True)
        if isinstance(node, ast.ClassDef):
            yield from members(node, full, public)


def of_function(node: Function, is_method: bool) -> list[str]:
    """The parameters as a docstring names them: `*words`, `**options`; without `self` and `cls`."""
    arguments = node.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    if is_method and not any(isinstance(item, ast.Name) and item.id == "staticmethod" for item in node.decorator_list):
        names = names[1:]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    names += [argument.arg for argument in arguments.kwonlyargs]
    return names + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])


def of_class(node: ast.ClassDef) -> list[str]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return of_function(item, True)
    fields = [item.target for item in node.body if isinstance(item, ast.AnnAssign)]
    return [field.id for field in fields if isinstance(field, ast.Name)]


def section(docstring: str, title: str) -> dict[str, str]:
    """The entries of a section, by name, each in one line; none where there is no such section."""
    match = re.search(rf"^{title}:\n((?:    .*\n?|\n)+)", f"{docstring}\n", re.MULTILINE)
    entries: dict[str, str] = {}
    name = ""
    for line in match[1].splitlines() if match else ():
        if entry := re.match(r"    (\*{0,2}\w+):(?: (.*))?$", line):
            name = entry[1]
            entries[name] = entry[2] or ""
        elif line.strip() and name:
            entries[name] += f" {line.strip()}"
    return entries


DOCUMENTED = list(documented())


def test_the_arguments_of_a_docstring_are_those_of_the_signature() -> None:
    wrong = {
        item.name: (list(arguments), item.parameters)
        for item in DOCUMENTED
        if (arguments := section(item.docstring, "Args")) and list(arguments) != item.parameters
    }
    assert wrong == {}


def test_a_public_function_of_many_parameters_explains_them() -> None:
    silent = {
        item.name
        for item in DOCUMENTED
        if item.is_public and item.is_function and len(item.parameters) >= EXPLAINED_FROM
        # The Trainer's events have the same arguments everywhere: transformers explains them.
        if not item.name.rpartition(".")[2].startswith("on_") and not section(item.docstring, "Args")
    }
    assert silent == set()


@pytest.mark.parametrize("title", ["Args", "Attributes", "Raises"])
def test_an_entry_is_a_sentence(title: str) -> None:
    wrong = [
        f"{item.name}: {name}"
        for item in DOCUMENTED
        for name, text in section(item.docstring, title).items()
        if text[:1].islower() or not text.endswith((".", ":", "…"))
    ]
    assert wrong == []
