"""What docs/metrics.md says of metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from app.http.app import create_app
from app.http.routes import route_of
from app.http.sessions import BodyLimits
from app.http.web import PageSettings
from app.sessions.errors import CATALOGUE
from app.sessions.operations import EVENTS

__all__ = ["Row", "documented"]

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = ROOT / "docs" / "metrics.md"


@dataclass(frozen=True)
class Row:
    """A row of the document: of each label the values that it may have."""

    type: str
    labels: dict[str, frozenset[str] | None]


def documented() -> dict[str, Row]:
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        if found := re.match(r"\| `(\w+)` \| (\w+) \|(.*?)\|", line):
            name, kind, labels = found.groups()
            rows[name] = Row(kind, dict(values_of(label) for label in labels.split(";") if label.strip()))
    return rows


def values_of(text: str) -> tuple[str, frozenset[str] | None]:
    """A label and its values; None where what they are depends on what runs."""
    label, *words = re.findall(r"`([^`]+)`", text)
    values = set(words)
    for phrase in re.findall(r"\(([^)]+)\)", text):
        if phrase == "version":
            return label, None
        values |= sets()[phrase]
    return label, frozenset(values)


def sets() -> dict[str, set[str]]:
    """What the document calls by a name instead of listing it."""
    scripts = {path.stem.replace("_", "-") for path in (ROOT / "app/store/scripts").rglob("[a-z]*.lua")}
    allowed = re.findall(r"\+([a-z]+)", (ROOT / "docs/redis.md").read_text())
    nothing = cast("Any", None)
    rules = create_app(nothing, nothing, BodyLimits(1, 1), page=PageSettings()).url_map.iter_rules()
    return {
        "error codes": set(CATALOGUE),
        "events": set(EVENTS),
        "commands": scripts | set(allowed),
        "methods": {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"},
        "routes": {route_of(rule.rule) for rule in rules},
        "statuses": {str(kind.status) for kind in CATALOGUE.values()} | {"200", "201", "204", "304"},
    }
