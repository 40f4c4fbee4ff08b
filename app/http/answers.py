"""Answers: compact JSON, errors in one envelope, never HTML, a stack trace or a host name."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, Final

import orjson

from app.observability.logging import log_bug
from app.sessions.answers import error_body
from app.sessions.errors import SessionError

__all__ = ["ERROR_CODE", "JOIN_PATH", "Answer", "bug_answer", "error_answer", "json_answer"]

JOIN_PATH: Final = "/api/session/join"

ERROR_CODE: Final = "X-Error-Code"
"""The header of the code of an error."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON response, before it is given to whatever writes it; the length of the body is not among its headers."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def result(self) -> str:
        """``ok``, or the code of the error."""
        return self.headers.get(ERROR_CODE, "ok")


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """An answer whose keys stay in the order given."""
    fields = {"Cache-Control": "no-store", **(headers or {}), "Content-Type": "application/json"}
    return Answer(status, fields, orjson.dumps(body))


def error_answer(
    error: SessionError, *, joining: bool, headers: dict[str, str] | None = None, logged: bool = False
) -> Answer:
    """The answer to a request that failed; ``joining``: it was one to the join route, which has a format of its own.

    Failures of ours are logged, unless that has been done already.
    """
    if joining and error.status >= 500:
        error = SessionError("join-failed")
    if error.status >= 500 and not logged:
        _logger.warning("request failed", extra={"code": error.code, "cause": _cause(error)})
    fields = {ERROR_CODE: error.code, **(headers or {})}
    if error.retry_after is not None:
        fields["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if error.status == 408:
        # What of the request comes later must not be taken for the next one, or be waited for.
        fields["Connection"] = "close"
    if error.status == 401:
        fields["WWW-Authenticate"] = "Bearer"
    return json_answer({"message": error.message} if joining else error_body(error), error.status, fields)


def bug_answer(error: Exception, *, joining: bool) -> Answer:
    """The answer to a request that met an error of ours, which is logged."""
    log_bug(_logger, "unexpected error in a request", error)
    return error_answer(SessionError("internal-error"), joining=joining, logged=True)


def _cause(error: SessionError) -> str:
    return type(error.__cause__).__name__ if error.__cause__ else ""
