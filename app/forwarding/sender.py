"""Forwards requests that arrive at the wrong replica to the owner of their Engine.IO session.

The id of a session begins with the id of its replica. If the owner is unknown, is gone or does not know the session,
the client gets the usual error for an unknown session and connects again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, Literal

from httptools import HttpParserError
from websockets import ConnectionClosed, WebSocketException
from websockets.asyncio.client import ClientConnection

from app.forwarding.directory import ReplicaDirectory
from app.forwarding.http_pool import ConnectionPool, open_websocket
from app.forwarding.signature import RequestSigner
from app.http_client import Exchange, Response
from app.sessions.errors import SessionError
from app.socketio_server import ConnectionLimits, abort, end_websocket, flushed, new_id, unavailable

__all__ = ["FORWARDED", "PATH", "ForwardedRequest", "Forwarder", "new_engine_sid"]

# The path of forwarded requests on the internal port, and the key that marks their ASGI scopes.
PATH: Final = "/forwarded"
FORWARDED: Final = "join_session.forwarded"

Scope = Any
Receive = Callable[[], Any]
Send = Callable[[Any], Any]
# abandoned: the client disconnected. unknown: no such replica. unreachable: the owner does not answer. severed: aborted
# because the owner is gone or this replica stops.
Result = Literal["answered", "abandoned", "unknown", "unreachable", "severed"]

_SESSION_ID: Final = re.compile(r"([0-9a-f]{12})\.[\w-]{20}", re.ASCII)
# The origin was already checked here; the owner needs both headers for the CORS headers of its response. It compresses
# the response.
_PASSED_ON: Final = (b"host", b"origin", b"accept-encoding")
_NOT_PASSED_BACK: Final = (b"connection", b"date", b"keep-alive", b"server", b"transfer-encoding")
# The Engine.IO packet that completes an upgrade to WebSocket.
_UPGRADE: Final = "5"
_UPGRADE_SECONDS: Final = 2.0
_WRITE_TIMEOUT_SECONDS: Final = 20.0
# The owner asks for the body, or refuses the session, as soon as it has read the headers.
_CONTINUE_TIMEOUT_SECONDS: Final = 10.0
# RFC 6455, section 7.4: "going away", and the IANA registry: "service restart".
_GOING_AWAY: Final = 1001
_SERVICE_RESTART: Final = 1012
_NO_CODE: Final = (1005, 1006, 1015)


def new_engine_sid(replica: str) -> str:
    """Return an id for a new session: the id of ``replica`` (12 hexadecimal digits) and 120 random bits."""
    return f"{replica}.{new_id()}"


class ForwardedRequest:
    """One request that is being forwarded to ``owner``.

    ``interruptible`` is set while the client notices an interruption. During the probe of a WebSocket it does not:
    stock clients that lose the WebSocket between the probe and their upgrade packet neither poll nor send until a
    heartbeat is missed.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.interruptible = asyncio.Event()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def abort(self) -> None:
        """Abort the request at both ends; the client connects again."""
        if not self.ended.done():
            self.ended.set_result(None)


class Forwarder:
    """The engine's hook ``foreign_session``: forwards a request whose session is unknown here to its owner.

    A call returns False if the request was not answered. It raises ``Refusal`` over the limits, and while the owner
    cannot be determined.

    ``replica``: the id of this replica. ``client`` returns the client's address for a scope. ``limits`` bound the
    forwarded requests. ``timeout``: seconds within which every poll is answered. ``count`` is called with each result.
    """

    def __init__(
        self,
        replica: str,
        directory: ReplicaDirectory,
        signer: RequestSigner,
        *,
        client: Callable[[Scope], str],
        limits: ConnectionLimits,
        timeout: float,
        count: Callable[[Result], None],
    ) -> None:
        self._replica = replica
        self._directory = directory
        self._signer = signer
        self._client = client
        self._limits = limits
        self._timeout = timeout
        self._count = count
        self._pool = ConnectionPool()
        self._requests: set[ForwardedRequest] = set()
        self._draining = False
        self._closed = False

    async def __call__(self, sid: str, scope: Scope, receive: Receive, send: Send) -> bool:
        is_upgrade = scope["type"] == "websocket"
        match = _SESSION_ID.fullmatch(sid)
        if match is None or match[1] == self._replica or FORWARDED in scope:
            return False
        if self._closed or (is_upgrade and self._draining):
            return False
        owner = match[1]
        address = await self._directory.address(owner)
        if address is None:
            self._count("unknown")
            if not self._directory.are_known:
                raise unavailable("replicas unknown")
            return False
        way = self._pass_websocket if is_upgrade else self._pass_request
        with self._under_way(owner, self._client(scope)) as request:
            result = await way(request, address, scope, receive, send)
        self._count(result)
        return result in ("answered", "abandoned")

    async def watch(self, interval: float) -> None:
        """Abort, every ``interval`` seconds, the requests whose owners are gone; never returns."""
        while True:
            await asyncio.sleep(interval)
            await self._directory.refresh()
            for request in self._requests:
                if request.owner not in self._directory:
                    request.abort()

    def drain(self) -> list[ForwardedRequest]:
        """Stop forwarding upgrades, so that clients continue to poll; return the requests in progress."""
        self._draining = True
        return list(self._requests)

    def close(self) -> None:
        """Stop forwarding, and abort the requests in progress."""
        self._closed = True
        for request in self._requests:
            request.abort()
        self._pool.close()

    @contextlib.contextmanager
    def _under_way(self, owner: str, client: str) -> Iterator[ForwardedRequest]:
        """Count a request while it is being forwarded."""
        self._limits.enter(client)
        request = ForwardedRequest(owner)
        self._requests.add(request)
        try:
            yield request
        finally:
            self._requests.discard(request)
            request.interruptible.set()
            self._limits.leave(client)

    async def _pass_request(
        self, request: ForwardedRequest, address: str, scope: Scope, receive: Receive, send: Send
    ) -> Result:
        method = scope["method"]
        target = PATH.encode() + b"?" + scope["query_string"]
        headers = [field for field in scope["headers"] if field[0] in _PASSED_ON]
        try:
            headers += self._signed(request, scope, method)
            async with self._pool.exchange(address, method, target, headers, has_body=method == "POST") as exchange:
                asking = asyncio.create_task(exchange.response())
                leaving = asyncio.create_task(_to_exchange(receive, exchange, request))
                async with _cancelling(asking, leaving):
                    ends: list[asyncio.Future[Any]] = [asking, leaving, request.ended]
                    await asyncio.wait(ends, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
                    if not asking.done():
                        return _gone(leaving)
                    response = asking.result()
        except (OSError, HttpParserError, SessionError):
            return "unreachable"
        await _respond(send, response)
        return "answered"

    async def _pass_websocket(
        self, request: ForwardedRequest, address: str, scope: Scope, receive: Receive, send: Send
    ) -> Result:
        target = f"{PATH}?{scope['query_string'].decode()}"
        try:
            far = await open_websocket(address, target, self._signed(request, scope, "GET"))
        except (OSError, WebSocketException, SessionError):
            return "unreachable"
        async with far:
            await receive()
            await send({"type": "websocket.accept"})
            leaving = asyncio.create_task(_to_owner(receive, far, request))
            arriving = asyncio.create_task(_to_client(far, send))
            async with _cancelling(leaving, arriving):
                ends: list[asyncio.Future[Any]] = [leaving, arriving, request.ended]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if not leaving.done():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(request.interruptible.wait(), _UPGRADE_SECONDS)
            code = far.close_code
            await far.close(_close_code(leaving.result() if _has_result(leaving) else None, _GOING_AWAY))
            await end_websocket(send, _close_code(code, _SERVICE_RESTART))
        return "answered"

    def _signed(self, request: ForwardedRequest, scope: Scope, method: str) -> list[tuple[bytes, bytes]]:
        return self._signer.sign(request.owner, method, scope["query_string"], self._client(scope))


async def _to_exchange(receive: Receive, exchange: Exchange, request: ForwardedRequest) -> None:
    """Send the body of a request when the owner asks for it; return when the client has disconnected."""
    async with asyncio.timeout(_CONTINUE_TIMEOUT_SECONDS):
        await exchange.wanted.wait()
    while (message := await receive())["type"] == "http.request":
        more = message.get("more_body", False)
        await exchange.send(message.get("body", b""), more=more)
        if not more:
            request.interruptible.set()


async def _to_owner(receive: Receive, far: ClientConnection, request: ForwardedRequest) -> int | None:
    """Send the client's messages to the owner; return the client's close code."""
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text == _UPGRADE:
            request.interruptible.set()
        await far.send(message["bytes"] if text is None else text)
    code: int | None = message.get("code")
    return code


async def _to_client(far: ClientConnection, send: Send) -> None:
    """Send the owner's messages to the client until the owner closes; abort a client that does not read."""
    try:
        async for data in far:
            async with asyncio.timeout(_WRITE_TIMEOUT_SECONDS):
                await send({"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data})
    except TimeoutError:
        abort(send)
    except ConnectionClosed:
        return


async def _respond(send: Send, response: Response) -> None:
    headers = [field for field in response.headers if field[0] not in _NOT_PASSED_BACK]
    try:
        async with asyncio.timeout(_WRITE_TIMEOUT_SECONDS):
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            await send({"type": "http.response.body", "body": bytes(response.body)})
            await flushed(send)
    except TimeoutError:
        abort(send)


@contextlib.asynccontextmanager
async def _cancelling(*tasks: asyncio.Future[Any]) -> AsyncIterator[None]:
    """Cancel the tasks at the end of the block, and wait until they have ended."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _gone(leaving: asyncio.Task[None]) -> Result:
    """Return why there is no response.

    Raises ``OSError`` if the owner did not ask for the body or did not read it.
    """
    if not leaving.done():
        return "severed"
    leaving.result()
    return "abandoned"


def _has_result(task: asyncio.Future[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _close_code(code: int | None, otherwise: int) -> int:
    """Return a close code that may be sent."""
    return otherwise if code is None or code in _NO_CODE else code
