"""A participant of a session: yields every event that a member receives, and sends changes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from app.backoff import Backoff
from app.client.http import request
from app.client.patch import PatchError, SessionCopy
from app.client.socket import Socket, parse_event

__all__ = ["CannotJoinError", "Frame", "Participant"]

_SECRETS: Final = ("token", "hostToken", "pid", "sid")
_MASK: Final = "********"
_ACK_TIMEOUT_SECONDS: Final = 20.0
_CHANGE_TIMEOUT_SECONDS: Final = 30.0
_LEAVE_TIMEOUT_SECONDS: Final = 2.0
_MIN_PAUSE_SECONDS: Final = 0.5
_MAX_PAUSE_SECONDS: Final = 5.0


class CannotJoinError(Exception):
    """The service refuses the join; the text is the reason, ``code`` the one of the error."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """An event's name and arguments with secrets masked, or, in ``note``, a change of the connection.

    Notes are ``connected``, ``joined``, ``disconnected``, ``unreachable`` and ``gone`` (the session ended while
    disconnected).
    """

    event: str
    arguments: list[Any]
    note: bool = False
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Participant:
    """A participant who comes back after each lost connection.

    ``token``, a host token or that of a participant, makes it the one that the token belongs to. Joining sets ``id``,
    ``token`` and ``votes``, the participant's own ratings by movie.
    """

    def __init__(
        self, url: str, code: str, *, name: str | None = None, token: str | None = None, passcode: str | None = None
    ) -> None:
        self.id: str | None = None
        self.token = token
        self.votes: dict[str, int] = {}
        self._url = url
        self._code = code
        self._options = {"name": name, "token": token, "passcode": passcode}
        self._has_joined = False
        self._joined: asyncio.Future[Socket] = asyncio.get_running_loop().create_future()

    async def frames(self, *, leaves: bool = True) -> AsyncGenerator[Frame, None]:
        """Join the session and yield frames until it is over for this participant.

        A ``session-patch`` is yielded as the ``session-update`` that it stands for. Closing the generator leaves the
        session, or without ``leaves`` only disconnects: the participant stays for the grace time, the ratings for good.

        Raises CannotJoinError if the first join is refused.
        """
        ended = False
        backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)
        while not ended:
            frames: asyncio.Queue[Frame | None] = asyncio.Queue()
            try:
                socket = await self._connect(frames)
            except CannotJoinError as error:
                if not self._has_joined:
                    raise
                yield Frame("gone", [str(error)], note=True)
                return
            except ConnectionError as error:
                yield Frame("unreachable", [str(error)], note=True)
                await asyncio.sleep(backoff.next())
                continue
            closing = asyncio.create_task(_tell_end(socket, frames))
            try:
                yield Frame("connected", [_masked(socket.welcome)], note=True)
                ack = await self._join(socket)
                if ack is not None:
                    backoff.reset()
                    yield Frame("joined", [_masked(ack)], note=True)
                updates = _Updates()
                while not ended and (frame := await self._next(socket, frames, updates)) is not None:
                    yield frame
                    ended = frame.event == "session-ended"
                if not ended:
                    yield Frame("disconnected", [], note=True)
            finally:
                if self._joined.done():
                    self._joined = asyncio.get_running_loop().create_future()
                if leaves:
                    await _leave(socket)
                await socket.close()
                await closing

    async def do(self, event: str, **payload: Any) -> dict[str, Any]:
        """Make a change, once, over as many connections as it takes; return the acknowledgement.

        ``frames`` has to be read meanwhile. Raises TimeoutError if the service does not answer.
        """
        payload["mid"] = uuid.uuid4().hex
        backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)
        async with asyncio.timeout(_CHANGE_TIMEOUT_SECONDS):
            while True:
                socket = await asyncio.shield(self._joined)
                try:
                    ack = await socket.emit(event, payload, timeout=_ACK_TIMEOUT_SECONDS)
                except ConnectionError:
                    ack = None
                if isinstance(ack, dict) and (ack.get("ok") or not ack.get("retryable")):
                    return ack
                await asyncio.sleep(backoff.next())

    async def rate(self, movie_id: str, rating: int | None) -> dict[str, Any]:
        """Rate a movie, or withdraw the rating with None, as ``do`` does."""
        if rating is None:
            ack = await self.do("withdraw-vote", movieID=movie_id)
        else:
            ack = await self.do("vote", movieID=movie_id, rating=rating)
        if ack.get("ok"):
            self.votes.pop(movie_id, None)
            self.votes |= {} if rating is None else {movie_id: rating}
        return ack

    async def _next(self, socket: Socket, frames: asyncio.Queue[Frame | None], updates: _Updates) -> Frame | None:
        """Return the next frame to show, None once the connection has ended."""
        while (frame := await frames.get()) is not None:
            try:
                shown = updates.read(frame)
            except PatchError:
                await self._join_again(socket)
                continue
            if frame.event == "own-votes":
                self.votes = dict(frame.arguments[0]["votes"])
            if shown is not None:
                return shown
        return None

    async def _connect(self, frames: asyncio.Queue[Frame | None]) -> Socket:
        answer = await request("POST", f"{self._url}/api/session/join", {"sessionID": self._code})
        if answer.status in (400, 404):
            raise CannotJoinError(answer.message, answer.code)
        if answer.status != 200:
            raise ConnectionError(answer.message)

        def take(packet: bytes) -> None:
            try:
                event, *arguments = parse_event(packet)
            except ValueError:
                return
            frames.put_nowait(Frame(event, _masked(arguments)))

        return await Socket.open(self._url, take)

    async def _join(self, socket: Socket) -> dict[str, Any] | None:
        """Return the ack, or None if the client has to reconnect."""
        given = {key: value for key, value in self._options.items() if value is not None} | {"patches": True}
        try:
            ack = await socket.emit("join-session", self._code, given, timeout=_ACK_TIMEOUT_SECONDS)
        except (ConnectionError, TimeoutError):
            await socket.close()
            return None
        if not isinstance(ack, dict):
            raise CannotJoinError("the server does not answer as join-session does", "unreachable")
        if ack.get("ok"):
            self._take_place(socket, ack)
            return ack
        if not ack.get("retryable"):
            raise CannotJoinError(str(ack.get("message")), str(ack.get("code")))
        await socket.close()
        return None

    def _take_place(self, socket: Socket, ack: dict[str, Any]) -> None:
        self._has_joined = True
        self.id = ack["participantID"]
        self.token = self.token or ack["token"]
        self.votes = dict(ack["votes"])
        self._options = {"token": self.token}
        if not self._joined.done():
            self._joined.set_result(socket)

    async def _join_again(self, socket: Socket) -> None:
        """Ask for the whole state. Where that is refused, a new connection finds out why."""
        try:
            await self._join(socket)
        except CannotJoinError:
            await socket.close()


class _Updates:
    """Turns the patches of one connection into the updates that they stand for."""

    def __init__(self) -> None:
        self._copy: SessionCopy | None = None

    def read(self, frame: Frame) -> Frame | None:
        """Return what to show. Raises PatchError if a patch does not fit, and then returns None until the next update.

        Joining again is answered with an update.
        """
        if frame.event == "session-update":
            self._copy = SessionCopy(*frame.arguments[:2])
        if frame.event != "session-patch":
            return frame
        copy, self._copy = self._copy, None
        if copy is None:
            return None
        operations, meta, *rest = frame.arguments
        self._copy = copy.patched(operations, meta)
        return replace(frame, event="session-update", arguments=[self._copy.data, self._copy.meta, *rest])


def _masked(value: Any) -> Any:
    """Return a value with its secrets masked: tokens, and the ids by which a connection can be taken over."""
    if isinstance(value, dict):
        return {key: _MASK if key in _SECRETS else _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value


async def _leave(socket: Socket) -> None:
    try:
        await socket.emit("leave-session", timeout=_LEAVE_TIMEOUT_SECONDS)
    except (ConnectionError, TimeoutError):
        pass


async def _tell_end(socket: Socket, frames: asyncio.Queue[Frame | None]) -> None:
    await socket.closed.wait()
    frames.put_nowait(None)
