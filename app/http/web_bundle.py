"""The page's modules as one script: thirty small files cost more in headers and in worse compression than they hold.

It covers what ``app/web`` uses of ECMAScript modules: named imports and exports, ``import * as``, and no cycles. Each
module becomes a function that returns its exports. What is imported from a library, by name, is imported once for all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
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
    functions = (_function(sources[name], numbers, number) for name, number in numbers.items())
    return "".join([*_libraries(sources.values()), *functions]).encode()


def _libraries(sources: Iterable[str]) -> Iterator[str]:
    """Yield one import for each library, with all names that are imported from it."""
    imported: defaultdict[str, set[str]] = defaultdict(set)
    for source in sources:
        for names, _, name in _IMPORT.findall(source):
            if _is_library(name):
                imported[name] |= {each.strip() for each in names.strip("{}").split(",") if each.strip()}
    for name, names in sorted(imported.items()):
        yield f'import {{ {", ".join(sorted(names))} }} from "./{name}";\n'


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
