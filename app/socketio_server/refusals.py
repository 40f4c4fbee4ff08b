"""Requests that are answered with an error."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "Headers",
    "Refusal",
    "bad_method",
    "bad_request",
    "too_large",
    "too_many",
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


def too_many(reason: str, status: int) -> Refusal:
    return Refusal(reason, 3, "Too many connections", status=status, headers=[(b"retry-after", b"5")])


def unavailable(reason: str) -> Refusal:
    """Return a refusal for a temporary problem of the server."""
    return Refusal(reason, 3, "Service unavailable", status=503, headers=[(b"retry-after", b"1")])


def too_large() -> Refusal:
    return Refusal("too large", 3, "Payload too large", status=413)
