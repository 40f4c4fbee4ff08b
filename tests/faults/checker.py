"""An independent witness: reads what every client saw and what became of every change, and names each lie.

It shares no code with `app.client.checker`, the product's own checker, which it would otherwise repeat the errors of.

A `Room` is all that is known of one session at the end of a run; `lies(room)` is empty when everything is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

__all__ = ["Answer", "Change", "Entry", "Log", "Room", "State", "lies"]

Kind = Literal["joining", "joined", "update", "left", "kicked", "ended", "error", "connect", "disconnect"]


@dataclass(frozen=True, slots=True)
class State:
    """A session at one version; `hash` is that of all it shows."""

    epoch: str
    version: int
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a client's log, at a Unix time in seconds.

    `joining`: it has asked to join; `left`: its leaving was acknowledged; `kicked`: the kick of it was acknowledged to
    the host, at `state`; `error`: the event. `words` and `people` are the secret words and the participants in the
    state of an `update`; `recovered` is the client's flag at a `connect`.
    """

    at: float
    kind: Kind
    state: State | None = None
    words: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    recovered: bool = False


@dataclass
class Log:
    """What one client saw, in order; `participant` is who it is since it joined."""

    client: str
    participant: str
    entries: list[Entry] = field(default_factory=list)

    def updates(self) -> list[tuple[Entry, State]]:
        return [(entry, entry.state) for entry in self.entries if entry.kind == "update" and entry.state]

    @property
    def out(self) -> bool:
        """Whether the client is out of the session at the end."""
        last = [entry.kind for entry in self.entries if entry.kind in ("joining", "left", "kicked", "ended")]
        return not last or last[-1] != "joining"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt at a change came to, at a Unix time.

    `socket`: the id of the connection, if it was the same before and after; `fresh`: the answer says that this change,
    with all its repeats, is what made the difference.
    """

    outcome: Literal["done", "refused", "unknown"]
    version: int = 0
    fresh: bool = True
    socket: str | None = None
    at: float = 0.0


@dataclass
class Change:
    """A movie to be added, in the order in which its client sent them; repeats carry the same `mid`."""

    client: str
    mid: str
    movie: str
    answers: list[Answer] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """`done`, `refused` or `unknown`, all attempts together."""
        outcomes = [answer.outcome for answer in self.answers]
        if "done" in outcomes:
            return "done"
        return "refused" if outcomes and set(outcomes) == {"refused"} else "unknown"


@dataclass
class Room:
    """`word` is the session's secret; `readings` are what each replica says over HTTP at the end, `movies` the ids.

    `may_lose`: Redis has lost changes that it had executed, so a new epoch that is seen later excuses their absence.
    """

    word: str
    logs: list[Log]
    changes: list[Change]
    readings: list[State]
    movies: list[str]
    may_lose: bool = False


def lies(room: Room) -> list[str]:
    """Everything that is not as it must be, in words."""
    return [
        *_disagreements(room),
        *_steps_back(room),
        *_different_states_of_one_version(room),
        *_wrong_outcomes(room),
        *_repetitions(room),
        *_leaks(room),
        *_uninvited(room),
        *_dishonest_recoveries(room),
        *_wrong_orders(room),
    ]


def _disagreements(room: Room) -> Iterator[str]:
    if len(set(room.readings)) != 1:
        yield f"the replicas do not agree: {room.readings}"
    for log in room.logs:
        updates = log.updates()
        if log.out or room.readings[0] == (updates[-1][1] if updates else None):
            continue
        yield f"{log.client} ended at {updates[-1][1] if updates else 'nothing'}, the session at {room.readings[0]}"


def _steps_back(room: Room) -> Iterator[str]:
    for log in room.logs:
        newest: dict[str, int] = {}
        epochs: list[str] = []
        for _, state in log.updates():
            if state.version < newest.get(state.epoch, 0):
                yield f"{log.client} was taken back from version {newest[state.epoch]} to {state.version}"
            newest[state.epoch] = state.version
            if state.epoch in epochs[:-1]:
                yield f"{log.client} was taken back to epoch {state.epoch}"
            if state.epoch not in epochs:
                epochs.append(state.epoch)


def _different_states_of_one_version(room: Room) -> Iterator[str]:
    hashes: dict[tuple[str, int], str] = {}
    seen = [(log.client, state) for log in room.logs for _, state in log.updates()]
    for who, state in [*seen, *(("HTTP", state) for state in room.readings)]:
        if hashes.setdefault((state.epoch, state.version), state.hash) != state.hash:
            yield f"{who} saw another state of version {state.version} than others"


def _wrong_outcomes(room: Room) -> Iterator[str]:
    applied = set(room.movies)
    last_loss = max(_new_epochs(room), default=0.0) if room.may_lose else 0.0
    for change in room.changes:
        done_at = max((answer.at for answer in change.answers if answer.outcome == "done"), default=0.0)
        if change.outcome == "done" and change.movie not in applied and last_loss <= done_at:
            yield f"{change.mid} was acknowledged and is not there"
        if change.outcome == "refused" and change.movie in applied:
            yield f"{change.mid} was refused and is there"
    for movie in sorted(applied - {change.movie for change in room.changes}):
        yield f"{movie} is there and nobody has added it"


def _new_epochs(room: Room) -> Iterator[float]:
    """When each epoch but the first was seen first."""
    first: dict[str, float] = {}
    for log in room.logs:
        for entry, state in log.updates():
            first[state.epoch] = min(entry.at, first.get(state.epoch, entry.at))
    yield from sorted(first.values())[1:]


def _repetitions(room: Room) -> Iterator[str]:
    for change in room.changes:
        if any(answer.outcome == "done" and not answer.fresh for answer in change.answers):
            yield f"{change.mid} was taken for another change"
        if len({answer.version for answer in change.answers if answer.outcome == "done"}) > 1:
            yield f"{change.mid} was done more than once"
    for movie in sorted({movie for movie in room.movies if room.movies.count(movie) > 1}):
        yield f"{movie} is there more than once"
    if not room.may_lose:
        yield from _shared_versions(room.changes)


def _shared_versions(changes: Sequence[Change]) -> Iterator[str]:
    by_version: dict[int, str] = {}
    for change in changes:
        for version in {answer.version for answer in change.answers if answer.outcome == "done"}:
            if by_version.setdefault(version, change.mid) != change.mid:
                yield f"{change.mid} and {by_version[version]} share version {version}"


def _leaks(room: Room) -> Iterator[str]:
    for log in room.logs:
        for words in {entry.words for entry, _ in log.updates() if entry.words != {room.word}}:
            yield f"{log.client} saw {sorted(words)} instead of {room.word}"


def _uninvited(room: Room) -> Iterator[str]:
    """Joining is answered once; nothing of a session reaches a client that is not in it."""
    for log in room.logs:
        yield from _joins(log)
        yield from _strangers(log)


def _joins(log: Log) -> Iterator[str]:
    asked, member = 0, False
    for entry in log.entries:
        if entry.kind == "joining":
            asked += 1
        elif entry.kind in ("left", "ended"):
            member = False
        elif entry.kind == "joined":
            if not asked:
                yield f"{log.client} has joined without asking, or twice"
            asked, member = max(0, asked - 1), True
        elif entry.kind == "error" and member:
            yield f"{log.client} got an error although it has joined"
        elif entry.kind == "error":
            asked = max(0, asked - 1)
    if asked:
        yield f"{log.client} never heard whether it has joined"


def _strangers(log: Log) -> Iterator[str]:
    member, kicked_at = False, None
    for entry in log.entries:
        if entry.kind == "joined":
            member, kicked_at = True, None
        elif entry.kind in ("left", "ended"):
            member = False
        elif entry.kind == "kicked":
            kicked_at = entry.state
        elif entry.kind == "update" and not member:
            yield f"{log.client} got an update without being a member"
        elif entry.kind == "update" and kicked_at and entry.state and _reaches(entry.state, kicked_at):
            yield f"{log.client} got an update after it was kicked"


def _reaches(state: State, other: State) -> bool:
    return state.epoch == other.epoch and state.version >= other.version


def _dishonest_recoveries(room: Room) -> Iterator[str]:
    """`recovered` means: same epoch, never removed, the newest state follows; and where that holds it is said."""
    seen = sorted(((entry.at, state) for log in room.logs for entry, state in log.updates()), key=lambda pair: pair[0])
    for log in room.logs:
        last: Entry | None = None
        lost_at = 0.0
        for connection in _connections(log):
            connected, shown = connection[0], [entry for entry in connection if entry.kind == "update"]
            if last is not None and shown:
                newest = {state.epoch: state.version for at, state in seen if at < lost_at}
                yield from _dishonest_recovery(log, connected, last, shown[0], newest)
            last = shown[-1] if shown else last
            # Stock clients keep what arrives late on a lost connection until just before the next `connect`.
            lost_at = next((entry.at for entry in connection if entry.kind == "disconnect"), connection[-1].at)


def _connections(log: Log) -> Iterator[list[Entry]]:
    """The log cut into what came by each connection, its `connect` first."""
    starts = [number for number, entry in enumerate(log.entries) if entry.kind == "connect"]
    for start, end in pairwise([*starts, len(log.entries)]):
        yield log.entries[start:end]


def _dishonest_recovery(log: Log, connected: Entry, last: Entry, first: Entry, newest: dict[str, int]) -> Iterator[str]:
    assert last.state is not None
    assert first.state is not None
    same_epoch = last.state.epoch == first.state.epoch
    stayed = log.participant in first.people
    if not connected.recovered:
        if same_epoch and stayed:
            yield f"{log.client} was told that it is not recovered, though nothing was lost"
        return
    if not same_epoch:
        yield f"{log.client} was recovered into another epoch"
    if not stayed:
        yield f"{log.client} was recovered and does not take part"
    if first.state.version < newest.get(first.state.epoch, 0):
        yield f"{log.client} was recovered to version {first.state.version}, which was old when it came back"


def _wrong_orders(room: Room) -> Iterator[str]:
    """What one connection sends takes effect in the order sent."""
    place = {movie: number for number, movie in enumerate(room.movies)}
    by_socket: dict[tuple[str, str], list[Change]] = {}
    for change in room.changes:
        first = change.answers[0] if change.answers else None
        if first and first.outcome == "done" and first.socket and change.movie in place:
            by_socket.setdefault((change.client, first.socket), []).append(change)
    for changes in by_socket.values():
        for earlier, later in pairwise(changes):
            if place[earlier.movie] > place[later.movie]:
                yield f"{later.mid} took effect before {earlier.mid}, which was sent before it"
