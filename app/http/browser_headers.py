"""The headers for browsers, in every response of the public port."""

from __future__ import annotations

from collections.abc import Callable

from app.origins import AllowedOrigins

__all__ = ["browser_headers"]


def browser_headers(
    allowed: AllowedOrigins, asked: Callable[[str], str | None], allow: str, vary: str | None, *, cookies: bool
) -> dict[str, str]:
    """Return headers against type sniffing and for CORS (https://fetch.spec.whatwg.org/#http-cors-protocol).

    ``asked`` returns a header of the request by its lower-case name; ``allow`` and ``vary`` are the response's own.
    ``cookies``: whether pages of listed origins may keep the service's cookies.
    """
    headers = {"x-content-type-options": "nosniff"}
    if not allowed:
        return headers
    headers["vary"] = "Origin" if vary is None else f"{vary}, Origin"
    origin = asked("origin")
    if origin is None or origin not in allowed:
        return headers
    headers["access-control-allow-origin"] = origin
    if cookies and not allowed.any:
        headers["access-control-allow-credentials"] = "true"
    if asked("access-control-request-method") is None:
        headers["access-control-expose-headers"] = "ETag, Location, Retry-After, X-Error-Code"
    else:
        headers["access-control-allow-methods"] = allow
        headers["access-control-allow-headers"] = "Authorization, Content-Type, Idempotency-Key, If-None-Match"
        headers["access-control-max-age"] = "600"
    return headers
