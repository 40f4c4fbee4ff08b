"""JSON Schemas of requests, responses and events, by name, for both documents."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from typing import Any, Final, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from app.sessions import answers
from app.sessions.events import SERVER_EVENTS
from app.sessions.operations import OPERATIONS, ROUTES, Operation, Route
from app.sessions.payloads import AddMovie, AddMovies, Payload
from app.sessions.permissions import Grant

__all__ = ["Schema", "argument_of", "body_of", "named", "needs_no_argument", "reference", "roles", "schemas", "used_in"]

Schema = dict[str, Any]

_TEMPLATE: Final = "#/components/schemas/{model}"
_REFERENCE: Final = re.compile(r'"#/components/schemas/(\w+)"')
# Payloads with a second accepted form.
_FORMS: Final[dict[type[Payload], tuple[type[Payload], ...]]] = {AddMovies: (AddMovies, AddMovie)}
_REQUESTS: Final[set[Any]] = {
    form for row in OPERATIONS if row.payload is not None for form in _FORMS.get(row.payload, (row.payload,))
}
_ANSWERS: Final[set[Any]] = {
    answers.Refused,
    answers.JoinFailure,
    *(row.answer for row in OPERATIONS),
    *(shown for event in SERVER_EVENTS.values() for shown in event.arguments.values() if shown is not str),
}
_SESSION_ID: Final[Schema] = {
    "description": "A session's code, trimmed at both ends; an integer other than zero is its decimal string.",
    "anyOf": [{"type": "string", "pattern": r"\S"}, {"type": "integer", "not": {"const": 0}}],
}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        """Omit titles: they would repeat the names of the fields."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Omit defaults: generated clients would have to send the fields that have one."""
        return self.generate_inner(schema["schema"])


@functools.cache
def schemas() -> dict[str, Schema]:
    """Return the components of both documents."""
    shown: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        *((model, "validation", TypeAdapter[Any](model)) for model in _REQUESTS),
        *((answer, "serialization", TypeAdapter[Any](answer)) for answer in _ANSWERS),
    ]
    _, generated = TypeAdapter.json_schemas(shown, ref_template=_TEMPLATE, schema_generator=_Generator)
    found: dict[str, Schema] = generated["$defs"]
    for schema in found.values():
        schema.pop("title", None)
        if "description" in schema:
            schema["description"] = schema["description"].replace("``", "`")
    found["SessionID"] = _SESSION_ID
    found["JoinRequest"] = _joining("Body of `POST /api/session/join`.", {})
    options = found["JoinOptions"]["properties"]
    found["JoinSession"] = _joining("The only argument of `join-session`, instead of two.", options)
    for route, operation in ROUTES.items():
        found |= _bodies(route, operation, found)
    return dict(sorted(found.items()))


def used_in(part: Any) -> dict[str, Schema]:
    """Return the components that a part of a document refers to, and those that they refer to."""
    used: dict[str, Schema] = {}
    waiting = [part]
    while waiting:
        for name in _REFERENCE.findall(json.dumps(waiting.pop())):
            if name not in used:
                used[name] = schemas()[name]
                waiting.append(used[name])
    return dict(sorted(used.items()))


def named(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": _TEMPLATE.format(model=name)}


def reference(shown: Any) -> Schema:
    """Return the schema of a model or of an answer's type."""
    return {"type": "string"} if shown is str else named(shown.__name__)


def argument_of(payload: type[Payload]) -> Schema:
    """Return the schema of an event's argument."""
    return _any_of([reference(form) for form in _forms(payload)])


def needs_no_argument(payload: type[Payload]) -> bool:
    """Return whether the event may be sent without an argument."""
    return not {"required", "minProperties"} & schemas()[payload.__name__].keys()


def body_of(operation: Operation, route: Route) -> Schema | None:
    """Return the schema of a request's body, None if the request has none.

    The body has the fields of the payload that are not in the path, in the query or in the header ``Idempotency-Key``.
    """
    if route.name == "joinSession":
        return named("JoinRequest")
    bodies = [named(name) for name in _bodies(route, operation, schemas())]
    return _any_of(bodies) if bodies else None


def roles(operation: Operation, route: Route | None = None) -> Schema:
    """Return the field with the roles that may call an event, or a route; empty if every caller may."""
    if operation.action is None:
        return {}
    allowed = [operation.action.permission]
    if route is not None and route.on_oneself is not None:
        allowed.append(route.on_oneself.permission)
    return {
        "x-roles": {
            "host": _widest(permission.host for permission in allowed),
            "member": _widest(permission.member for permission in allowed),
            "stranger": _widest(permission.stranger for permission in allowed),
        }
    }


def _widest(grants: Iterable[Grant]) -> Grant:
    return max(grants, key=get_args(Grant)[::-1].index)


def _any_of(schemas: list[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _forms(payload: type[Payload] | None) -> tuple[type[Payload], ...]:
    return () if payload is None else _FORMS.get(payload, (payload,))


def _bodies(route: Route, operation: Operation, found: dict[str, Schema]) -> dict[str, Schema]:
    """Return the components that a request's body may be."""
    elsewhere = {*route.parameters, *route.query, "mid"}
    bodies: dict[str, Schema] = {}
    for form in _forms(operation.payload):
        whole = found[form.__name__]
        if not elsewhere & whole["properties"].keys():
            bodies[form.__name__] = whole
        elif whole["properties"].keys() - elsewhere:
            bodies[f"{form.__name__}Body"] = _without(elsewhere, whole, f"Body of `{route.method} {route.path}`.")
    return bodies


def _without(elsewhere: set[str], whole: Schema, description: str) -> Schema:
    body = {**whole, "description": description}
    body["properties"] = {name: field for name, field in whole["properties"].items() if name not in elsewhere}
    if "required" in whole:
        body["required"] = [name for name in whole["required"] if name not in elsewhere]
    return body


def _joining(description: str, options: Schema) -> Schema:
    return {
        "description": description,
        "type": "object",
        "properties": {"sessionID": named("SessionID"), **options},
        "required": ["sessionID"],
    }
