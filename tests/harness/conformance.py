"""Validates what the clients of the harness receive against the OpenAPI and AsyncAPI documents.

Violations are collected in `violations` and fail the current test (see `tests/conftest.py`).
"""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import httpx
import jsonschema_rs

from app.documents.asyncapi import asyncapi
from app.documents.openapi import openapi
from app.http.answers import JOIN_PATH
from tests.harness.privacy import note

__all__ = [
    "check_ack",
    "check_answer",
    "check_event",
    "closed",
    "forgive_previous_versions",
    "of_answer",
    "of_message",
    "violations",
]

Schema = dict[str, Any]
Validator = jsonschema_rs.Draft7Validator | jsonschema_rs.Draft202012Validator

violations: Final[list[str]] = []


def check_answer(response: httpx.Response) -> None:
    """Validate a response of the session API: status, headers and body, without undocumented fields."""
    path = response.request.url.raw_path.decode().partition("?")[0].rstrip("/")
    method = response.request.method
    if not path.startswith("/api/") or method in ("OPTIONS", "HEAD"):
        return
    documented = _documented(path, method, response.status_code)
    where = f"{method} {path}: {response.status_code} {response.text[:500]}"
    if documented is None:
        violations.append(f"not documented: {where}")
        return
    for name, header in documented.get("headers", {}).items():
        header = _resolved(header)
        value = response.headers.get(name)
        if (value is None and header.get("required")) or (value and value not in header["schema"].get("enum", [value])):
            violations.append(f"header {name}: {value}: {where}")
    if "content" not in documented:
        if response.content:
            violations.append(f"unexpected body: {where}")
        return
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind not in documented["content"]:
        violations.append(f"content type: {where}")
        return
    if kind == "text/csv":
        return
    note(response.json())
    if "code" in response.json() and response.json()["code"] != response.headers["X-Error-Code"]:
        violations.append(f"header X-Error-Code: {response.headers['X-Error-Code']}: {where}")
    _check(of_answer(json.dumps(documented["content"]["application/json"]["schema"])), response.json(), where)


def check_event(name: str, args: list[Any]) -> None:
    """Validate an event from the server, unless only a digest of it was received."""
    if name == "session-update" and args and "hash" in args[0]:
        return
    if name not in asyncapi()["operations"]:
        violations.append(f"not documented: event {name}")
        return
    note(args)
    _check(of_message(name), args, f"event {name}")


def check_ack(event: str, ack: Any) -> None:
    """Validate the acknowledgement of an event; an undocumented event must be refused."""
    note(ack)
    known = f"{event}-ack" in asyncapi()["components"]["messages"]
    if not known and ack.get("code") != "unknown-event":
        violations.append(f"not documented: {event} was acknowledged with {ack}")
    _check(of_message(f"{event}-ack" if known else "vote-ack"), [ack], f"ack of {event}")


def forgive_previous_versions() -> None:
    """Forget the violations of earlier versions in a rolling upgrade: they count nobody and decide nothing."""
    unknown = ("people", "observers", "phase", "decision", "decideAt", "decideWhen", "reveal", "now", "rated")
    missing = tuple(f'"{name}" is a required property' for name in unknown)
    violations[:] = [
        found
        for found in violations
        if not (found.endswith(missing) or _is_ack_without_time(found) or _is_newcomer_without_number(found))
    ]


def _is_ack_without_time(found: str) -> bool:
    return found.startswith("ack of ") and '"ok":true' in found and '"now"' not in found


def _is_newcomer_without_number(found: str) -> bool:
    """Return whether a patch does not say how many movies a new participant has rated."""
    return found.startswith("event session-patch: ") and '"path":"/participants/' in found and '"rated"' not in found


def _check(validator: Validator, instance: Any, where: str) -> None:
    violations.extend(
        f"{where}: {error.instance_path}: {error.message[:500]}" for error in validator.iter_errors(instance)
    )


def _documented(path: str, method: str, status: int) -> Schema | None:
    """Return the documented response; undocumented paths and methods must get 404 or 405."""
    paths = openapi()["paths"]
    exact = path if path in paths else next((shown for shown in paths if _pattern(shown).fullmatch(path)), None)
    failure: Schema = {"$ref": f"#/components/schemas/{'JoinFailure' if path == JOIN_PATH else 'ErrorBody'}"}
    general = {"content": {"application/json": {"schema": failure}}}
    if exact is None:
        return general if status in (404, 405) else None
    operation = paths[exact].get(method.lower())
    if operation is None:
        return general if status == 405 else None
    found: Schema | None = operation["responses"].get(str(status))
    return found


@functools.cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{\w+}", "[^/]+", path))


def _resolved(shown: Schema) -> Schema:
    header: Schema = openapi()["components"]["headers"].get(shown.get("$ref", "").rpartition("/")[2], shown)
    return header


@functools.cache
def of_answer(schema: str) -> Validator:
    """Return what validates bodies by a schema of the OpenAPI document, as JSON; additional fields are forbidden."""
    return jsonschema_rs.Draft202012Validator(
        {**json.loads(schema), "components": closed(openapi()["components"]["schemas"])}
    )


@functools.cache
def of_message(name: str) -> Validator:
    """Return what validates payloads of a message of the AsyncAPI document; additional fields are forbidden."""
    payload = asyncapi()["components"]["messages"][name]["payload"]
    if isinstance(payload.get("items"), list):
        payload = {**payload, "additionalItems": False}
    return jsonschema_rs.Draft7Validator({**payload, "components": closed(asyncapi()["components"]["schemas"])})


def closed(components: Mapping[str, Schema]) -> Schema:
    """Return components that have the schemas, with additional fields forbidden."""
    shapes = copy.deepcopy(dict(components))
    for shape in shapes.values():
        if "properties" in shape:
            shape["additionalProperties"] = False
    return {"schemas": shapes}
