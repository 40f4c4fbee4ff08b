"""Watches a session: yields every event that a member receives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from app.backoff import Backoff
from app.client.http import request
from app.client.patch import PatchError, SessionCopy
from app.client.socket import Socket, parse_event

__all__ = ["CannotWatchError", "Frame", "changes", "masked", "watch"]

_SECRETS: Final = ("token", "hostToken", "pid", "sid")
_MASK: Final = "********"
_ACK_TIMEOUT_SECONDS: Final = 20.0
_LEAVE_TIMEOUT_SECONDS: Final = 2.0
_MIN_PAUSE_SECONDS: Final = 0.5
_MAX_PAUSE_SECONDS: Final = 5.0


class CannotWatchError(Exception):
    """The session cannot be watched; the text is the reason."""


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


async def watch(url: str, code: str, name: str | None) -> AsyncGenerator[Frame, None]:
    """Join the session and yield frames until it is over for this client; reconnect when the connection ends.

    A ``session-patch`` is yielded as the ``session-update`` that it stands for.

    Closing the generator leaves the session. Raises CannotWatchError if the join is refused.
    """
    token, ended = None, False
    backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)
    while not ended:
        frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        try:
            socket = await _connect(url, code, frames)
        except CannotWatchError as error:
            if token is None:
                raise
            yield Frame("gone", [str(error)], note=True)
            return
        except ConnectionError as error:
            yield Frame("unreachable", [str(error)], note=True)
            await asyncio.sleep(backoff.next())
            continue
        closing = asyncio.create_task(_tell_end(socket, frames))
        try:
            yield Frame("connected", [masked(socket.welcome)], note=True)
            ack = await _join(socket, code, {"name": name} if token is None else {"token": token})
            if ack is not None:
                token = ack.get("token")
                backoff.reset()
                yield Frame("joined", [masked(ack)], note=True)
            updates = _Updates()
            while not ended and (frame := await frames.get()) is not None:
                try:
                    shown = updates.read(frame)
                except PatchError:
                    await _join_again(socket, code, token)
                    continue
                if shown is not None:
                    yield shown
                    ended = shown.event == "session-ended"
            if not ended:
                yield Frame("disconnected", [], note=True)
        finally:
            await _leave(socket)
            await closing


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


def masked(value: Any) -> Any:
    """Return a value with its secrets masked: tokens, and the ids by which a connection can be taken over."""
    if isinstance(value, dict):
        return {key: _MASK if key in _SECRETS else masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value


def changes(before: Frame | None, after: Frame) -> Iterator[str]:
    """Describe the differences between two updates; ``before`` is None for the first."""
    data = after.arguments[0]
    if before is None:
        yield f"{_number(_people_in(after), 'participant')}, {_number(data['movies'], 'movie')}"
        return
    former = before.arguments[0]
    then, now = _by_id(former["participants"]), _by_id(data["participants"])
    yield from _people(then, now)
    if _people_in(before) == len(then) and _people_in(after) == len(now):
        yield from (f"{now[key]['name']} joined" for key in now if key not in then)
        yield from (f"{then[key]['name']} left" for key in then if key not in now)
    elif _people_in(before) != _people_in(after):
        # Only some are listed, and another one is when one of them leaves.
        yield _number(_people_in(after), "participant")
    yield from _movies(_by_id(former["movies"]), _by_id(data["movies"]))


async def _connect(url: str, code: str, frames: asyncio.Queue[Frame | None]) -> Socket:
    answer = await request("POST", f"{url}/api/session/join", {"sessionID": code})
    if answer.status in (400, 404):
        raise CannotWatchError(answer.message)
    if answer.status != 200:
        raise ConnectionError(answer.message)

    def take(packet: bytes) -> None:
        try:
            event, *arguments = parse_event(packet)
        except ValueError:
            return
        frames.put_nowait(Frame(event, masked(arguments)))

    return await Socket.open(url, take)


async def _join(socket: Socket, code: str, options: dict[str, Any]) -> dict[str, Any] | None:
    """Return the ack, or None if the client has to reconnect."""
    given = {key: value for key, value in options.items() if value is not None} | {"patches": True}
    try:
        ack = await socket.emit("join-session", code, given, timeout=_ACK_TIMEOUT_SECONDS)
    except (ConnectionError, TimeoutError):
        await socket.close()
        return None
    if not isinstance(ack, dict):
        raise CannotWatchError("the server does not answer as join-session does")
    if ack.get("ok"):
        return ack
    if not ack.get("retryable"):
        raise CannotWatchError(str(ack.get("message")))
    await socket.close()
    return None


async def _join_again(socket: Socket, code: str, token: str | None) -> None:
    """Ask for the whole state. Where that is refused, a new connection finds out why."""
    try:
        await _join(socket, code, {"token": token})
    except CannotWatchError:
        await socket.close()


async def _leave(socket: Socket) -> None:
    try:
        await socket.emit("leave-session", timeout=_LEAVE_TIMEOUT_SECONDS)
    except (ConnectionError, TimeoutError):
        pass
    await socket.close()


async def _tell_end(socket: Socket, frames: asyncio.Queue[Frame | None]) -> None:
    await socket.closed.wait()
    frames.put_nowait(None)


def _people(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for key, person in after.items():
        was = before.get(key)
        if was is None:
            continue
        if was["connected"] != person["connected"]:
            yield f"{person['name']} {'reconnected' if person['connected'] else 'disconnected'}"
        if person["role"] == "host" != was["role"]:
            yield f"{person['name']} is host"


def _people_in(update: Frame) -> int:
    data, meta, *_ = update.arguments
    # The version before does not count them.
    return int(meta.get("people", len(data["participants"])))


def _movies(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for key, movie in after.items():
        was = before.get(key)
        if was is None:
            yield f"{movie['title']} added"
        elif any(was[name] != movie[name] for name in ("count", "vetoes", "score")):
            yield f"{movie['title']} {movie['compatibility']} ({_number(movie['count'], 'rating')}" + (
                f", {_number(movie['vetoes'], 'veto', 'vetoes')})" if movie["vetoes"] else ")"
            )
    yield from (f"{movie['title']} removed" for key, movie in before.items() if key not in after)


def _by_id(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["id"]: item for item in items}


def _number(things: Any, one: str, many: str | None = None) -> str:
    count = things if isinstance(things, int) else len(things)
    return f"{count} {one if count == 1 else many or one + 's'}"
