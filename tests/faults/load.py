"""A steady load of changes: sessions full of stock clients of all transports, and a log of all that they see and do."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.faults.checker import Answer, Change, Entry, Kind, Log, Room, State
from tests.harness.node import Client, ClientError, Event, NodeClients
from tests.harness.people import TRANSPORTS, Api, Made

__all__ = ["Load"]

# Two of each kind of transport, at two of three entrances each.
_STEADY: Final = tuple(TRANSPORTS.values()) * 2
_PAUSE: Final = 0.5
_LOOK: Final = 0.1
# However long a fault takes, a session does not fill up: with so many changes more the pauses are twice as long.
_MANY: Final = 150
_BETWEEN_ATTEMPTS: Final = 0.2
# Longer than any fault: an answer that has not come by then does not come.
_TIMEOUT_SECONDS: Final = 20.0
_KINDS: Final[dict[str, Kind]] = {
    "connect": "connect",
    "disconnect": "disconnect",
    "joined-session": "joined",
    "session-update": "update",
    "session-ended": "ended",
    "error": "error",
}

_numbers = itertools.count(1)


class Load:
    """Clients that change their sessions until told to stop."""

    def __init__(self, api: Api, replicas: int) -> None:
        self._api = api
        self._replicas = replicas
        self._sessions: list[_Session] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._progress = asyncio.Event()
        self._giving_up = False

    @classmethod
    @asynccontextmanager
    async def on(cls, node: NodeClients, api: Api, entrances: Sequence[str], sessions: int) -> AsyncIterator[Load]:
        """A load on `sessions` sessions by clients that come in by the URLs `entrances`, over as many replicas."""
        load = cls(api, len(entrances))
        for number in range(sessions):
            load._sessions.append(await _Session.open(node, api, [*entrances[number % 3 :], *entrances]))
        async with asyncio.TaskGroup() as tasks:
            load._tasks = [
                tasks.create_task(load._keep_changing(session, member))
                for session in load._sessions
                for member in session.steady
            ]
            yield load
            for task in load._tasks:
                task.cancel()

    @property
    def codes(self) -> list[str]:
        return [session.made.code for session in self._sessions]

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    @property
    def done(self) -> int:
        """How many changes were acknowledged so far."""
        return sum(change.outcome == "done" for session in self._sessions for change in session.changes)

    async def reaches(self, changes: int) -> None:
        """Returns when so many changes more have been acknowledged."""
        goal = self.done + changes
        while self.done < goal:
            self._progress.clear()
            await self._progress.wait()

    async def send_some_away(self) -> None:
        """In each session one leaves and one is kicked, whatever is broken meanwhile."""
        await asyncio.gather(*(session.send_some_away() for session in self._sessions))

    async def stop(self, *, repeating: bool = True) -> float:
        """Ends the changes; what is unknown is repeated until it is known, or else stays so. The time of the last."""
        self._stopping.set()
        self._giving_up = not repeating
        await asyncio.gather(*self._tasks)
        return time.time()

    async def settle(self, deadline: float, *, may_lose: bool = False) -> list[Room]:
        """What is known of each session, as soon as all agree, at the latest at the Unix time `deadline`."""
        while True:
            rooms = [await self._look(session, may_lose) for session in self._sessions]
            if time.time() >= deadline or all(_agree(room) for room in rooms):
                return rooms
            await asyncio.sleep(_LOOK)

    async def _look(self, session: _Session, may_lose: bool) -> Room:
        reads = await asyncio.gather(
            *(self._api.read(session.made.code, replica=replica) for replica in range(self._replicas)),
            return_exceptions=True,
        )
        answers = [read for read in reads if isinstance(read, dict)]
        return Room(
            session.word,
            [member.log() for member in session.everybody],
            session.changes,
            [
                _state(read["sessionData"], read["meta"]) if isinstance(read, dict) else State(str(read), 0)
                for read in reads
            ],
            [movie["id"] for movie in answers[0]["sessionData"]["movies"] if movie["id"] != "known"] if answers else [],
            may_lose,
        )

    async def _keep_changing(self, session: _Session, member: _Member) -> None:
        while not self._stopping.is_set():
            # Two at a time, so that their order matters.
            await asyncio.gather(self._change(member), self._change(member))
            await asyncio.sleep(_PAUSE * 2 ** (len(session.changes) // _MANY))

    async def _change(self, member: _Member) -> None:
        change = member.new_change()
        while not change.answers or (change.outcome == "unknown" and not self._giving_up):
            change.answers.append(await member.attempt(change))
            self._progress.set()
            if change.outcome == "unknown":
                await asyncio.sleep(_BETWEEN_ATTEMPTS)


class _Member:
    """A client in a session, and marks in its log of what it has asked for."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.participant = ""
        self.changes: list[Change] = []
        self._marks: list[tuple[int, Entry]] = []

    def mark(self, kind: Kind, state: State | None = None) -> None:
        self._marks.append((len(self.client.events), Entry(time.time(), kind, state)))

    async def join(self, made: Made, name: str, token: str | None = None) -> None:
        self.mark("joining")
        options = {"name": name} | ({"token": token} if token else {})
        ack = await self.client.emit("join-session", made.code, options, ack=True)
        assert ack["ok"], ack
        self.participant = ack["participantID"]

    def new_change(self) -> Change:
        number = next(_numbers)
        change = Change(self.participant, f"mid{number}", f"movie{number}")
        self.changes.append(change)
        return change

    async def attempt(self, change: Change) -> Answer:
        movie = {"id": change.movie, "title": "T", "mid": change.mid}
        socket = self.client.id
        answered = await self.ask("add-movie", movie)
        if answered is None or answered.data.get("code") in ("unavailable", "outcome-unknown"):
            return Answer("unknown")
        ack = answered.data
        if not ack["ok"]:
            return Answer("refused")
        fresh = ack["added"] == [change.movie]
        return Answer("done", ack["version"], fresh, socket if self.client.id == socket else None, answered.at)

    async def ask(self, event: str, payload: dict[str, Any]) -> Event | None:
        """The ack of an event, None when the connection ended before it came.

        Its time is that of the clients, as that of all events: this process may be late when it checks what they see.
        """
        socket = self.client.id
        try:
            return await self.client.ask(event, payload, timeout=_TIMEOUT_SECONDS)
        except ClientError:
            # An ack that never comes by a connection that stands is another matter.
            if socket is not None and socket == self.client.id:
                raise
            return None

    async def insist(self, event: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The ack of an event that is repeated until its outcome is known."""
        while True:
            answered = await self.ask(event, payload)
            if answered is not None and answered.data.get("code") not in ("unavailable", "outcome-unknown"):
                ack: dict[str, Any] = answered.data
                assert ack["ok"], f"{event}: {ack}"
                return ack
            await asyncio.sleep(_BETWEEN_ATTEMPTS)

    def log(self) -> Log:
        marks = iter([*self._marks, (len(self.client.events), None)])
        position, mark = next(marks)
        entries: list[Entry] = []
        for number, event in enumerate([*self.client.events, None]):
            while position == number and mark is not None:
                entries.append(mark)
                position, mark = next(marks)
            if event is not None and event.name in _KINDS:
                entries.append(_entry(event))
        return Log(self.participant, self.participant, entries)


class _Session:
    """A session with its members: those who change it, one who will leave and one who will be kicked."""

    def __init__(self, word: str, made: Made) -> None:
        self.word = word
        self.made = made
        self.steady: list[_Member] = []
        self._leaver: _Member
        self._unwanted: _Member

    @classmethod
    async def open(cls, node: NodeClients, api: Api, entrances: Sequence[str]) -> _Session:
        word = f"secret-{next(_numbers)}"
        made = await api.create(movies=[{"id": "known", "title": word}])
        session = cls(word, made)
        clients = await asyncio.gather(
            *(
                node.connect(url, digest=True, **options)
                for url, options in zip(itertools.cycle(entrances), (*_STEADY, {}, {}), strict=False)
            )
        )
        *session.steady, session._leaver, session._unwanted = map(_Member, clients)
        await session.steady[0].join(made, word, made.host_token)
        await asyncio.gather(*(member.join(made, word) for member in session.everybody[1:]))
        return session

    @property
    def everybody(self) -> list[_Member]:
        return [*self.steady, self._leaver, self._unwanted]

    @property
    def changes(self) -> list[Change]:
        return [change for member in self.steady for change in member.changes]

    async def send_some_away(self) -> None:
        await self._leaver.insist("leave-session", {"mid": "leaving"})
        self._leaver.mark("left")
        host = self.steady[0]
        ack = await host.insist("kick-participant", {"participantID": self._unwanted.participant, "mid": "kicking"})
        epoch = host.client.named("session-update")[-1].args[1]["epoch"]
        self._unwanted.mark("kicked", State(epoch, ack["version"]))


def _entry(event: Event) -> Entry:
    kind = _KINDS[event.name]
    if kind != "update":
        return Entry(event.at, kind, recovered=kind == "connect" and event.recovered)
    shown, meta = event.args[0], event.args[1]
    state = State(meta["epoch"], meta["version"], shown["hash"])
    return Entry(event.at, kind, state, frozenset(shown["words"]), frozenset(shown["people"]))


def _state(data: dict[str, Any], meta: dict[str, Any]) -> State:
    """As the clients' digest has it: by the text that JavaScript makes of the data, in which 0.0 is 0."""
    text = json.dumps(_plain(data), ensure_ascii=False, separators=(",", ":"))
    return State(meta["epoch"], meta["version"], hashlib.sha256(text.encode()).hexdigest())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _agree(room: Room) -> bool:
    ends = {updates[-1][1] for log in room.logs if not log.out and (updates := log.updates())}
    return len(ends | set(room.readings)) == 1
