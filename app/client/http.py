"""A request to the HTTP API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from app import http_client

__all__ = ["ApiResponse", "request"]

_TIMEOUT_SECONDS: Final = 20.0
_JSON: Final = (b"Content-Type", b"application/json")


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response. ``body`` is its parsed JSON, or None if it is not JSON; ``code`` is that of an error response."""

    status: int
    body: Any
    code: str = "unknown"

    @property
    def message(self) -> str:
        """The message of an error response, or a description of the status."""
        message = self.body.get("message") if isinstance(self.body, dict) else None
        return message if isinstance(message, str) else f"HTTP status {self.status}"

    @property
    def field(self) -> str | None:
        """The path of the field that an error response says is wrong."""
        field = self.body.get("field") if isinstance(self.body, dict) else None
        return field if isinstance(field, str) else None


async def request(
    method: str, url: str, body: Any = None, *, token: str | None = None, timeout: float = _TIMEOUT_SECONDS
) -> ApiResponse:
    """Send ``body`` as JSON to ``url`` over a new connection, as a new client does.

    ``token`` is sent as a bearer token. Raises ConnectionError, with a readable reason, if no response arrives within
    ``timeout`` seconds.
    """
    headers = [_JSON] if body is not None else []
    if token is not None:
        headers.append((b"Authorization", b"Bearer " + token.encode()))
    content = None if body is None else orjson.dumps(body)
    response = await http_client.request(method, url, headers=headers, body=content, timeout=timeout)
    code = dict(response.headers).get(b"x-error-code", b"unknown").decode("latin-1")
    try:
        return ApiResponse(response.status, orjson.loads(response.body) if response.body else None, code)
    except orjson.JSONDecodeError:
        return ApiResponse(response.status, None, code)
