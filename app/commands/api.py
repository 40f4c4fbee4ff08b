"""Requests of commands to a service over HTTP."""

from __future__ import annotations

import argparse
import http.client
import json
import urllib.request
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

__all__ = ["Unreachable", "http_url", "request"]

_TIMEOUT: Final = 10.0
_JSON: Final = "application/json"


class Unreachable(Exception):
    """Nobody answered, or not as this service does; the text is one line for people."""


def request(
    method: str,
    url: str,
    *,
    token: str | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = _TIMEOUT,
) -> tuple[int, Any]:
    """The status and the parsed JSON that the service answers, None for an empty body; errors and redirects, too.

    ``token`` goes with it as a bearer token, ``body`` as JSON; ``timeout`` is for each step, in seconds. Loopback is
    asked without a proxy, whatever the environment says. Raises ``Unreachable``.
    """
    given = {"Accept": _JSON, **(headers or {})}
    data = None
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    if body is not None:
        given["Content-Type"] = _JSON
        data = json.dumps(body).encode()
    place = _place(url)
    try:
        asked = urllib.request.Request(url, data=data, headers=given, method=method)  # noqa: S310 - see http_url
        with _opener(url).open(asked, timeout=timeout) as answered:
            status, text = answered.status, answered.read()
    except HTTPError as error:
        with error:
            status, text = error.code, _rest(error, place)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"{place} cannot be reached: {_reason(error)}") from error
    try:
        return status, json.loads(text) if text else None
    except ValueError as error:
        raise Unreachable(f"{place} answers {status} with something that is no JSON: is it join-session?") from error


def http_url(text: str) -> str:
    """An address of a service, for argparse: without a slash at the end, a query or credentials."""
    try:
        url = urlsplit(text)
        valid = url.scheme in ("http", "https") and url.hostname and (url.port or 1) and not url.username
    except ValueError:
        valid = False
    if not valid or url.query or url.fragment:
        raise argparse.ArgumentTypeError(f"{text} is not an address such as http://localhost:8080")
    return text.rstrip("/")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The service redirects nobody, and a token must not go elsewhere."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def _opener(url: str) -> urllib.request.OpenerDirector:
    direct = [urllib.request.ProxyHandler({})] if _is_loopback(urlsplit(url).hostname or "") else []
    return urllib.request.build_opener(_NoRedirect, *direct)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _rest(error: HTTPError, place: str) -> bytes:
    try:
        return error.read()
    except (OSError, http.client.HTTPException) as broken:
        raise Unreachable(f"{place} cannot be reached: {_reason(broken)}") from broken


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__
