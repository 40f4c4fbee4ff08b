"""The consistency checker of ``join-session load``: compares what the clients of a session received.

This module uses neither a clock nor the network. A ``Watcher`` records what one client received, in order. A
``SessionCheck`` has the watchers of one session and reports the violations at the end.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.client.ledger import Change, contradictions

__all__ = ["KINDS", "SessionCheck", "State", "Violation", "Watcher"]

KINDS: Final = {
    "version-back": "a client was shown an older version, or an older epoch, than before",
    "duplicate": "a client was shown the same version twice by the same connection without joining again",
    "divergence": "the same version had different content at two clients, or over HTTP",
    "missed-update": "a client did not see an acknowledged change, nor anything newer, within the deadline",
    "not-converged": "a client did not end at the version that HTTP tells",
    "lost-change": "an acknowledged change is not in the session at the end",
    "phantom-change": "the session contains what nobody has put there, or what was refused",
    "wrong-tally": "a movie's ratings are not those that were acknowledged",
    "wrong-ranking": "the ranks do not follow from the ratings",
    "wrong-order": "joining was not answered by one joined-session, then the state as joined",
    "wrong-patch": "a patch was unasked for, did not start at the state that the client held, or did not fit it",
    "unanswered": "an event was not acknowledged within the deadline, and the connection stood",
    "malformed": "a packet or an answer was not what the documents say",
}

# The number of versions kept for comparison. No client lags further behind.
_REMEMBERED: Final = 1000
_PLACES_OF_AN_EPOCH: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class State:
    """A session at one version. ``digest`` is a hash of its ``sessionData``."""

    epoch: str
    version: int
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation. ``session`` and ``client`` are numbers given by the load; codes and names never appear."""

    kind: str
    session: int
    client: int | None
    version: int | None
    detail: str


class SessionCheck:
    """The check of one session of a load.

    ``participants`` are the ids that certainly joined. ``strangers`` is the number of further ones that may have
    joined, because the answer to their join was lost.

    A *place* in the session's history is one integer: the number of the epoch, in the order first seen, combined with
    the version.
    """

    def __init__(self, number: int, clients: int) -> None:
        self.number = number
        self.changes: list[Change] = []
        self.participants: set[str] = set()
        self.strangers = 0
        self.violations: list[Violation] = []
        self.watchers = [Watcher(self, client) for client in range(clients)]
        self._epochs: dict[str, int] = {}
        self._digests: dict[tuple[str, int], bytes] = {}

    @property
    def epochs(self) -> int:
        """The number of epochs seen. Each one after the first means that Redis lost changes."""
        return len(self._epochs)

    def violate(self, kind: str, detail: str, client: int | None = None, version: int | None = None) -> None:
        self.violations.append(Violation(kind, self.number, client, version, detail))

    def place(self, epoch: str, version: int) -> int:
        return self._epochs.setdefault(epoch, len(self._epochs)) * _PLACES_OF_AN_EPOCH + version

    def compare(self, state: State, client: int | None = None) -> None:
        """Compare a state with what other clients received for the same version."""
        known = self._digests.setdefault((state.epoch, state.version), state.digest)
        if known != state.digest:
            self.violate("divergence", "other content than elsewhere", client, state.version)
        if len(self._digests) > _REMEMBERED:
            del self._digests[next(iter(self._digests))]

    def delays(self) -> Iterator[float]:
        """Yield the seconds from each change until each other client first received it or a newer version."""
        for change in self.changes:
            if change.outcome != "done" or change.emitted is None:
                continue
            for watcher in self.watchers:
                seen = watcher.saw(change.place)
                if watcher.client == change.client or seen is None or watcher.was_away(change.emitted, seen):
                    continue
                if seen >= change.emitted:
                    yield seen - change.emitted

    def judge(
        self, readings: Sequence[State], movies: list[dict[str, Any]], people: set[str], deadline: float
    ) -> list[Violation]:
        """Return all violations.

        ``readings`` are what HTTP returns at the end, ``movies`` those of the first of them, and ``people`` the ids of
        all participants. Every change must be received within ``deadline`` seconds.
        """
        for state in readings:
            self.compare(state)
        head = readings[0]
        if len({(state.epoch, state.version) for state in readings}) > 1:
            self.violate("not-converged", "HTTP tells different versions", version=head.version)
        for watcher in self.watchers:
            if not watcher.absent:
                self._judge_end(watcher, head)
            self._judge_times(watcher, deadline)
        for change in self.changes:
            change.certain = change.place >= self.place(head.epoch, 0)
        for kind, detail in contradictions(self.changes, movies):
            self.violate(kind, detail, version=head.version)
        self._judge_people(people, head)
        return self.violations

    def _judge_end(self, watcher: Watcher, head: State) -> None:
        shown = watcher.shown
        if shown is None or (shown.epoch, shown.version) != (head.epoch, head.version):
            at = "nothing" if shown is None else f"version {shown.version}"
            self.violate("not-converged", f"ended at {at}, the session at {head.version}", watcher.client, head.version)

    def _judge_times(self, watcher: Watcher, deadline: float) -> None:
        for change in self.changes:
            if change.outcome != "done":
                continue
            seen, latest = watcher.saw(change.place), change.answered + deadline
            if (seen is None or seen > latest) and not watcher.was_away(change.answered, latest):
                version = change.place % _PLACES_OF_AN_EPOCH
                late = "never" if seen is None else f"only after {seen - change.answered:.1f} s"
                self.violate("missed-update", f"version {version} was seen {late}", watcher.client, version)

    def _judge_people(self, there: set[str], head: State) -> None:
        if missing := len(self.participants - there):
            self.violate("lost-change", f"{missing} of those who joined are not there", version=head.version)
        if len(there - self.participants) > self.strangers:
            self.violate("phantom-change", "somebody is there who never joined", version=head.version)


class Watcher:
    """What one client received.

    ``shown`` is the newest state received, ``passed_over`` the number of skipped versions. ``absent``: the load was
    interrupted before this client joined, so it need not have the final state.
    """

    def __init__(self, check: SessionCheck, client: int) -> None:
        self.client = client
        self.absent = False
        self.shown: State | None = None
        self.updates = 0
        self.passed_over = 0
        self._check = check
        self._newest: State | None = None
        self._left: set[str] = set()
        self._places = array("q")
        self._times = array("d")
        self._away: list[tuple[float, float]] = []
        self._gone_at: float | None = 0.0
        self._asked = self._joined = False
        self._first: State | None = None

    def joining(self) -> None:
        """Note that the client is about to emit ``join-session``."""
        self._asked, self._joined, self._first = True, False, None

    def joined(self) -> None:
        """Note that the client received ``joined-session``."""
        if not self._asked:
            self._violate("wrong-order", "joined-session came twice, or unasked")
        self._asked, self._joined = False, True

    def entered(self, version: int, at: float) -> None:
        """Note that the client received the ack of ``join-session`` and the first state."""
        if self._first is None or self._first.version < version:
            self._violate("wrong-order", "the first state is older than the joining", version)
        if self._gone_at is not None:
            self._away.append((self._gone_at, at))
            self._gone_at = None

    def lost(self, at: float) -> None:
        """Note that the connection ended."""
        self._asked = self._joined = False
        if self._gone_at is None:
            self._gone_at = at

    def update(self, state: State, at: float) -> None:
        """Note that the client received a state, whole or as a patch."""
        self.updates += 1
        if not self._joined:
            self._violate("wrong-order", "session-update came before joined-session", state.version)
        self._check.compare(state, self.client)
        self.shown = state
        if self._is_news(state):
            self._places.append(self._check.place(state.epoch, state.version))
            self._times.append(at)
            self._newest = state
        self._first = self._first or state

    def saw(self, place: int) -> float | None:
        """Return when the client first received this place of the history or a later one."""
        found = bisect_left(self._places, place)
        return self._times[found] if found < len(self._times) else None

    def was_away(self, start: float, end: float) -> bool:
        """Return whether the client was disconnected, or not yet in the session, at any time of the period."""
        away = [*self._away, (self._gone_at, end)] if self._gone_at is not None else self._away
        return any(gone <= end and back >= start for gone, back in away)

    def _is_news(self, state: State) -> bool:
        """Return whether a state is newer than all before; report states in a wrong order."""
        newest = self._newest
        if newest is None:
            return True
        if state.epoch != newest.epoch:
            self._left.add(newest.epoch)
            if state.epoch in self._left:
                self._violate("version-back", "an epoch came back that was over", state.version)
                return False
            return self._check.place(state.epoch, 0) > self._places[-1]
        if state.version < newest.version:
            self._violate("version-back", f"after version {newest.version}", state.version)
        elif state.version == newest.version and self._first is not None:
            self._violate("duplicate", "shown twice", state.version)
        self.passed_over += max(0, state.version - newest.version - 1)
        return state.version > newest.version

    def _violate(self, kind: str, detail: str, version: int | None = None) -> None:
        self._check.violate(kind, detail, self.client, version)
