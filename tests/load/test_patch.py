"""Applying patches, against jsonpatch."""

from __future__ import annotations

import itertools
from typing import Any, Final

import jsonpatch
import orjson
import pytest
from hypothesis import given, settings

from app.client.patch import PatchError, SessionCopy, apply_patch
from app.sessions.model import Session
from app.sessions.patches import patch
from tests.harness.histories import HISTORIES

DOCUMENT: Final[dict[str, Any]] = {"a": [1, {"b": 2}], "c/d": {"~1": 3}, "e": None}


@settings(deadline=None, database=None)
@given(HISTORIES)
def test_a_patch_of_the_service_is_applied_as_by_jsonpatch(versions: list[Session]) -> None:
    for before, after in itertools.combinations(versions, 2):
        if made := patch(before, after):
            document, operations = orjson.loads(before.data), orjson.loads(made)
            assert apply_patch(document, operations) == jsonpatch.apply_patch(document, operations)
            assert document == orjson.loads(before.data)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/a/0", "value": [4]},
        {"op": "add", "path": "/a/2", "value": 4},
        {"op": "add", "path": "/a/-", "value": 4},
        {"op": "add", "path": "/a/1/b", "value": 4},
        {"op": "add", "path": "/c~1d/~01", "value": 4},
        {"op": "replace", "path": "/e", "value": {}},
        {"op": "replace", "path": "/c~1d/~01", "value": None},
        {"op": "replace", "path": "", "value": []},
        {"op": "remove", "path": "/a/0"},
        {"op": "remove", "path": "/a/1/b"},
        {"op": "remove", "path": "/c~1d"},
    ],
    ids=str,
)
def test_an_operation_does_what_jsonpatch_does(operation: dict[str, Any]) -> None:
    before = orjson.dumps(DOCUMENT)
    assert apply_patch(DOCUMENT, [operation]) == jsonpatch.apply_patch(DOCUMENT, [operation])
    assert orjson.dumps(DOCUMENT) == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/a/3", "value": 4},
        {"op": "add", "path": "/a/-1", "value": 4},
        {"op": "add", "path": "/a/01", "value": 4},
        {"op": "add", "path": "/x/y", "value": 4},
        {"op": "add", "path": "/e/f", "value": 4},
        {"op": "add", "path": "/a/x", "value": 4},
        {"op": "add", "path": "/x"},
        {"op": "replace", "path": "/x", "value": 4},
        {"op": "replace", "path": "/a/2", "value": 4},
        {"op": "remove", "path": "/x"},
        {"op": "remove", "path": "/a/-"},
        {"op": "move", "from": "/a", "path": "/b"},
        {"op": "remove"},
    ],
    ids=str,
)
def test_an_impossible_operation_is_an_error(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchError):
        apply_patch(DOCUMENT, [operation])


def test_a_patch_is_only_applied_to_the_state_at_which_it_starts() -> None:
    copy = SessionCopy({"movies": [{"rank": 1}]}, {"epoch": "e", "version": 3, "title": None})
    operations = [{"op": "replace", "path": "/movies/0/rank", "value": 2}]
    meta = {"epoch": "e", "version": 5, "from": 3, "title": "Friday"}
    after = copy.patched(operations, meta)
    assert after == SessionCopy({"movies": [{"rank": 2}]}, {"epoch": "e", "version": 5, "title": "Friday"})
    for elsewhere in ({"from": 4}, {"epoch": "f"}):
        with pytest.raises(PatchError):
            copy.patched(operations, meta | elsewhere)
