"""A request to the HTTP API."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httptools
import orjson

__all__ = ["Answer", "reason_of", "request"]

_TIMEOUT: Final = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is the JSON that came, None where none did."""

    status: int
    body: Any

    @property
    def message(self) -> str:
        """What the answer says to people."""
        told = self.body.get("message") if isinstance(self.body, dict) else None
        return told if isinstance(told, str) else f"HTTP status {self.status}"


async def request(
    method: str, url: str, body: Any = None, *, token: str | None = None, timeout: float = _TIMEOUT
) -> Answer:
    """Ask `url`, by a connection of its own as somebody who has just come does; `token` is the bearer's.

    Raises ConnectionError, with a reason for people, when no answer comes within `timeout` seconds.
    """
    place = urlsplit(url)
    try:
        async with asyncio.timeout(timeout):
            return await _exchange(
                place.hostname or "", place.port, place.scheme == "https", _head(method, url, body, token)
            )
    except TimeoutError as error:
        raise ConnectionError(f"no answer within {timeout:g} s") from error
    except ssl.SSLError as error:
        raise ConnectionError(f"TLS failed: {error.reason}") from error
    except OSError as error:
        raise ConnectionError(reason_of(error)) from error
    except httptools.HttpParserError as error:
        raise ConnectionError("the answer is not HTTP") from error


def reason_of(error: Exception) -> str:
    """Why no connection came about, in words that do not depend on the event loop."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or "no connection"


def _head(method: str, url: str, body: Any, token: str | None) -> bytes:
    place = urlsplit(url)
    content = b"" if body is None else orjson.dumps(body)
    lines = [f"{method} {place.path or '/'} HTTP/1.1", f"Host: {place.netloc.rpartition('@')[2]}", "Connection: close"]
    lines += [f"Content-Length: {len(content)}", "Content-Type: application/json"] if body is not None else []
    lines += [f"Authorization: Bearer {token}"] if token is not None else []
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _exchange(host: str, port: int | None, secure: bool, sent: bytes) -> Answer:
    reader, writer = await asyncio.open_connection(host, port or (443 if secure else 80), ssl=secure or None)
    response = _Response()
    parser = httptools.HttpResponseParser(response)
    try:
        writer.write(sent)
        while not response.complete:
            data = await reader.read(65_536)
            if not data and not response.complete:
                raise ConnectionError("the connection ended before the answer")
            parser.feed_data(data)
    finally:
        writer.close()
    return Answer(parser.get_status_code(), _json(bytes(response.body)))


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


class _Response:
    """A response as the parser tells it."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True
