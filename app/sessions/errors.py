"""The errors that clients receive, the same for HTTP and Socket.IO.

Every error has a stable ``code``, an HTTP status, a message and says whether the request may be retried::

    SessionError(code, message=None, retry_after=None, field=None, decision=None)

``CATALOGUE`` lists all errors; the documents of the API are generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.sessions.answer_fields import Decision

__all__ = ["CATALOGUE", "ErrorKind", "SessionError"]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the catalogue."""

    status: int
    message: str
    retryable: bool = False


CATALOGUE: Final[dict[str, ErrorKind]] = {
    "session-id-required": ErrorKind(400, "sessionID is required"),
    "invalid-payload": ErrorKind(400, "Invalid payload"),
    "unknown-event": ErrorKind(400, "Unknown event"),
    "unauthorized": ErrorKind(401, "A valid token is required"),
    "passcode-required": ErrorKind(401, "A passcode is required"),
    "passcode-wrong": ErrorKind(401, "Wrong passcode"),
    "forbidden": ErrorKind(403, "Not allowed"),
    "not-found": ErrorKind(404, "Not found"),
    "session-not-found": ErrorKind(404, "Session not found or has expired"),
    "movie-not-found": ErrorKind(404, "Movie not found"),
    "participant-not-found": ErrorKind(404, "Participant not found"),
    "method-not-allowed": ErrorKind(405, "Method not allowed"),
    "request-timeout": ErrorKind(408, "Request timed out", retryable=True),
    "session-full": ErrorKind(409, "Session is full"),
    "session-locked": ErrorKind(409, "Session is locked"),
    "not-joined": ErrorKind(409, "Join the session first"),
    "limit-reached": ErrorKind(409, "Limit reached"),
    "session-decided": ErrorKind(409, "The group has decided"),
    "not-decided": ErrorKind(409, "The group has not decided yet"),
    "nothing-to-decide": ErrorKind(409, "No movie has a rating other than a veto"),
    "payload-too-large": ErrorKind(413, "Request body too large"),
    "idempotency-mismatch": ErrorKind(422, "Idempotency key was used with another request"),
    "too-many-requests": ErrorKind(429, "Too many requests", retryable=True),
    "headers-too-large": ErrorKind(431, "Request header too large"),
    "join-failed": ErrorKind(500, "Failed to join session", retryable=True),
    "internal-error": ErrorKind(500, "Internal error"),
    "unavailable": ErrorKind(503, "Service unavailable", retryable=True),
    "outcome-unknown": ErrorKind(503, "The outcome is unknown; repeat with the same idempotency key", retryable=True),
    "codes-exhausted": ErrorKind(503, "No session codes are free", retryable=True),
}


class SessionError(Exception):
    """A request that is refused, with a code of the catalogue.

    ``message`` replaces the catalogue's text by a more specific one; ``retry_after`` is in seconds; ``field`` is the
    path of the wrong field of a payload; ``decision`` is the one that was made before.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        field: str | None = None,
        decision: Decision | None = None,
    ) -> None:
        kind = CATALOGUE[code]
        self.code = code
        self.message = message or kind.message
        self.status = kind.status
        self.retryable = kind.retryable
        self.retry_after = retry_after
        self.field = field
        self.decision = decision
        super().__init__(f"{code}: {self.message}")
