"""The rooms of this replica and the clients in them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from app.socketio_server.frames import Encoded
from app.socketio_server.libraries import SocketIOManager
from app.socketio_server.packets import EVENT

__all__ = ["RoomManager"]

_EVERYBODY: Final = None


class RoomManager(SocketIOManager):
    """A client manager for python-socketio whose costs do not grow with unrelated clients and rooms.

    The stock manager visits every room of the namespace when one client leaves, and creates one task for each recipient
    of an emit. This one keeps the rooms of each client, encodes a message once and writes it to each recipient
    directly. Every client is in a room named like its sid; the room None has all clients of a namespace.
    """

    def __init__(self) -> None:
        super().__init__()
        # namespace -> room -> sid -> Engine.IO sid
        self.rooms: dict[str, dict[Any, dict[str, str]]] = {}
        # namespace -> sid -> rooms
        self._rooms_of: dict[str, dict[str, set[Any]]] = {}
        self._connecting: set[str] = set()
        self._leaving: set[str] = set()
        self._callbacks: dict[str, dict[int, Callable[..., Any]]] = {}
        self._ack_ids = itertools.count(1)

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        **_options: Any,
    ) -> None:
        """Send an event to a room, a list of rooms, one sid or all."""
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        sids = (sid for sid, _ in self.get_participants(namespace, to or room) if sid not in skipped)
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        if callback is None:
            self.server.deliver(sids, self._event(namespace, [event, *arguments]))
            return
        for sid in sids:
            ack = next(self._ack_ids)
            self._callbacks.setdefault(sid, {})[ack] = callback
            self.server.deliver([sid], self._event(namespace, [event, *arguments], ack))

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Return pairs of sid and Engine.IO sid, without duplicates, as a copy."""
        rooms = self.rooms.get(namespace, {})
        names = room if isinstance(room, list | tuple | set | frozenset) else [room]
        members: dict[str, str] = {}
        for name in names:
            members.update(rooms.get(name, {}))
        return iter(members.items())

    def members(self, room: Any, namespace: str = "/") -> Iterable[str]:
        """Return the sids in a room. The room must not change during an iteration."""
        return self.rooms.get(namespace, {}).get(room, {}).keys()

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        return [room for room in self._rooms_of.get(namespace, {}).get(sid, ()) if room is not _EVERYBODY]

    def is_connected(self, sid: str | None, namespace: str) -> bool:
        return sid in self._rooms_of.get(namespace, {}) and sid not in self._connecting and sid not in self._leaving

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        return self.rooms.get(namespace, {}).get(_EVERYBODY, {}).get(sid)

    async def pre_connect(self, eio_sid: str, namespace: str) -> str:
        sid = cast("str", self.server.new_sid())
        self._connecting.add(sid)
        self.basic_enter_room(sid, namespace, _EVERYBODY, eio_sid)
        self.basic_enter_room(sid, namespace, sid, eio_sid)
        return sid

    async def connect(self, sid: str, namespace: str) -> str:
        self._connecting.discard(sid)
        return sid

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        self._leaving.add(sid)
        return self.eio_sid_from_sid(sid, namespace)

    def basic_disconnect(self, sid: str, namespace: str, **_options: Any) -> None:
        for room in list(self._rooms_of.get(namespace, {}).get(sid, ())):
            self.basic_leave_room(sid, namespace, room)
        self._callbacks.pop(sid, None)
        self._connecting.discard(sid)
        self._leaving.discard(sid)

    async def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:  # noqa: A002
        """Call the callback of an emit with the client's answer; ignore answers without a callback."""
        callback = self._callbacks.get(sid, {}).pop(id, None)
        if callback is None:
            return
        result = callback(*data)
        if inspect.isawaitable(result):
            await result

    def is_sid_room(self, namespace: str, room: Any) -> bool:
        return room in self._rooms_of.get(namespace, {})

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        """Enter a room; raises ValueError if the client is not connected or the room is another client's own."""
        eio_sid = eio_sid or self.eio_sid_from_sid(sid, namespace)
        if eio_sid is None:
            raise ValueError("sid is not connected to requested namespace")
        if room != sid and self.is_sid_room(namespace, room):
            raise ValueError("cannot enter a sid room")
        self.rooms.setdefault(namespace, {}).setdefault(room, {})[sid] = eio_sid
        self._rooms_of.setdefault(namespace, {}).setdefault(sid, set()).add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        rooms, rooms_of = self.rooms.get(namespace, {}), self._rooms_of.get(namespace, {})
        if rooms.get(room, {}).pop(sid, None) is None:
            return
        rooms_of[sid].discard(room)
        if not rooms_of[sid]:
            del rooms_of[sid]
        if not rooms[room]:
            del rooms[room]
        if not rooms:
            del self.rooms[namespace], self._rooms_of[namespace]

    def basic_close_room(self, room: Any, namespace: str) -> None:
        if self.is_sid_room(namespace, room):
            raise ValueError("cannot close a sid room")
        for sid, _ in self.get_participants(namespace, room):
            self.basic_leave_room(sid, namespace, room)

    def _event(self, namespace: str, data: list[Any], ack: int | None = None) -> Encoded:
        message: Encoded = self.server.packet_class(EVENT, namespace=namespace, data=data, id=ack).encoded()
        return message
