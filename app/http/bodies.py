"""Parses the parts of requests: bodies, flags, tokens and idempotency keys."""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeVar, cast

import orjson
from quart import request

from app.sessions.errors import SessionError
from app.sessions.payloads import Payload, parse
from app.sessions.validation import invalid

__all__ = [
    "BODY_TIMEOUT_SECONDS",
    "bearer_token",
    "idempotency_key",
    "parse_body",
    "read_body",
    "read_flag",
    "read_session_id",
    "token_of",
]

BODY_TIMEOUT_SECONDS: Final = 5.0
"""The time to send a body."""

_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")

P = TypeVar("P", bound=Payload)


async def read_body(limit: int) -> bytes:
    """Return the body of the request; refuse more than ``limit`` bytes, if possible by ``Content-Length``."""
    if (request.content_length or 0) > limit:
        raise SessionError("payload-too-large")
    body = cast("bytes", await request.get_data(cache=False))
    if len(body) > limit:
        raise SessionError("payload-too-large")
    return body


def parse_body(model: type[P], body: bytes, **fields: Any) -> P:
    """Validate the body, with ``fields`` from the path or the headers; an empty body counts as an empty object."""
    try:
        data = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError:
        raise SessionError("invalid-payload", "The body must be JSON") from None
    if not isinstance(data, dict):
        raise SessionError("invalid-payload", "The body must be a JSON object")
    return parse(model, data | {name: value for name, value in fields.items() if value is not None})


def read_flag(name: str) -> bool:
    """Return a boolean parameter of the query, false by default."""
    value = request.args.get(name, "false")
    if value not in ("true", "false"):
        raise invalid(name, "must be true or false")
    return value == "true"


def bearer_token() -> str | None:
    """Return the token of the ``Authorization`` header, None without one, "" for another scheme."""
    return token_of(request.headers.get("Authorization"))


def token_of(header: str | None) -> str | None:
    """Return the token in an ``Authorization`` header, like ``bearer_token``."""
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def idempotency_key(*, shortest: int = 1) -> str | None:
    """Return the ``Idempotency-Key`` header."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (_KEY.fullmatch(key) and len(key) >= shortest):
        raise invalid("Idempotency-Key", f"must be {shortest} to 128 visible ASCII characters")
    return key


def read_session_id(body: bytes) -> str:
    """Return the ``sessionID`` of a join request; raises ``session-id-required`` if there is none.

    A non-zero JSON integer counts as its decimal string.
    """
    return _plain_text(body) or _any_text(body)


def _plain_text(body: bytes) -> str | None:
    """Return the text if the id is a string, the usual case, in a tenth of the time."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    session_id = data.get("sessionID") if isinstance(data, dict) else None
    return session_id.strip() if isinstance(session_id, str) else None


def _any_text(body: bytes) -> str:
    try:
        data = json.loads(body.decode("utf-8"), parse_int=_Integer, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise SessionError("session-id-required") from None
    session_id = data.get("sessionID") if isinstance(data, dict) else None
    if not isinstance(session_id, str) or not session_id.strip():
        raise SessionError("session-id-required")
    if isinstance(session_id, _Integer) and not session_id.strip("-0"):
        raise SessionError("session-id-required")
    return session_id.strip()


class _Integer(str):
    """A JSON integer as written: it may have more digits than Python parses."""

    __slots__ = ()


def _refuse(constant: str) -> None:
    raise ValueError(f"not JSON: {constant}")
