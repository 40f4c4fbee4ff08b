"""What docs/tracing.md says of spans."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.harness.otlp import Span

__all__ = ["assert_documented", "assert_documented_in_itself", "word_for"]

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "tracing.md"


@dataclass(frozen=True)
class Row:
    """A row of the document's table."""

    kind: str
    parent: str
    links: str
    always: frozenset[str]
    perhaps: frozenset[str]


def documented() -> dict[str, Row]:
    """The rows by the word that the column of parents has for them."""
    words = ("request", "event", "command", "publication", "delivery")
    lines = DOCUMENT.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| Span |")) + 2
    rows = {}
    for word, line in zip(words, lines[start : start + len(words)], strict=True):
        _, kind, parent, links, always, perhaps = (cell.strip() for cell in line.strip("|").split("|"))
        rows[word] = Row(kind, parent, links, names_in(always), names_in(perhaps))
    return rows


def names_in(cell: str) -> frozenset[str]:
    return frozenset(re.findall(r"`([^`]+)`", cell))


def word_for(span: Span) -> str:
    if span.name in ("publish session", "deliver session"):
        return {"publish": "publication", "deliver": "delivery"}[span.name.split()[0]]
    if span.name.startswith("receive "):
        return "event"
    return "request" if span.kind == "server" else "command"


def assert_documented_in_itself(spans: Iterable[Span]) -> None:
    """The kind and the attributes of each span are those of its row."""
    table = documented()
    for span in spans:
        row = table[word_for(span)]
        assert span.kind == row.kind, span
        assert row.always <= span.attributes.keys() <= row.always | row.perhaps, span


def assert_documented(spans: Iterable[Span]) -> None:
    """So are the parent and the links of each; all spans of these traces have to be there."""
    spans = list(spans)
    assert_documented_in_itself(spans)
    table = documented()
    by_id = {span.id: span for span in spans}
    for span in spans:
        row = table[word_for(span)]
        if row.parent == "none":
            assert span.parent == "", span
        else:
            assert word_for(by_id[span.parent]) in row.parent.split(", "), span
            assert by_id[span.parent].trace == span.trace
        if row.links == "none":
            assert not span.links, span
        elif row.links == "publications":
            assert {word_for(by_id[link]) for link in span.links} == {"publication"}
            assert span.parent == span.links[0]
            assert len(span.links) == span.attributes["messaging.batch.message_count"]
