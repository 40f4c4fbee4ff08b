"""Examples for the documents, taken from recorded traffic: ``tests.documents.examples`` makes ``examples.json``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

import orjson
from typing_extensions import TypedDict

__all__ = ["EventExample", "Examples", "RouteExample", "examples"]

_FILE: Final = Path(__file__).parent / "examples.json"


class RouteExample(TypedDict):
    """A request and its response. ``bodies``: one for each form of the body, by its schema; ``csv``: the response."""

    target: str
    bodies: dict[str, Any]
    answer: Any
    csv: str | None


class EventExample(TypedDict):
    """Arguments of an event, one list for each form, and acknowledgements; ``refused`` is None if none was recorded."""

    arguments: list[list[Any]]
    done: Any
    refused: Any


class Examples(TypedDict):
    """All examples. ``join_errors``: of ``POST /api/session/join``; ``refusals``: acknowledgements by code."""

    routes: dict[str, RouteExample]
    events: dict[str, EventExample]
    server_events: dict[str, list[list[Any]]]
    errors: dict[str, Any]
    join_errors: dict[str, Any]
    refusals: dict[str, Any]


@functools.cache
def examples() -> Examples:
    """Return the examples. They are shared: do not modify them."""
    found: Examples = orjson.loads(_FILE.read_bytes())
    return found
