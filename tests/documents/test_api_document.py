"""docs/api.md shows the tables that the code works by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from app.documents.schemas import body_of, schemas
from app.sessions.errors import CATALOGUE
from app.sessions.operations import EVENTS, ROUTES, Change, Operation
from app.sessions.permissions import Action

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_document_shows_the_permission_matrix_that_is_enforced() -> None:
    rows = ["| action | host | member | stranger | operator |", "|---|---|---|---|---|"]
    rows += [
        f"| `{action}` | {grants.host} | {grants.member} | {grants.stranger} | {grants.operator} |"
        for action, grants in ((action, action.permission) for action in Action)
    ]
    assert "\n".join(rows).replace(" none ", " – ") in DOCUMENT.read_text()


def test_the_document_shows_every_error_code() -> None:
    rows = ["| code | HTTP | message | retryable |", "|---|---|---|---|"]
    rows += [
        f"| `{code}` | {kind.status} | {kind.message} | {'yes' if kind.retryable else 'no'} |"
        for code, kind in CATALOGUE.items()
    ]
    assert "\n".join(rows) in DOCUMENT.read_text()


def test_the_document_shows_every_route_with_the_fields_of_its_body() -> None:
    rows = {cells[0]: cells[2] for cells in table("route")}
    assert list(rows) == [f"`{route.method} {route.path}`" for route in ROUTES]
    for route, operation in ROUTES.items():
        body = body_of(operation, route)
        if body is None or "$ref" in body:
            shown = {"properties": {}} if body is None else schemas()[body["$ref"].rpartition("/")[2]]
            assert fields_in(rows[f"`{route.method} {route.path}`"]) == fields_of(shown)


def test_the_document_shows_every_event_with_the_fields_of_its_payload() -> None:
    rows = {cells[0]: cells[1] for cells in table("event")}
    assert list(rows) == [f"`{event}`" for event in EVENTS]
    for event, operation in EVENTS.items():
        if isinstance(operation, Change) and event != "add-movie":
            assert fields_in(rows[f"`{event}`"]) == fields_of(schemas()[operation.payload.__name__])


@pytest.mark.parametrize("operation", EVENTS.values(), ids=EVENTS.keys())
def test_the_document_shows_what_an_acknowledgement_has_besides_what_all_have(operation: Operation) -> None:
    cells = next(cells for cells in table("event") if cells[0] == f"`{operation.event}`")
    assert re.findall(r"`(\w+)`", cells[2]) == [name for name in operation.answer.__annotations__ if name not in COMMON]


COMMON = ("ok", "version", "now")


def table(head: str) -> list[list[str]]:
    """The cells of the first table whose first column has this head."""
    text = DOCUMENT.read_text()
    rows = text[text.index(f"\n| {head} |") :].lstrip().partition("\n\n")[0].splitlines()[2:]
    return [re.split(r"\s*\|\s*", row)[1:-1] for row in rows]


def fields_in(cell: str) -> set[str]:
    """Of ``{movieID, rating?}``."""
    return set(re.findall(r"\w+\??", cell.partition("{")[2].partition("}")[0]))


def fields_of(schema: dict[str, Any]) -> set[str]:
    required = schema.get("required", [])
    return {name if name in required else f"{name}?" for name in schema["properties"] if name != "mid"}
