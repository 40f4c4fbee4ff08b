"""An HTTP/1.1 client over httptools: a request and its response on a connection, and single requests."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

import httptools

__all__ = ["READ_BYTES", "Exchange", "Headers", "Response", "reason_of", "request"]

Headers = Iterable[tuple[bytes, bytes]]

READ_BYTES: Final = 65_536
# Lower statuses are interim responses: the final one follows.
_FINAL_STATUS: Final = 200


class Response:
    """A response, read by a parser of httptools.

    The names of ``headers`` are lower case. ``keeps_alive``: the connection can carry another request. ``on_continue``
    is called when the server asks for the body (``100 Continue``).
    """

    def __init__(self, on_continue: Callable[[], None] = lambda: None) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.complete = False
        self.keeps_alive = False
        self._on_continue = on_continue
        self._parser = httptools.HttpResponseParser(self)

    async def read(self, reader: asyncio.StreamReader, most: int | None = None) -> None:
        """Read until the response is complete, or ``most`` bytes of its body are there, without a time-out.

        Raises ``ConnectionResetError`` if the connection ends first, ``httptools.HttpParserError`` for invalid HTTP,
        and with ``most`` ``ConnectionError`` if the headers are endless.
        """
        unread = READ_BYTES
        while not self.complete and (most is None or len(self.body) < most):
            data = await reader.read(READ_BYTES if most is None else min(unread, most))
            if not data and not unread:
                raise ConnectionError("the headers are too long")
            if not data:
                raise ConnectionResetError("the connection ended before the response")
            self._parser.feed_data(data)
            unread -= len(data) if most is not None else 0

    # Called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.status < _FINAL_STATUS:
            self.headers.clear()
            self._on_continue()
            return
        self.complete = True
        self.keeps_alive = self._parser.should_keep_alive()


class Exchange:
    """One request and its response on a connection. The body is sent after the server has asked for it.

    RFC 9110, section 10.1.1: with ``Expect: 100-continue`` the server either asks for the body or responds at once.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, has_body: bool) -> None:
        self.wanted = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._response = Response(self.wanted.set)
        self._unsent = has_body

    @property
    def is_done(self) -> bool:
        """Whether everything was sent and read, and the connection can carry another request."""
        return self._response.keeps_alive and not self._unsent

    def begin(self, method: str, target: bytes, headers: Headers) -> None:
        """Send the request line and the headers."""
        fields = [*headers]
        if not any(name == b"host" for name, _ in fields):
            # An HTTP/1.0 client need not send Host, but this request is HTTP/1.1.
            fields.append((b"host", b""))
        if self._unsent:
            fields += [(b"expect", b"100-continue"), (b"transfer-encoding", b"chunked")]
        else:
            self.wanted.set()
        self._writer.write(_head(method, target, fields))

    async def send(self, data: bytes, *, more: bool) -> None:
        """Send a part of the body, if the request has one, and wait until the server accepts more."""
        if not self._unsent:
            return
        # An empty chunk would end the body.
        chunk = b"%x\r\n%s\r\n" % (len(data), data) if data else b""
        self._writer.write(chunk if more else chunk + b"0\r\n\r\n")
        self._unsent = more
        await self._writer.drain()

    async def response(self) -> Response:
        """Return the complete response; raises like ``Response.read``."""
        await self._response.read(self._reader)
        return self._response


async def request(
    method: str,
    url: str,
    *,
    headers: Headers = (),
    body: bytes | None = None,
    timeout: float,
    tls: ssl.SSLContext | None = None,
    most: int | None = None,
) -> Response:
    """Send one request over a new connection, without a proxy, and return the response, whatever its status.

    ``tls``: for ``https``, in place of a new context, which takes milliseconds to make. ``most``: the bytes of the
    response's body after which nothing more is read.

    Raises ``ConnectionError``, with a readable reason, if no response arrives within ``timeout`` seconds.
    """
    place = urlsplit(url)
    fields = [(b"Host", place.netloc.rpartition("@")[2].encode()), (b"Connection", b"close")]
    if body is not None:
        fields.append((b"Content-Length", b"%d" % len(body)))
    target = (place.path or "/") + (f"?{place.query}" if place.query else "")
    sent = _head(method, target.encode(), [*fields, *headers]) + (body or b"")
    try:
        async with asyncio.timeout(timeout):
            secure = tls or True if place.scheme == "https" else None
            return await _exchange(place.hostname or "", place.port, secure, sent, most)
    except TimeoutError as error:
        raise ConnectionError(f"no answer within {timeout:g} s") from error
    except ssl.SSLError as error:
        raise ConnectionError(f"TLS failed: {error.reason}") from error
    except OSError as error:
        raise ConnectionError(reason_of(error)) from error
    except httptools.HttpParserError as error:
        raise ConnectionError("the answer is not HTTP") from error


def reason_of(error: Exception) -> str:
    """Return why a connection failed, in words that do not depend on the event loop."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or "no connection"


async def _exchange(
    host: str, port: int | None, secure: ssl.SSLContext | bool | None, sent: bytes, most: int | None
) -> Response:
    reader, writer = await asyncio.open_connection(host, port or (443 if secure else 80), ssl=secure)
    response = Response()
    try:
        writer.write(sent)
        await response.read(reader, most)
    finally:
        writer.close()
    return response


def _head(method: str, target: bytes, headers: Headers) -> bytes:
    line = b"%s %s HTTP/1.1\r\n" % (method.encode(), target)
    return b"".join([line, *(b"%s: %s\r\n" % field for field in headers), b"\r\n"])
