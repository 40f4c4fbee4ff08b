"""The packages: who may import whom, who reads the environment, how large a module and a package may be."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
MODULES: Final = sorted((ROOT / "app").rglob("*.py"))
LONGEST: Final = 400
LARGEST_SHARE: Final = 1 / 5

# Small mechanisms that know nothing of us; every package may import them.
SHARED: Final = (
    "app.background",
    "app.backoff",
    "app.compression",
    "app.deadline",
    "app.http_client",
    "app.origins",
    "app.terminal",
)

# What each package may import besides itself and what is shared; the longest prefix of a module's name decides.
# `redis_client` and `socketio_server` are libraries: neither they nor what they import knows a session.
MAY_USE: Final[dict[str, tuple[str, ...]]] = {
    "app": (),
    "app.__main__": ("app.cli",),
    "app.capacity": (),
    "app.cli": ("app.commands",),
    "app.client": ("app.sessions.rating",),
    "app.commands": (
        "app.capacity",
        "app.client",
        "app.documents",
        "app.observability",
        "app.redis_client",
        "app.replica",
        "app.sessions.codes",
        "app.settings",
        "app.settings_reference",
    ),
    **dict.fromkeys(SHARED, ("app.observability.logging",)),
    "app.documents": ("app.sessions",),
    "app.forwarding": (
        "app.observability.logging",
        "app.sessions.answers",
        "app.sessions.errors",
        "app.socketio_server",
        "app.store.replicas",
    ),
    "app.http": ("app.sessions", "app.documents", "app.observability"),
    "app.observability": ("app.settings",),
    "app.realtime": ("app.sessions", "app.store", "app.socketio_server", "app.observability"),
    "app.redis_client": ("app.observability",),
    "app.replica": (
        "app.forwarding",
        "app.http",
        "app.observability",
        "app.realtime",
        "app.redis_client",
        "app.secret_files",
        "app.sessions",
        "app.settings",
        "app.socketio_server",
        "app.store",
        "app.webhooks",
    ),
    "app.sessions": (),
    "app.setting_types": (),
    "app.secret_files": (),
    "app.setting_problems": ("app.setting_types",),
    "app.settings": ("app.secret_files", "app.setting_problems", "app.setting_types"),
    "app.settings_reference": ("app.settings",),
    "app.socketio_server": ("app.observability.logging",),
    "app.webhooks": ("app.observability", "app.secret_files", "app.sessions", "app.store"),
    "app.store": ("app.sessions", "app.redis_client", "app.observability"),
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path) -> Iterator[str]:
    package = ".".join(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # What is imported from a package may be one of its modules.
            yield from {name if (name := f"{module}.{alias.name}") in NAMES else module for alias in node.names}


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def package_of(module: str) -> str:
    return max((package for package in MAY_USE if is_within(module, package)), key=len)


NAMES: Final = frozenset(map(name_of, MODULES))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_the_packages_that_it_may_use(path: Path) -> None:
    package = package_of(name_of(path))
    ours = [module for module in imported_modules(path) if module.startswith("app.")]
    assert not [
        module
        for module in ours
        if not any(is_within(module, other) for other in (package, *SHARED, *MAY_USE[package]))
    ]


def test_no_modules_and_no_packages_import_each_other_in_a_circle() -> None:
    modules: dict[str, set[str]] = {name_of(path): set(imported_modules(path)) & NAMES for path in MODULES}
    packages: defaultdict[str, set[str]] = defaultdict(set)
    for module, imported in modules.items():
        packages[package_of(module)] |= {package_of(other) for other in imported} - {package_of(module)}
    # Raises CycleError, which names the circle.
    TopologicalSorter(modules).prepare()
    TopologicalSorter(packages).prepare()


def test_each_package_holds_under_a_fifth_of_the_lines() -> None:
    lines: Counter[str] = Counter()
    for path in MODULES:
        lines[package_of(name_of(path))] += len(path.read_text().splitlines())
    assert {package: count for package, count in lines.items() if count >= lines.total() * LARGEST_SHARE} == {}


def test_only_the_settings_read_the_environment() -> None:
    readers = {name_of(path) for path in MODULES if {"environ", "getenv"} & names_in(path)}
    assert readers <= {"app.settings"}


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length >= LONGEST} == {}


def names_in(path: Path) -> set[str]:
    """The names and attributes of the module `os` that a module uses."""
    tree = ast.parse(path.read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
    }
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "os"
        for alias in node.names
    }
    return used | imported


@pytest.mark.parametrize("path", [path for path in MODULES if not path.name.startswith("__")], ids=name_of)
def test_a_module_says_what_is_public_in_it(path: Path) -> None:
    assert any(
        isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
        for node in ast.parse(path.read_text()).body
    )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_docstrings_mark_code_by_double_backticks(path: Path) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [
        ast.get_docstring(node) or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, documented)
    ]
    assert [text for text in docstrings if re.search(r"(?<!`)`[^`\n]+`(?!`)", text)] == []
