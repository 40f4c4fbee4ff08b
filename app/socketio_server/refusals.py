"""Requests that are answered with an error."""

from __future__ import annotations

import random
from collections.abc import Sequence
from http import HTTPStatus

import orjson

__all__ = [
    "Headers",
    "Overloaded",
    "Refusal",
    "bad_method",
    "bad_request",
    "overloaded",
    "too_large",
    "too_many_of_one",
    "unavailable",
    "unknown_session",
    "unknown_transport",
    "unsupported_version",
]

Headers = Sequence[tuple[bytes, bytes]]


class Refusal(Exception):
    """A request that is answered with an error.

    ``code`` and ``message`` are those of the reference implementation (engine.io, ``Server.errors``). ``reason`` is a
    word for metrics.
    """

    def __init__(self, reason: str, code: int, message: str, *, status: int = 400, headers: Headers = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers

    @property
    def body(self) -> bytes:
        """The content of the response, JSON."""
        return orjson.dumps({"code": self.code, "message": self.message})


class Overloaded(Refusal):
    """The refusal of a server that has too much to do, which may have to refuse very often."""

    def response(self) -> bytes:
        """Return all of an HTTP response, after which the connection is closed."""
        body = self.body
        fields = [
            *self.headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%s: %s\r\n" % field for field in fields)
        status = HTTPStatus(self.status)
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode(), head, body)


def unknown_transport() -> Refusal:
    return Refusal("unknown transport", 0, "Transport unknown")


def unknown_session() -> Refusal:
    return Refusal("unknown session", 1, "Session ID unknown")


def bad_method() -> Refusal:
    return Refusal("bad method", 2, "Bad handshake method")


def bad_request() -> Refusal:
    return Refusal("bad request", 3, "Bad request")


def unsupported_version() -> Refusal:
    return Refusal("unsupported version", 5, "Unsupported protocol version")


def too_many_of_one() -> Refusal:
    """Return a refusal for an address with too many connections."""
    reason = "too many connections of one address"
    return Refusal(reason, 3, "Too many connections", status=429, headers=[(b"retry-after", b"5")])


def overloaded(reason: str, longest_wait: int, headers: Headers = ()) -> Overloaded:
    """Return a refusal for a server that has too much to do; clients are asked to wait for different times."""
    wait = b"%d" % random.randint(1, longest_wait)  # noqa: S311 - nothing depends on it
    headers = [(b"retry-after", wait), *headers]
    return Overloaded(reason, 3, "Too many connections", status=503, headers=headers)


def unavailable(reason: str) -> Refusal:
    """Return a refusal for a temporary problem of the server."""
    return Refusal(reason, 3, "Service unavailable", status=503, headers=[(b"retry-after", b"1")])


def too_large() -> Refusal:
    return Refusal("too large", 3, "Payload too large", status=413)
