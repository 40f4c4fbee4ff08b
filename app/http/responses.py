"""Converts answers and errors to responses of Quart."""

from __future__ import annotations

from typing import Any, Final

from quart import Quart, Response, has_request_context, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.http.answers import JOIN_PATH, Answer, bug_answer, error_answer, json_answer
from app.sessions.errors import SessionError

__all__ = ["answer", "install_error_answers", "response_of"]

_CODES: Final = {404: "not-found", 405: "method-not-allowed", 408: "request-timeout", 413: "payload-too-large"}


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response; keys stay in the order given."""
    return response_of(json_answer(body, status, headers))


def response_of(given: Answer) -> Response:
    return Response(given.body, given.status, given.headers)


def install_error_answers(app: Quart) -> None:
    """Every error of the application and of the framework becomes one JSON object with a ``message``."""

    @app.errorhandler(SessionError)
    async def session_error(error: SessionError) -> Response:
        return response_of(error_answer(error, joining=_is_join()))

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        refused = SessionError(_CODES.get(error.code or 500, "invalid-payload"))
        headers = {}
        if isinstance(error, MethodNotAllowed):
            headers["Allow"] = ", ".join(sorted({*(error.valid_methods or ()), "OPTIONS"}))
        return response_of(error_answer(refused, joining=_is_join(), headers=headers))

    @app.errorhandler(Exception)
    async def unexpected(error: Exception) -> Response:
        return response_of(bug_answer(error, joining=_is_join()))


def _is_join() -> bool:
    # A WebSocket at a path that has none is refused before there is a request.
    return has_request_context() and request.path.rstrip("/") == JOIN_PATH
