"""Small faults for a text of Lua or Python: a comparison flipped, a condition turned round, a statement dropped."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Mutant", "mutants"]

_OPERATORS: Final = {
    "==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "and": "or", "or": "and", "+": "-", "-": "+",
    "not": "", "True": "False", "False": "True",
}  # fmt: skip
_LUA_OPERATORS: Final = {**_OPERATORS, "==": "~=", "~=": "==", "true": "false", "false": "true"}
_LUA_TOKEN: Final = re.compile(
    r"""--.*|"[^"]*"|'[^']*'|(?P<operator>==|~=|<=|>=|[<>+]|\b(?:and|or|not|true|false)\b)"""
)
# Keywords on which nothing depends that a test could see: what cannot be changed, and what an error costs.
_UNSEEN: Final = re.compile(r"\b(?:frozen|include_\w+)=$")
# A call for its effect, or an assignment to something that exists, on a line of its own.
_LUA_STATEMENT: Final = re.compile(r"^\s+(?!local |return|end\b|if |for |while |else)[\w.\[\]]+(\(.*\)| = .+)$")


@dataclass(frozen=True)
class Mutant:
    """A file with one fault on one line."""

    path: Path
    line: int
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before.strip()}  ->  {self.after.strip() or '(dropped)'}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Every fault that this module knows for the file."""
    lines = path.read_text().split("\n")
    for number, after in _lua(lines) if path.suffix == ".lua" else _python(lines):
        text = "\n".join([*lines[:number], after, *lines[number + 1 :]])
        yield Mutant(path, number + 1, lines[number], after, text)


def _lua(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines):
        for token in _LUA_TOKEN.finditer(line):
            if operator := token["operator"]:
                yield number, line[: token.start()] + _LUA_OPERATORS[operator] + line[token.end() :]
        if _LUA_STATEMENT.match(line):
            yield number, ""


def _python(lines: list[str]) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        if token.type in (tokenize.OP, tokenize.NAME) and token.string in _OPERATORS:
            (row, start), (_, end) = token.start, token.end
            line = lines[row - 1]
            # Neither does anything depend on types and on the arguments of decorators.
            is_unseen = "->" in line or line.lstrip().startswith(("@", "class ", "import", "from"))
            if not is_unseen and not _UNSEEN.search(line[:start]):
                yield row - 1, line[:start] + _OPERATORS[token.string] + line[end:]
