"""Responses: compact JSON and errors in one format, never HTML, a stack trace or a host name."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from app.compression import MIN_SIZE, accepts_gzip, gzipped
from app.observability.logging import log_bug
from app.sessions.answers import error_body
from app.sessions.errors import SessionError

__all__ = ["ERROR_CODE", "JOIN_PATH", "Answer", "bug_answer", "compressed", "csv_answer", "error_answer", "json_answer"]

JOIN_PATH: Final = "/api/session/join"

ERROR_CODE: Final = "x-error-code"
"""The header with the error code."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, independent of the framework. Names of headers are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def result(self) -> str:
        """``ok`` or the error code."""
        return self.headers.get(ERROR_CODE, "ok")


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """Return an answer; keys stay in the order given."""
    return _answer(orjson.dumps(body), "application/json", status, headers or {})


def csv_answer(text: str, name: str, headers: dict[str, str]) -> Answer:
    """Return a table (RFC 4180), which browsers store under a name."""
    disposition = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return _answer(text.encode(), "text/csv; charset=utf-8; header=present", 200, headers | disposition)


def _answer(content: bytes, kind: str, status: int, headers: dict[str, str]) -> Answer:
    fields = {"cache-control": "no-store", **headers, "content-type": kind, "content-length": str(len(content))}
    return Answer(status, fields, content)


def compressed(answer: Answer, accept_encoding: str | None) -> Answer:
    """Return a large answer without tokens in gzip format, if the client accepts that."""
    if len(answer.body) < MIN_SIZE:
        return answer
    headers = {**answer.headers, "vary": ", ".join(filter(None, (answer.headers.get("vary"), "Accept-Encoding")))}
    if not accepts_gzip(accept_encoding):
        return replace(answer, headers=headers)
    body = gzipped(answer.body)
    return Answer(answer.status, {**headers, "content-encoding": "gzip", "content-length": str(len(body))}, body)


def error_answer(
    error: SessionError, *, joining: bool, headers: dict[str, str] | None = None, logged: bool = False
) -> Answer:
    """Return the answer to a failed request; ``joining``: the errors of the join route have their own format.

    Server errors are logged, unless that was done already.
    """
    if joining and error.status >= 500:
        error = SessionError("join-failed")
    if error.status >= 500 and not logged:
        _logger.warning("request failed", extra={"code": error.code, "cause": _cause(error)})
    fields = {ERROR_CODE: error.code, **(headers or {})}
    if error.retry_after is not None:
        fields["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if error.status == 408:
        # The rest of the request must not be taken for the next request, nor be waited for.
        fields["connection"] = "close"
    if error.status == 401:
        fields["www-authenticate"] = "Bearer"
    return json_answer({"message": error.message} if joining else error_body(error), error.status, fields)


def bug_answer(error: Exception, *, joining: bool) -> Answer:
    """Log a bug and return the answer to its request."""
    log_bug(_logger, "unexpected error in a request", error)
    return error_answer(SessionError("internal-error"), joining=joining, logged=True)


def _cause(error: SessionError) -> str:
    return type(error.__cause__).__name__ if error.__cause__ else ""
