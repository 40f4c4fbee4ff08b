"""The page's modules as one script: thirty small files cost more in headers and in worse compression than they hold.

It covers what ``app/web`` uses of ECMAScript modules: named imports and exports, ``import * as``, and no cycles. Each
module becomes a function that returns its exports. Imports of libraries stay as they are.
"""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

__all__ = ["bundle"]

_IMPORT: Final = re.compile(r'^import (?:(\{[^}]*\})|\* as (\w+)) from "\./([\w./-]+)";\n', re.MULTILINE)
_SIDE_EFFECT: Final = re.compile(r'^import "\./([\w./-]+)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:const|let|function|class) (\w+))", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*//.*\n", re.MULTILINE)


def bundle(folder: Path, entry: str) -> bytes:
    """Return one module that does what ``entry`` does with all that it imports."""
    sources: dict[str, str] = {}
    wanted = [entry]
    while wanted:
        name = wanted.pop()
        if name not in sources:
            sources[name] = _COMMENT.sub("", (folder / name).read_text())
            wanted += _imported(sources[name])
    order = TopologicalSorter({name: _imported(source) for name, source in sources.items()}).static_order()
    numbers = {name: number for number, name in enumerate(order)}
    libraries = {match[0] for source in sources.values() for match in _IMPORT.finditer(source) if _is_library(match[3])}
    return "".join(
        [*sorted(libraries), *(_function(sources[name], numbers, number) for name, number in numbers.items())]
    ).encode()


def _function(source: str, numbers: dict[str, int], number: int) -> str:
    def binding(match: re.Match[str]) -> str:
        names, namespace, name = match.groups()
        if _is_library(name):
            return ""
        # Names that an import renames: `a as b` is `a: b` in a pattern.
        return f"const {namespace or names.replace(' as ', ': ')} = m{numbers[name]};\n"

    exports = ", ".join(_EXPORT.findall(source))
    body = _EXPORT.sub("", _SIDE_EFFECT.sub("", _IMPORT.sub(binding, source)))
    return f"const m{number} = (() => {{\n{body}return {{ {exports} }};\n}})();\n"


def _imported(source: str) -> list[str]:
    named = [match[3] for match in _IMPORT.finditer(source)] + _SIDE_EFFECT.findall(source)
    return [name for name in named if not _is_library(name)]


def _is_library(name: str) -> bool:
    return name.startswith("vendor/")
