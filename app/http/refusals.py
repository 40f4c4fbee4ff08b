"""Complete responses to invalid HTTP requests, after which the connection is closed."""

from __future__ import annotations

import random
from http import HTTPStatus
from typing import Final

import orjson

from app.sessions.answers import error_body
from app.sessions.errors import CATALOGUE, SessionError

__all__ = ["INVALID", "LATE", "NO_HANDSHAKE", "OTHER_VERSION", "TOO_LARGE", "TOO_MANY", "Refused", "full"]


class Refused(Exception):
    """Ends the parsing of a client's data; ``answer`` is the last response on the connection."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer


def _error(code: str, message: str | None = None, *, status: int | None = None, fields: str = "") -> bytes:
    kind = CATALOGUE[code]
    body = orjson.dumps(error_body(SessionError(code, message)))
    head = (
        f"HTTP/1.1 {status or kind.status} {HTTPStatus(status or kind.status).phrase}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        f"x-error-code: {code}\r\nconnection: close\r\n{fields}\r\n"
    )
    return head.encode() + body


def full() -> bytes:
    """Return the answer of a port that takes no more connections; clients are asked to wait for different times."""
    return random.choice(_FULL)  # noqa: S311 - nothing depends on it


INVALID: Final = _error("invalid-payload", "Invalid HTTP request")
LATE: Final = _error("request-timeout")
TOO_LARGE: Final = _error("headers-too-large")
TOO_MANY: Final = _error("too-many-requests", fields="retry-after: 1\r\n")
_FULL: Final = [_error("unavailable", fields=f"retry-after: {seconds}\r\n") for seconds in range(1, 31)]
NO_HANDSHAKE: Final = _error("invalid-payload", "Invalid WebSocket handshake")
# RFC 6455, section 4.4; RFC 9110, section 15.5.22.
OTHER_VERSION: Final = _error(
    "invalid-payload",
    "Unsupported WebSocket version",
    status=HTTPStatus.UPGRADE_REQUIRED,
    fields="upgrade: websocket\r\nsec-websocket-version: 13\r\n",
)
