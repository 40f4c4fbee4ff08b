"""docs/api.md shows the tables that the code works by."""

from __future__ import annotations

from pathlib import Path

from app.sessions.errors import CATALOGUE
from app.sessions.permissions import PERMISSIONS

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_document_shows_the_permission_matrix_that_is_enforced() -> None:
    rows = ["| action | host | member | stranger | operator |", "|---|---|---|---|---|"]
    rows += [
        f"| `{action}` | {grants.host} | {grants.member} | {grants.stranger} | {grants.operator} |"
        for action, grants in PERMISSIONS.items()
    ]
    assert "\n".join(rows).replace(" none ", " – ") in DOCUMENT.read_text()


def test_the_document_shows_every_error_code() -> None:
    rows = ["| code | HTTP | message | retryable |", "|---|---|---|---|"]
    rows += [
        f"| `{code}` | {kind.status} | {kind.message} | {'yes' if kind.retryable else 'no'} |"
        for code, kind in CATALOGUE.items()
    ]
    assert "\n".join(rows) in DOCUMENT.read_text()
