"""HTTP requests of the commands."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

from app.client import http
from app.client.http import ApiResponse

__all__ = ["Unreachable", "http_url", "request"]

_TIMEOUT_SECONDS: Final = 10.0


class Unreachable(Exception):
    """No response, or not one of this service; the text is one readable line."""


def request(
    method: str, url: str, *, token: str | None = None, body: Any = None, timeout: float = _TIMEOUT_SECONDS
) -> ApiResponse:
    """Return the service's response, errors and redirects included.

    ``token`` is sent as a bearer token, ``body`` as JSON; no proxy is used. Raises ``Unreachable``.
    """
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc}"
    try:
        response = asyncio.run(http.request(method, url, body, token=token, timeout=timeout))
    except ConnectionError as error:
        raise Unreachable(f"{place} cannot be reached: {error}") from error
    if not response.is_json:
        raise Unreachable(f"{place} answers {response.status} with something that is no JSON: is it join-session?")
    return response


def http_url(text: str) -> str:
    """Parse the service's address, for argparse: no trailing slash, query or credentials."""
    try:
        url = urlsplit(text)
        valid = url.scheme in ("http", "https") and url.hostname and (url.port or 1) and not url.username
    except ValueError:
        valid = False
    if not valid or url.query or url.fragment:
        raise argparse.ArgumentTypeError(f"{text} is not an address such as http://localhost:8080")
    return text.rstrip("/")
