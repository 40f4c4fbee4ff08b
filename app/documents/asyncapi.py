"""The AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0).

A message's payload is the array of arguments of an event or an acknowledgement. Tuples are described with the keywords
of JSON Schema draft 7, the default of AsyncAPI.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from app import __version__
from app.documents.examples import examples
from app.documents.schemas import Schema, argument_of, named, needs_no_argument, reference, roles, used_in
from app.sessions.events import SERVER_EVENTS
from app.sessions.operations import EVENTS, Change, Operation

__all__ = ["arguments_of", "asyncapi"]

_DESCRIPTION: Final = (
    "What happens in a session, over Socket.IO (protocol 5, Engine.IO 4) at the path `/socket.io/`, namespace `/`, "
    "without auth. Each payload below is the array of an event's arguments. Every event from a client takes an "
    "acknowledgement. The acknowledgement of an event that is not shown here, or that cannot be done, is `Refused`; "
    "without an acknowledgement `error` is sent, and for `join-session` in any case. "
    "The answer to CONNECT holds a `pid`: clients from 4.6 on use it to recover their connection."
)
_CHANNEL: Final = "session"


@functools.cache
def asyncapi() -> Schema:
    """Return the document of the Socket.IO API. It is shared: do not modify it."""
    messages: Schema = {}
    operations: Schema = {}
    for name, operation in EVENTS.items():
        seen = examples()["events"][name]
        messages[name] = _message(name, operation.summary, arguments_of(operation), seen["arguments"])
        acks = [[ack] for ack in (seen["done"], seen["refused"]) if ack is not None]
        messages[f"{name}-ack"] = _acknowledged(name, operation.answer, acks)
        operations[name] = _received(name, operation)
    for name, told in SERVER_EVENTS.items():
        arguments = [reference(shown) for shown in told.arguments.values()]
        shape = _tuple(arguments, len(arguments))
        messages[name] = _message(name, told.summary, shape, examples()["server_events"][name])
        operations[name] = {
            "action": "send",
            "channel": _channel(),
            "summary": f"{told.summary} (to {told.to})",
            "messages": [_of_channel(name)],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "join-session",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"local": {"host": "localhost:8080", "pathname": "/socket.io/", "protocol": "ws"}},
        "channels": {
            _CHANNEL: {
                "address": "/",
                "description": "The namespace. A socket is in one session at a time.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": operations,
        "components": {"messages": messages, "schemas": _schemas(messages)},
    }


def arguments_of(operation: Operation) -> Schema:
    """Return the schema of an event's arguments."""
    if not isinstance(operation, Change):
        separate = _tuple([named("SessionID"), {"anyOf": [named("JoinOptions"), {"type": "null"}]}], 1)
        return {"anyOf": [separate, _tuple([named("JoinSession")], 1)]}
    argument = argument_of(operation.payload)
    if needs_no_argument(operation.payload):
        return _tuple([{"anyOf": [argument, {"type": "null"}]}], 0)
    return _tuple([argument], 1)


def _schemas(messages: Schema) -> Schema:
    used = used_in(messages)
    return used | {"Refused": {**used["Refused"], "examples": [*examples()["refusals"].values()]}}


def _acknowledged(event: str, ack: Any, seen: list[Any]) -> Schema:
    """Return the message that acknowledges an event, with success or an error."""
    shape = _tuple([{"anyOf": [reference(ack), named("Refused")]}], 1)
    return _message(f"{event}-ack", "Done or refused", shape, seen)


def _tuple(items: list[Schema], shortest: int) -> Schema:
    return {"type": "array", "items": items, "minItems": shortest}


def _message(name: str, summary: str, payload: Schema, seen: list[Any]) -> Schema:
    return {"name": name, "summary": summary, "payload": payload, "examples": [{"payload": each} for each in seen]}


def _received(name: str, operation: Operation) -> Schema:
    return {
        "action": "receive",
        "channel": _channel(),
        "summary": operation.summary,
        "messages": [_of_channel(name)],
        "reply": {"channel": _channel(), "messages": [_of_channel(f"{name}-ack")]},
        **roles(operation),
    }


def _channel() -> Schema:
    return {"$ref": f"#/channels/{_CHANNEL}"}


def _of_channel(message: str) -> Schema:
    return {"$ref": f"#/channels/{_CHANNEL}/messages/{message}"}
