"""TypeScript types of both documents, ready for ``Socket<ServerToClientEvents, ClientToServerEvents>``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from app.documents.schemas import Schema, argument_of, body_of, needs_no_argument, reference, schemas
from app.sessions.events import SERVER_EVENTS
from app.sessions.operations import EVENTS, ROUTES, Change, Operation

__all__ = ["typescript"]

_HEAD: Final = """\
// Types of the join-session API, made by `join-session types`.
//
//   const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();
//   socket.emit("vote", { movieID: "m1", rating: 5 }, (ack) => { ... });
//
// Where every event is sent with an acknowledgement, `AcknowledgedEvents` gives `emitWithAck` the types of the answers:
//
//   const socket: Socket<ServerToClientEvents, AcknowledgedEvents> = io();
//   const ack = await socket.emitWithAck("join-session", "123456");
"""
_PRIMITIVES: Final = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def typescript() -> str:
    """Return the text of ``join-session.d.ts``."""
    parts = [_HEAD, *(_declaration(name, schema) for name, schema in schemas().items())]
    parts.append(_interface("Acknowledgements", "What each event is acknowledged with.", _acknowledgements()))
    parts.append(_interface("ServerToClientEvents", "What the server tells.", _told()))
    parts.append(_interface("ClientToServerEvents", "What a client asks for.", _asked(acknowledged=False)))
    parts.append(_interface("AcknowledgedEvents", "The same, always acknowledged.", _asked(acknowledged=True)))
    parts.append(_interface("Routes", "The HTTP API: bodies and answers, errors apart.", _routes()))
    return "\n".join(parts)


def _declaration(name: str, schema: Schema) -> str:
    comment = schema.get("description")
    if "properties" not in schema:
        return f"{_comment(comment)}export type {name} = {_type(schema)};\n"
    return _interface(name, comment, _fields(schema))


def _interface(name: str, comment: str | None, lines: Iterable[str]) -> str:
    body = "".join(f"  {line}\n" for line in lines)
    return f"{_comment(comment)}export interface {name} {{\n{body}}}\n"


def _comment(text: str | None) -> str:
    return f"/** {text} */\n" if text else ""


def _fields(schema: Schema) -> Iterator[str]:
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        if "description" in field:
            yield f"/** {field['description']} */"
        yield f"{name}{'' if name in required else '?'}: {_type(field)};"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "properties" in schema:
        return f"{{ {' '.join(_fields(schema))} }}"
    if "anyOf" in schema:
        return " | ".join(_type(option) for option in schema["anyOf"])
    if schema["type"] == "array":
        return f"Array<{_type(schema['items'])}>"
    if schema["type"] == "object":
        return f"Record<string, {_type(schema['additionalProperties'])}>" if "additionalProperties" in schema else "{}"
    return _PRIMITIVES[schema["type"]]


def _acknowledgements() -> Iterator[str]:
    for name, operation in EVENTS.items():
        yield f'"{name}": {_type(reference(operation.answer))} | Refused;'


def _told() -> Iterator[str]:
    for name, event in SERVER_EVENTS.items():
        arguments = ", ".join(f"{argument}: {_type(reference(shown))}" for argument, shown in event.arguments.items())
        yield f"/** {event.summary} (to {event.to}). */"
        yield f'"{name}": ({arguments}) => void;'


def _asked(*, acknowledged: bool) -> Iterator[str]:
    for name, operation in EVENTS.items():
        yield f"/** {operation.summary}. */"
        yield _event(name, _ways(operation), acknowledged)


def _ways(operation: Operation) -> list[str]:
    """Return the argument lists with which an event may be sent."""
    if not isinstance(operation, Change):
        return ["sessionID: SessionID", "sessionID: SessionID, options: JoinOptions", "joining: JoinSession"]
    argument = argument_of(operation.payload)
    ways = [f"payload: {_type(form)}" for form in argument.get("anyOf", [argument])]
    return [*ways, ""] if needs_no_argument(operation.payload) else ways


def _event(name: str, ways: list[str], acknowledged: bool) -> str:
    ack = f'ack: (ack: Acknowledgements["{name}"]) => void'
    tuples = [f"[{way}, {ack}]" if way else f"[{ack}]" for way in ways]
    if not acknowledged:
        tuples += [f"[{way}]" for way in ways]
    return f'"{name}": (...args: {" | ".join(tuples)}) => void;'


def _routes() -> Iterator[str]:
    for route, operation in ROUTES.items():
        body = body_of(operation, route)
        shown = "undefined" if body is None else _type(body)
        yield f"/** {route.summary or operation.summary}. */"
        yield f'"{route.method} {route.path}": {{ body: {shown}; answer: {operation.answer.__name__} }};'
