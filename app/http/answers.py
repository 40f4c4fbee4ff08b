"""Answers: compact JSON, errors in one envelope, never HTML, a stack trace or a host name."""

from __future__ import annotations

import logging
import math
from typing import Any, Final

import orjson
from quart import Quart, Response, has_request_context, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.observability.logging import log_bug
from app.sessions.answers import error_body
from app.sessions.errors import SessionError

__all__ = ["JOIN_PATH", "answer", "install_error_answers"]

JOIN_PATH: Final = "/api/session/join"

_CODES: Final = {404: "not-found", 405: "method-not-allowed", 408: "request-timeout", 413: "payload-too-large"}

_logger = logging.getLogger(__name__)


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response; keys stay in the order given."""
    return Response(
        orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def install_error_answers(app: Quart) -> None:
    """Every error of the application and of the framework becomes one JSON object with a ``message``."""

    @app.errorhandler(SessionError)
    async def session_error(error: SessionError) -> Response:
        return _error_answer(error)

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        refused = SessionError(_CODES.get(error.code or 500, "invalid-payload"))
        headers = {}
        if isinstance(error, MethodNotAllowed):
            headers["Allow"] = ", ".join(sorted({*(error.valid_methods or ()), "OPTIONS"}))
        return _error_answer(refused, headers)

    @app.errorhandler(Exception)
    async def unexpected(error: Exception) -> Response:
        log_bug(_logger, "unexpected error in a request", error)
        return _error_answer(SessionError("internal-error"), told=True)


def _error_answer(error: SessionError, headers: dict[str, str] | None = None, *, told: bool = False) -> Response:
    # A WebSocket at a path that has none is refused before there is a request.
    joining = has_request_context() and request.path.rstrip("/") == JOIN_PATH
    if joining and error.status >= 500:
        error = SessionError("join-failed")
    if error.status >= 500 and not told:
        _logger.warning("request failed", extra={"code": error.code, "cause": _cause(error)})
    headers = {"X-Error-Code": error.code, **(headers or {})}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if error.status == 408:
        # What of the request comes later must not be taken for the next one, or be waited for.
        headers["Connection"] = "close"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return answer({"message": error.message} if joining else error_body(error), error.status, headers)


def _cause(error: SessionError) -> str:
    return type(error.__cause__).__name__ if error.__cause__ else ""
