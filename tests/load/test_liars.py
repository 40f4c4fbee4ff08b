"""A service that breaks its word is found out by `join-session load`, and one that keeps it is not accused."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.harness.commands import Done, run
from tests.harness.service import Replica
from tests.load.liar import Honest, Patching, liar, spoilt

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONE_SESSION: Final = (
    *("--sessions", "1", "--clients", "4", "--duration", "1.5", "--rate", "30"),
    *("--ramp", "0", "--json"),
)
VICTIM: Final = 2
AT_ONCE: Final = 4


class DropsTheLast(Honest):
    """Holds each update but the first back until there is a newer one: what came last never comes."""

    held: str | None = None

    def updated(self, packet: str) -> list[str]:
        if self.held is None:
            self.held = ""
            return [packet]
        held, self.held = self.held, packet
        return [held] if held else []


class StopsUpdating(Honest):
    """One client is told nothing new after a while."""

    updates = 0

    def updated(self, packet: str) -> list[str]:
        self.updates += 1
        return [packet] if self.updates < 5 or self.number != VICTIM else []


class RepeatsOne(Honest):
    """One update comes twice."""

    updates = 0

    def updated(self, packet: str) -> list[str]:
        self.updates += 1
        return [packet, packet] if self.updates == 4 else [packet]


class GoesBack(Honest):
    """After the fifth update the fourth comes again."""

    updates = 0
    before = ""

    def updated(self, packet: str) -> list[str]:
        self.updates += 1
        before, self.before = self.before, packet
        return [packet, before] if self.updates == 5 else [packet]


class TellsOneAnotherStory(Honest):
    """One client sees a movie under another title."""

    def updated(self, packet: str) -> list[str]:
        return [spoilt(packet, _retitle)] if self.number == VICTIM else [packet]


class Swallows(Honest):
    """Acknowledges changes of one kind that it has not made."""

    event = ""
    version = 0

    def updated(self, packet: str) -> list[str]:
        self.version = int(packet[:-2].rpartition("-")[2])
        return [packet]

    def asked(self, packet: str) -> str | None:
        found = re.match(r"42(\d+)\[\"([a-z-]+)\"", packet)
        if found is None or found[2] != self.event:
            return None
        return f"43{found[1]}" + json.dumps([{"ok": True, "version": self.version}])


class SwallowsMovies(Swallows):
    event = "add-movie"


class SwallowsVotes(Swallows):
    event = "vote"


class AnswersNothing(Honest):
    """One change of each client gets a NOOP packet instead of an acknowledgement."""

    silent = True

    def asked(self, packet: str) -> str | None:
        if '"vote"' not in packet or not self.silent:
            return None
        self.silent = False
        return "6"


class JoinsTwice(Honest):
    """Says `joined-session` twice."""

    def told(self, packet: str) -> list[str]:
        return [packet, packet] if packet.startswith('42["joined-session"') else super().told(packet)


class StatesBeforeJoining(Honest):
    """The state comes before `joined-session`."""

    joined: str | None = None

    def told(self, packet: str) -> list[str]:
        if packet.startswith('42["joined-session"'):
            self.joined = packet
            return []
        told = super().told(packet)
        if packet.startswith('42["session-update"') and self.joined:
            joined, self.joined = self.joined, None
            return [*told, joined]
        return told


class MumblesOnce(Honest):
    """An update that is cut off."""

    updates = 0

    def updated(self, packet: str) -> list[str]:
        self.updates += 1
        return [packet[:40], packet] if self.updates == 4 else [packet]


class PassesOverSome(Honest):
    """What a service may do: an update is not sent, as a newer one soon is."""

    updates = 0

    def updated(self, packet: str) -> list[str]:
        self.updates += 1
        return [] if self.updates in (3, 5) else [packet]


class PatchesWrongly(Patching):
    """All clients are sent the same wrong patches: what HTTP returns is different."""

    def patched(self, name: str, value: Any) -> Any:
        return [{**entry, "title": "Another"} for entry in value] if name == "movies" else value


class PatchesFromElsewhere(Patching):
    """Patches that start at a version which the client does not hold."""

    patches = 0

    def start(self, version: int) -> int:
        self.patches += 1
        return version - 1 if self.patches == 3 else version


class PatchesUnasked(Patching):
    """Patches for clients that did not ask for them."""


def _retitle(data: dict[str, Any], meta: dict[str, Any]) -> None:
    for movie in data["movies"]:
        movie["title"] = "Another"


LIES: Final[dict[type[Honest], set[str]]] = {
    DropsTheLast: {"not-converged"},
    StopsUpdating: {"not-converged", "missed-update"},
    RepeatsOne: {"duplicate"},
    GoesBack: {"version-back"},
    TellsOneAnotherStory: {"divergence"},
    SwallowsMovies: {"lost-change"},
    SwallowsVotes: {"wrong-tally"},
    AnswersNothing: {"unanswered"},
    JoinsTwice: {"wrong-order"},
    StatesBeforeJoining: {"wrong-order"},
    MumblesOnce: {"malformed"},
    PatchesWrongly: {"divergence"},
    PatchesFromElsewhere: {"wrong-patch"},
    PatchesUnasked: {"wrong-patch"},
}
TRUTHS: Final[tuple[type[Honest], ...]] = (Honest, PassesOverSome, Patching)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def loads(service: list[Replica]) -> dict[type[Honest], Done]:
    """What the load tool says of each of them; they mostly wait, so some are asked at the same time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(kind: type[Honest]) -> Done:
        # Lies are found out at the deadline, truths need none.
        deadline = "1" if kind in LIES else "20"
        patches = ("--patches",) if kind is not PatchesUnasked else ()
        async with turns, liar(service[0].port, kind) as url:
            return await run("load", "--url", url, *ONE_SESSION, "--deadline", deadline, *patches)

    kinds = [*LIES, *TRUTHS]
    return dict(zip(kinds, await asyncio.gather(*map(ask, kinds)), strict=True))


@pytest.mark.parametrize("lie", LIES, ids=lambda kind: str(kind.__name__))
async def test_a_lie_is_found_out_by_its_name(lie: type[Honest], loads: dict[type[Honest], Done]) -> None:
    done = loads[lie]
    assert (done.code, done.err) == (1, "")
    told = done.json
    assert not told["ok"]
    assert LIES[lie] <= told["violations"]["kinds"].keys(), told["violations"]
    assert {listed["kind"] for listed in told["violations"]["listed"]} == told["violations"]["kinds"].keys()


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda kind: str(kind.__name__))
async def test_what_a_service_may_do_is_not_accused(truth: type[Honest], loads: dict[type[Honest], Done]) -> None:
    done = loads[truth]
    assert (done.code, done.json["violations"]["total"]) == (0, 0), done.out
    assert (done.json["counts"]["patches"] > 0) == issubclass(truth, Patching)
