"""The packages: who may import whom, who reads the environment, how long a module may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
MODULES: Final = sorted((ROOT / "app").rglob("*.py"))
LONGEST: Final = 400

# Small mechanisms that know nothing of us; every package may import them.
SHARED: Final = ("app.background", "app.backoff", "app.deadline", "app.http_client", "app.origins", "app.terminal")

# What each package may import besides itself and what is shared; the longest prefix of a module's name decides.
# `redis_client` and `socketio_server` are libraries: neither they nor what they import knows a session.
MAY_USE: Final[dict[str, tuple[str, ...]]] = {
    "app": (),
    "app.__main__": ("app",),
    "app.cli": ("app",),
    "app.client": ("app.sessions.rating",),
    "app.commands": ("app",),
    **dict.fromkeys(SHARED, ("app.observability",)),
    "app.documents": ("app.sessions",),
    "app.forwarding": ("app.sessions", "app.socketio_server", "app.observability"),
    "app.http": ("app.sessions", "app.documents", "app.observability"),
    "app.observability": ("app.settings",),
    "app.realtime": ("app.sessions", "app.store", "app.socketio_server", "app.observability"),
    "app.redis_client": ("app.observability",),
    "app.replica": ("app",),
    "app.sessions": ("app.observability",),
    "app.setting_types": (),
    "app.settings": ("app.setting_types",),
    "app.settings_reference": ("app.settings",),
    "app.socketio_server": ("app.observability",),
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
            yield ".".join(part for part in (base, node.module) if part)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def package_of(module: str) -> str:
    return max((package for package in MAY_USE if is_within(module, package)), key=len)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_the_packages_that_it_may_use(path: Path) -> None:
    package = package_of(name_of(path))
    ours = [module for module in imported_modules(path) if module.startswith("app.")]
    assert not [
        module
        for module in ours
        if not any(is_within(module, other) for other in (package, *SHARED, *MAY_USE[package]))
    ]


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
