"""The sessions of a load and their clients, which report everything they receive to the checker."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from time import perf_counter
from typing import Any, Final, NamedTuple

import orjson

from app.backoff import Backoff
from app.client.checker import SessionCheck, State, Watcher
from app.client.http import request
from app.client.ledger import Change, ChangeKind
from app.client.patch import PatchError, SessionCopy
from app.client.plan import Run
from app.client.socket import Socket, parse_event

__all__ = ["Crowd", "Visitor"]

_UPDATE: Final = b'42["session-update",'
_PATCH: Final = b'42["session-patch",'
_MAX_ATTEMPTS: Final = 6
_MIN_PAUSE_SECONDS: Final = 0.2
_MAX_JOIN_PAUSE_SECONDS: Final = 2.0
# Long enough in total to repeat a change over an outage of some seconds.
_MAX_CHANGE_PAUSE_SECONDS: Final = 3.2
_POLL_SECONDS: Final = 0.1
# Keeps snapshots as small as those of a group of friends.
_MAX_MOVIES: Final = 12
_MAX_KNOWN_FRAMES: Final = 64


class Seen(NamedTuple):
    """What a client holds: the state for the checker, and the copy that the next patch applies to.

    ``digest`` is a hash of the copy's ``sessionData``. That of the state omits what not all replicas tell.
    """

    state: State
    digest: bytes
    copy: SessionCopy


class _Received(NamedTuple):
    """A packet, and what its client held if it is a patch."""

    packet: bytes
    held: tuple[State, bytes] | None = None


class Crowd:
    """A session and its clients."""

    def __init__(self, run: Run, number: int, code: str, host_token: str) -> None:
        self.code = code
        self.check = SessionCheck(number, run.plan.clients)
        self.movies: list[str] = []
        self.numbers = itertools.count(1)
        self._run = run
        self._host_token = host_token
        self._frames: dict[_Received, Seen] = {}
        self._patched = asyncio.Event()
        urls, first = run.plan.urls, number * run.plan.clients
        self.visitors = [
            Visitor(run, self, watcher, urls[(first + watcher.client) % len(urls)]) for watcher in self.check.watchers
        ]

    def read(self, packet: bytes) -> Seen:
        """Return what a ``session-update`` shows. Most clients get identical packets, so each is parsed once."""
        received = _Received(packet)
        known = self._frames.get(received)
        if known is None:
            _, data, meta, offset, *_ = parse_event(packet)
            known = self._remember(received, SessionCopy(data, meta), offset)
        return known

    def patch(self, before: Seen, packet: bytes) -> Seen:
        """Return what a ``session-patch`` makes of a state; most clients hold the same one."""
        received = _Received(packet, (before.state, before.digest))
        known = self._frames.get(received)
        if known is None:
            _, operations, meta, offset, *_ = parse_event(packet)
            known = self._remember(received, before.copy.patched(operations, meta), offset)
            self._patched.set()
        return known

    async def compare(self) -> None:
        """Compare each patched state with the one that HTTP returns, as long as it is the newest."""
        urls = itertools.cycle(self._run.plan.urls)
        while True:
            await self._patched.wait()
            self._patched.clear()
            try:
                async with self._run.turns:
                    answer = await request("GET", f"{next(urls)}/api/session/{self.code}")
                if answer.status == 200:
                    self.check.compare(_state(answer.body["sessionData"], answer.body["meta"]))
            except ConnectionError:
                continue
            except (KeyError, TypeError):
                self.check.violate("malformed", "the answer is not a session's state")

    async def settle(self) -> None:
        """Wait until all clients have the state that HTTP returns, or until the deadline; then judge."""
        last = perf_counter() + self._run.plan.deadline
        urls = self._run.plan.urls
        while True:
            try:
                async with self._run.turns:
                    bodies = [(await request("GET", f"{url}/api/session/{self.code}")).body for url in urls]
                readings = [_state(body["sessionData"], body["meta"]) for body in bodies]
                people = await self._people(bodies[0])
            except ConnectionError as error:
                readings, told = [], str(error)
            except (KeyError, TypeError):
                readings, told = [], "the answer is not a session's state"
            late = perf_counter() > last
            if readings and (late or self._agree(readings)):
                self.check.judge(readings, bodies[0]["sessionData"]["movies"], people, self._run.plan.deadline)
                return
            if late:
                self.check.violate("malformed", f"the session could not be read at the end: {told}")
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def end(self) -> None:
        try:
            async with self._run.turns:
                await request("DELETE", f"{self._run.plan.urls[0]}/api/session/{self.code}", token=self._host_token)
        except ConnectionError:
            return

    async def _people(self, body: dict[str, Any]) -> set[str]:
        """Return the ids of all participants of a session, of which the state may list only the first."""
        listed = {person["id"] for person in body["sessionData"]["participants"]}
        # The version before does not count them.
        if body["meta"].get("people", 0) <= len(listed):
            return listed
        people: set[str] = set()
        cursor = "0"
        while cursor is not None:
            url = f"{self._run.plan.urls[0]}/api/session/{self.code}/participants?cursor={cursor}"
            async with self._run.turns:
                page = (await request("GET", url, token=self._host_token)).body
            people |= {person["id"] for person in page["participants"]}
            cursor = page["next"]
        return people

    def _remember(self, received: _Received, copy: SessionCopy, offset: str) -> Seen:
        state = _state(copy.data, copy.meta)
        if offset != f"{state.epoch}-{state.version}":
            raise ValueError("the offset is not that of the state")
        self.movies = [movie["id"] for movie in copy.data["movies"]]
        if len(self._frames) == _MAX_KNOWN_FRAMES:
            del self._frames[next(iter(self._frames))]
        seen = self._frames[received] = Seen(state, _digest(copy.data), copy)
        return seen

    def _agree(self, readings: list[State]) -> bool:
        shown = {watcher.shown for watcher in self.check.watchers if not watcher.absent}
        return len({*readings, *shown}) == 1


class Visitor:
    """A client that joins by HTTP and socket, reconnects whenever its connection ends, and makes changes."""

    def __init__(self, run: Run, crowd: Crowd, watcher: Watcher, url: str) -> None:
        self.ready = asyncio.Event()
        self._run = run
        self._crowd = crowd
        self._check = crowd.check
        self._watcher = watcher
        self._urls = itertools.cycle([url, *(other for other in run.plan.urls if other != url)])
        self._random = random.Random(f"{run.plan.seed}/{crowd.check.number}/{watcher.client}")  # noqa: S311
        self._own: list[str] = []
        self._socket: Socket | None = None
        self._token: str | None = None
        self._seen: Seen | None = None
        self._joined = asyncio.Event()
        self._shown = asyncio.Event()
        self._closing = False

    async def run(self) -> None:
        """Join when it is this client's turn, and again whenever the connection ends."""
        plan = self._run.plan
        place = self._watcher.client * plan.sessions + self._check.number
        await asyncio.sleep(plan.ramp * place / (plan.sessions * plan.clients))
        backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_JOIN_PAUSE_SECONDS)
        while not self._closing:
            url = next(self._urls)
            try:
                async with self._run.turns:
                    socket = await self._enter(url)
            except (ConnectionError, TimeoutError) as error:
                self._run.measured.failed_joins[str(error) or "no answer in time"] += 1
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self.ready.set()
            await socket.closed.wait()
            self._away()
            self._run.measured.disconnects += 1

    async def live(self) -> None:
        """Make changes one after another until the load is over."""
        plan, over = self._run.plan, self._run.over
        while plan.rate and not over.is_set():
            pause = self._random.expovariate(plan.rate / plan.clients)
            try:
                async with asyncio.timeout(pause):
                    await over.wait()
            except TimeoutError:
                if self.ready.is_set():
                    await self._change(self._choose())

    def give_up(self) -> None:
        """Stop expecting a client that has not joined by now."""
        if not self.ready.is_set():
            self._closing = self._watcher.absent = True

    async def close(self) -> None:
        self._closing = True
        if self._socket is not None:
            await self._socket.close()

    async def _enter(self, url: str) -> Socket:
        """Join as documented: by HTTP, then by the socket. Raises ConnectionError or TimeoutError."""
        measured, deadline = self._run.measured, self._run.plan.deadline
        started = perf_counter()
        answer = await request("POST", f"{url}/api/session/join", {"sessionID": self._crowd.code}, timeout=deadline)
        if answer.status != 200:
            raise ConnectionError(answer.message)
        measured.join.append(perf_counter() - started)
        socket = self._socket = await Socket.open(url, self._take)
        try:
            await self._join(socket)
        except BaseException:
            await socket.close()
            self._away()
            raise
        return socket

    async def _join(self, socket: Socket) -> None:
        measured, deadline = self._run.measured, self._run.plan.deadline
        started = perf_counter()
        self._watcher.joining()
        options: dict[str, Any] = {"patches": True} if self._run.plan.patches else {}
        options |= {"token": self._token} if self._token else {"name": f"Client {self._watcher.client}"}
        try:
            ack = await socket.emit("join-session", self._crowd.code, options, timeout=deadline)
        except BaseException as error:
            self._check.strangers += self._token is None
            if isinstance(error, TimeoutError):
                self._violate("unanswered", "join-session")
            raise
        if not _is_ack(ack):
            self._violate("malformed", "the ack of join-session")
            raise ConnectionError("joining was not answered properly")
        if not ack["ok"]:
            # A join that failed with a retryable error may have been applied.
            self._check.strangers += self._token is None and bool(ack.get("retryable"))
            raise ConnectionError(f"joining was refused: {ack['code']}")
        self._token = ack.get("token")
        self._check.participants.add(str(ack.get("participantID")))
        async with asyncio.timeout(deadline):
            await self._shown.wait()
        ended = perf_counter()
        measured.socket_join.append(ended - started)
        self._watcher.entered(ack["version"], ended)
        self._joined.set()

    def _away(self) -> None:
        self._seen = None
        self._joined.clear()
        self._shown.clear()
        self._watcher.lost(perf_counter())

    def _take(self, packet: bytes) -> None:
        try:
            if packet.startswith(_UPDATE):
                self._show(self._crowd.read(packet))
            elif packet.startswith(_PATCH):
                if self._seen is None or not self._run.plan.patches:
                    raise PatchError("a patch came unasked, or before the first update")
                self._show(self._crowd.patch(self._seen, packet))
                self._run.measured.patches += 1
            elif parse_event(packet)[0] == "joined-session":
                self._watcher.joined()
        except PatchError as error:
            self._violate("wrong-patch", str(error))
            # The connection ends, and the client joins again: its state is unknown.
            raise
        except (ValueError, KeyError, TypeError) as error:
            self._violate("malformed", f"{type(error).__name__} in an event")

    def _show(self, seen: Seen) -> None:
        self._seen = seen
        self._watcher.update(seen.state, perf_counter())
        self._shown.set()

    def _choose(self) -> Change:
        movies, chance = self._crowd.movies, self._random.random()
        if not movies or (chance < 0.25 and len(movies) < _MAX_MOVIES):
            return self._changing("add-movie", f"m{next(self._crowd.numbers)}")
        own = [movie for movie in self._own if movie in movies]
        if own and (chance < 0.1 or (chance < 0.25 and len(movies) >= _MAX_MOVIES)):
            return self._changing("remove-movie", self._random.choice(own))
        if chance < 0.35:
            return self._changing("withdraw-vote", self._random.choice(movies))
        return self._changing("vote", self._random.choice(movies), self._random.randint(1, 5))

    def _changing(self, kind: ChangeKind, movie: str, rating: int = 0) -> Change:
        change = Change(self._watcher.client, kind, movie, rating)
        self._check.changes.append(change)
        return change

    async def _change(self, change: Change) -> None:
        """Send a change until its outcome is known, with the same ``mid`` each time."""
        mid = f"{self._watcher.client}-{len(self._check.changes)}"
        payload = _payload(change) | {"mid": mid}
        backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_CHANGE_PAUSE_SECONDS)
        for attempt in range(_MAX_ATTEMPTS):
            if attempt:
                change.emitted = None
                await asyncio.sleep(backoff.next())
            ack = await self._ask(change, payload, first=not attempt)
            if ack is None or ack.get("retryable"):
                continue
            if ack["ok"]:
                self._done(change, ack)
            else:
                change.outcome = "refused"
                self._run.measured.refusals[ack["code"]] += 1
            return

    async def _ask(self, change: Change, payload: dict[str, Any], *, first: bool) -> dict[str, Any] | None:
        """Return the ack, or None if none arrives."""
        deadline = self._run.plan.deadline
        try:
            async with asyncio.timeout(deadline):
                await self._joined.wait()
        except TimeoutError:
            return None
        if self._socket is None:
            return None
        if first:
            change.emitted = perf_counter()
        try:
            ack: dict[str, Any] = await self._socket.emit(change.kind, payload, timeout=deadline)
        except ConnectionError:
            return None
        except TimeoutError:
            self._violate("unanswered", change.kind)
            return None
        if not _is_ack(ack):
            self._violate("malformed", f"the ack of {change.kind}")
            return None
        return ack

    def _done(self, change: Change, ack: dict[str, Any]) -> None:
        change.answered, change.outcome = perf_counter(), "done"
        shown = self._watcher.shown
        change.place = self._check.place(shown.epoch if shown else "", ack["version"])
        if change.emitted is not None:
            self._run.measured.ack.append(change.answered - change.emitted)
        if change.kind == "add-movie":
            self._own.append(change.movie)
        elif change.kind == "remove-movie":
            self._own.remove(change.movie)

    def _violate(self, kind: str, detail: str) -> None:
        self._check.violate(kind, detail, self._watcher.client)


def _payload(change: Change) -> dict[str, Any]:
    if change.kind == "add-movie":
        return {"id": change.movie, "title": f"Movie {change.movie}"}
    return {"movieID": change.movie} | ({"rating": change.rating} if change.kind == "vote" else {})


def _state(data: dict[str, Any], meta: dict[str, Any]) -> State:
    # Replicas of the previous release do not tell how much somebody has rated.
    people = [{name: value for name, value in person.items() if name != "rated"} for person in data["participants"]]
    return State(meta["epoch"], meta["version"], _digest(data | {"participants": people}))


def _digest(data: dict[str, Any]) -> bytes:
    return hashlib.blake2b(orjson.dumps(data, option=orjson.OPT_SORT_KEYS), digest_size=8).digest()


def _is_ack(ack: Any) -> bool:
    if not isinstance(ack, dict) or not isinstance(ack.get("ok"), bool):
        return False
    return isinstance(ack.get("version"), int) if ack["ok"] else isinstance(ack.get("code"), str)
