"""The rules of the house (CONTRIBUTING.md), read from the sources: who imports whom, and how large things are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "hf_sentiment"

# From the bottom; a room imports only what is on a lower floor, and itself.
FLOORS = (
    {"errors", "model"},
    {"parser", "registration", "table", "records", "compute"},
    {"data", "callbacks"},
    {"inference"},
    {"evaluation", "head"},
    {"training"},
    {"hub"},
    {"report"},
    {"commands"},
    {"cli"},
    {"__init__", "__main__"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# The whole names the whole's version.
VERSION = "hf_sentiment.__version__"

MOST_LINES_OF_A_FUNCTION = 60
MOST_LINES_OF_A_MODULE = 400


class Import(NamedTuple):
    """`target` is what is imported, down to its name: hf_sentiment.data.audit.Finding."""

    module: str
    target: str
    relative: bool


def modules() -> dict[str, Path]:
    """The files of the package by their dotted names; of a package that of its folder."""
    paths = {path.relative_to(PACKAGE.parent).with_suffix(""): path for path in sorted(PACKAGE.rglob("*.py"))}
    return {".".join(place.parts).removesuffix(".__init__"): path for place, path in paths.items()}


MODULES = modules()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
# Folders within a room, each with a front door.
SUB_PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py" and name.count(".") == 2}


def imports() -> Iterator[Import]:
    """Everything of this package that a module of it imports, wherever it does."""
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (Import(module, item.name, False) for item in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (Import(module, f"{node.module}.{item.name}", node.level > 0) for item in node.names)


IMPORTS = [item for item in imports() if item.relative or item.target.split(".")[0] == "hf_sentiment"]


def room_of(name: str) -> str:
    """The room of a dotted name; `__init__` of the package itself and of what only it has."""
    part = [*name.split("."), "__init__"][1]
    return part if part in FLOOR else "__init__"


def sub_package_of(name: str) -> str | None:
    return next((package for package in SUB_PACKAGES if f"{name}.".startswith(f"{package}.")), None)


def test_every_room_has_a_floor() -> None:
    names = {name.split(".")[1] for name in MODULES if "." in name}
    assert names == set(FLOOR) - {"__init__"}


def test_no_import_goes_up() -> None:
    found = {
        f"{item.module} imports {item.target}"
        for item in IMPORTS
        if not item.relative
        and room_of(item.module) != room_of(item.target)
        and FLOOR[room_of(item.module)] <= FLOOR[room_of(item.target)]
        and not (item.target == VERSION and room_of(item.module) in ("cli", "commands", "hub", "report"))
    }
    assert found == set()


def test_no_circle_between_the_parts_of_a_room() -> None:
    graph: dict[str, set[str]] = {}
    for item in IMPORTS:
        here, there = (".".join(name.split(".")[:3]) for name in (item.module, item.target))
        if not item.relative and here != there and there in MODULES:
            graph.setdefault(here, set()).add(there)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names it


def test_imports_are_absolute_but_for_what_travels_to_the_hub() -> None:
    found = {f"{item.module} imports .{item.target}" for item in IMPORTS if item.relative}
    assert {line for line in found if not line.startswith("hf_sentiment.model.")} == set()


def test_a_sub_package_is_entered_by_its_front_door() -> None:
    found = set()
    for item in IMPORTS:
        package = sub_package_of(item.target)
        if package is not None and package != sub_package_of(item.module):
            inner = ".".join(item.target.split(".")[:4])
            if inner in MODULES and inner != package and item.target != inner:
                found.add(f"{item.module} imports {item.target}")
    assert found == set()


@pytest.mark.parametrize("package", sorted(SUB_PACKAGES))
def test_a_front_door_has_no_name_that_nobody_has(package: str) -> None:
    stub = MODULES[package].with_suffix(".pyi")
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        assert isinstance(node, ast.ImportFrom) and node.level == 1
        assert {item.name for item in node.names} <= names_of(TREES[f"{package}.{node.module}"]), node.module


def names_of(tree: ast.Module) -> set[str]:
    """What a module defines or imports."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {item.name for node in tree.body if isinstance(node, ast.ImportFrom) for item in node.names}
    return names | {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def test_nothing_private_is_imported_by_another_module() -> None:
    found = {
        f"{item.module} imports {item.target}"
        for item in IMPORTS
        if item.target.rpartition(".")[2].startswith("_") and item.target != VERSION
    }
    assert found == set()


def test_no_module_is_private() -> None:
    names = {name for name in MODULES if any(part.startswith("_") for part in name.split("."))}
    assert names == {"hf_sentiment.__main__"}


def test_functions_and_modules_are_small() -> None:
    sizes = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    found = {f"{name} is long" for name, lines in sizes.items() if lines > MOST_LINES_OF_A_MODULE}
    for name, tree in TREES.items():
        functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        for function in functions:
            if (function.end_lineno or 0) - function.lineno + 1 > MOST_LINES_OF_A_FUNCTION:
                found.add(f"{name}.{function.name} is long")
    assert found == set()
