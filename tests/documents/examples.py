"""Chooses the examples of the documents from the recordings of `tests.contract`, for each the longest valid one.

`python -m tests.documents.examples` writes them to `app/documents/examples.json`; a test compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import jsonschema_rs

from app.documents.asyncapi import arguments_of
from app.documents.examples import EventExample, Examples, RouteExample
from app.documents.schemas import Schema, body_of, reference, schemas
from app.sessions.events import SERVER_EVENTS
from app.sessions.operations import EVENTS, ROUTES, Operation, Route
from tests.documents.traffic import Event, Request, ServerEvent, Traffic, read_traffic
from tests.harness.conformance import closed

__all__ = ["FILE", "chosen", "written"]

ROOT: Final = Path(__file__).parent.parent.parent
FILE: Final = ROOT / "app" / "documents" / "examples.json"
_RECORDED: Final = ROOT / "tests" / "contract" / "recorded"

# Texts that the service trims.
_PADDED: Final = re.compile(r'"\s|\w\s"')

T = TypeVar("T")


def chosen() -> Examples:
    """Return the examples."""
    traffic: list[Traffic] = [seen for path in sorted(_RECORDED.glob("*.txt")) for seen in read_traffic(path)]
    requests = [seen for seen in traffic if isinstance(seen, Request)]
    events = [seen for seen in traffic if isinstance(seen, Event)]
    told = [seen for seen in traffic if isinstance(seen, ServerEvent)]
    failures = [
        (seen.headers["x-error-code"], json.loads(seen.answer))
        for seen in requests
        if "x-error-code" in seen.headers and seen.answer
    ]
    refusals = [event for event in events if event.ack is not None and not event.ack["ok"]]
    return {
        "routes": {route.name: _route(route, operation, requests) for route, operation in ROUTES.items()},
        "events": {name: _event(name, events) for name in EVENTS},
        "server_events": {name: _told(name, told) for name in SERVER_EVENTS},
        "errors": _by_code([body for _, body in failures if "code" in body]),
        # Those of the one route that has no code in its errors.
        "join_errors": {code: body for code, body in failures if "code" not in body},
        "refusals": _by_code([event.ack for event in refusals]),
    }


def written(found: Examples) -> str:
    """Return the text of the file."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _route(route: Route, operation: Operation, requests: list[Request]) -> RouteExample:
    done = [seen for seen in requests if _is_of(seen, route.method, route.path) and seen.status == route.status]
    answer = _validator(reference(operation.answer))
    body = body_of(operation, route)
    forms = [] if body is None else body.get("anyOf", [body])
    answers = [seen for seen in done if seen.headers["content-type"] == "application/json"]
    answers = [seen for seen in answers if answer.is_valid(json.loads(seen.answer))]
    longest = _longest(answers, lambda seen: seen.answer)
    tables = [seen.answer for seen in done if seen.headers["content-type"].startswith("text/csv")]
    return {
        "target": longest.target,
        "bodies": {form["$ref"].rpartition("/")[2]: _body(form, done) for form in forms},
        "answer": json.loads(longest.answer),
        "csv": tables[0] if tables else None,
    }


def _body(form: Schema, requests: list[Request]) -> Any:
    shape = _validator(form)
    bodies = [json.loads(seen.body) for seen in requests if seen.body]
    return _longest([body for body in bodies if shape.is_valid(body)], json.dumps)


def _event(name: str, events: list[Event]) -> EventExample:
    mine = [event for event in events if event.name == name and event.ack is not None]
    done = [event for event in mine if event.ack["ok"]]
    refused = [event.ack for event in mine if not event.ack["ok"]]
    shape = _validator(arguments_of(EVENTS[name]))
    arguments = [event.arguments for event in done if shape.is_valid(event.arguments)]
    return {
        "arguments": [
            _longest([each for each in arguments if _form(each) == form], json.dumps)
            for form in dict.fromkeys(map(_form, arguments))
        ],
        "done": _longest([event.ack for event in done], json.dumps),
        "refused": _longest(refused, json.dumps) if refused else None,
    }


def _form(arguments: list[Any]) -> tuple[type, ...]:
    """What tells ways apart in which an event may be sent: the types of the arguments."""
    return tuple(type(argument) for argument in arguments)


def _told(name: str, told: list[ServerEvent]) -> list[list[Any]]:
    mine = [event.arguments for event in told if event.name == name]
    if name == "error":
        return [[body] for body in _by_code([arguments[0] for arguments in mine]).values()]
    return [_longest(mine, lambda arguments: json.dumps(arguments[0]))]


def _is_of(request: Request, method: str, path: str) -> bool:
    pattern = re.sub(r"{\w+}", "[^/?]+", path)
    return request.method == method and re.fullmatch(rf"{pattern}(\?.*)?", request.target) is not None


def _by_code(bodies: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for body in bodies:
        found.setdefault(body["code"], []).append(body)
    return {code: _longest(found[code], json.dumps) for code in sorted(found)}


def _validator(schema: Schema) -> jsonschema_rs.Draft7Validator:
    """Return a validator that does not depend on the documents, which have the examples."""
    return jsonschema_rs.Draft7Validator({**schema, "components": closed(schemas())})


def _longest(found: list[T], text: Callable[[T], str]) -> T:
    return max(found, key=lambda each: (not _PADDED.search(text(each)), len(text(each))))


if __name__ == "__main__":
    FILE.write_text(written(chosen()))
