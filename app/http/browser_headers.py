"""The headers of every answer of the public port, by which browsers know what they may do with it."""

from __future__ import annotations

from collections.abc import Callable

from app.origins import AllowedOrigins

__all__ = ["browser_headers"]


def browser_headers(allowed: AllowedOrigins, asked: Callable[[str], str | None], allow: str) -> dict[str, str]:
    """No guessing of types, and CORS (https://fetch.spec.whatwg.org/#http-cors-protocol) for origins on the list.

    ``asked``: the headers of the request by name; ``allow``: the methods that the answer names.
    """
    headers = {"X-Content-Type-Options": "nosniff"}
    if not allowed:
        return headers
    headers["Vary"] = "Origin"
    origin = asked("Origin")
    if origin is None or origin not in allowed:
        return headers
    headers["Access-Control-Allow-Origin"] = origin
    if asked("Access-Control-Request-Method") is None:
        headers["Access-Control-Expose-Headers"] = "ETag, Location, Retry-After, X-Error-Code"
    else:
        headers["Access-Control-Allow-Methods"] = allow
        headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key, If-None-Match"
        headers["Access-Control-Max-Age"] = "600"
    return headers
