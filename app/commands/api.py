"""HTTP requests of the commands."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

from app.commands.failures import Failure

__all__ = ["ask"]

_TIMEOUT_SECONDS: Final = 10.0


def ask(method: str, url: str, *, token: str | None = None, body: Any = None) -> dict[str, Any]:
    """Return the service's response; raises Failure if it refuses or does not answer.

    ``token`` is sent as a bearer token, ``body`` as JSON; no proxy is used.
    """
    from app.client import http

    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc}"
    try:
        response = asyncio.run(http.request(method, url, body, token=token, timeout=_TIMEOUT_SECONDS))
    except ConnectionError as error:
        raise Failure(f"{place} cannot be reached: {error}", code="unreachable") from error
    if not isinstance(response.body, dict):
        raise Failure(
            f"{place} answers {response.status} with something that is no JSON object: is it join-session?",
            code="unreachable",
        )
    if response.status >= 300:
        raise Failure(response.message, response.code, response.field)
    return response.body
