"""JSON Schemas of what goes over the wire, by name, as both documents show them."""

from __future__ import annotations

import functools
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from app.sessions import answers
from app.sessions.events import CLIENT_EVENTS, SERVER_EVENTS
from app.sessions.payloads import AddMovie, CreateSession, JoinOptions

__all__ = ["Schema", "body_of", "named", "reference", "schemas"]

Schema = dict[str, Any]

_TEMPLATE: Final = "#/components/schemas/{model}"
_REQUESTS: Final[set[Any]] = {
    CreateSession,
    JoinOptions,
    AddMovie,
    *(event.payload for event in CLIENT_EVENTS.values()),
}
_ANSWERS: Final[set[Any]] = {
    answers.SessionFound,
    answers.SessionCreated,
    answers.SessionState,
    answers.Joined,
    answers.Refused,
    answers.JoinFailure,
    *(event.ack for event in CLIENT_EVENTS.values()),
    *(shown for event in SERVER_EVENTS.values() for shown in event.arguments.values() if shown is not str),
}
_SESSION_ID: Final[Schema] = {
    "description": "A session's code, trimmed at both ends; an integer other than zero is its decimal string.",
    "anyOf": [{"type": "string", "pattern": r"\S"}, {"type": "integer", "not": {"const": 0}}],
}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        """A field's name says what its title would."""
        return False


@functools.cache
def schemas() -> dict[str, Schema]:
    """The components of both documents."""
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
    """A reference to a component."""
    return {"$ref": _TEMPLATE.format(model=name)}


def reference(shown: Any) -> Schema:
    """The schema of a model or of an answer's type."""
    return {"type": "string"} if shown is str else named(shown.__name__)


def body_of(model: type[BaseModel], *, path: tuple[str, ...] = ()) -> Schema:
    """The schema of a body: the fields of a model but those that the path gives, and the key that a header gives."""
    whole = schemas()[model.__name__]
    elsewhere = {*path, "mid"} & whole["properties"].keys()
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
