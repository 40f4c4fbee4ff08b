"""JSON Schemas of requests, responses and events, by name, for both documents."""

from __future__ import annotations

import functools
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from app.sessions import answers
from app.sessions.events import SERVER_EVENTS
from app.sessions.operations import OPERATIONS, Operation, Route
from app.sessions.payloads import AddMovie, AddMovies, Payload

__all__ = ["Schema", "argument_of", "body_of", "named", "needs_no_argument", "reference", "roles", "schemas"]

Schema = dict[str, Any]

_TEMPLATE: Final = "#/components/schemas/{model}"
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
        if "description" in schema:
            schema["description"] = schema["description"].replace("``", "`")
    found["SessionID"] = _SESSION_ID
    found["JoinRequest"] = _joining("Body of `POST /api/session/join`.", {})
    options = found["JoinOptions"]["properties"]
    found["JoinSession"] = _joining("The only argument of `join-session`, instead of two.", options)
    return dict(sorted(found.items()))


def named(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": _TEMPLATE.format(model=name)}


def reference(shown: Any) -> Schema:
    """Return the schema of a model or of an answer's type."""
    return {"type": "string"} if shown is str else named(shown.__name__)


def argument_of(payload: type[Payload]) -> Schema:
    """Return the schema of an event's argument."""
    return _any_of([reference(form) for form in _FORMS.get(payload, (payload,))])


def needs_no_argument(payload: type[Payload]) -> bool:
    """Return whether the event may be sent without an argument."""
    return not {"required", "anyOf"} & schemas()[payload.__name__].keys()


def body_of(operation: Operation, route: Route) -> Schema | None:
    """Return the schema of a request's body, None if the request has none.

    The body has the fields of the payload that are not in the path, in the query or in the header ``Idempotency-Key``.
    """
    if route.name == "joinSession":
        return named("JoinRequest")
    if operation.payload is None:
        return None
    elsewhere = {*route.parameters, *route.query, "mid"}
    if not schemas()[operation.payload.__name__]["properties"].keys() - elsewhere:
        return None
    return _any_of([_without(elsewhere, form) for form in _FORMS.get(operation.payload, (operation.payload,))])


def roles(operation: Operation) -> Schema:
    """Return the field with the roles that may call an operation; empty if every caller may."""
    if operation.action is None:
        return {}
    permission = operation.action.permission
    return {"x-roles": {"host": permission.host, "member": permission.member, "stranger": permission.stranger}}


def _any_of(schemas: list[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _without(fields: set[str], model: type[Payload]) -> Schema:
    whole = schemas()[model.__name__]
    elsewhere = fields & whole["properties"].keys()
    if not elsewhere:
        return named(model.__name__)
    body = {key: value for key, value in whole.items() if key not in ("title", "description")}
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
