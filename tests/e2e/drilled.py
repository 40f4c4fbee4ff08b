"""One drill: what it does to the clients, measured and held against its limit."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from tests.e2e.cluster import REPORT, say
from tests.e2e.crowd import Crowd

__all__ = ["drilled", "weekly"]

# Connections outlive Redis's pods, and the replicas that a scaling ends may be the youngest, to which nobody has come.
UNFELT = {
    "redis_deleted",
    "scaling",
    "autoscaled_up",
    "existing_secret_changed",
    "cluster_failover",
    "cluster_primary_lost",
    "cluster_slots_moved",
    "sentinel_failover",
    "sentinel_primary_lost",
}

_HEADINGS = "| Drill | Took | Clients moved | Longest gap | Longest silence | Allowed |\n" + "|---" * 6 + "|\n"


def weekly(timeout: float) -> list[pytest.MarkDecorator]:
    """The marks of the tests of a module that are long drills, each of at most so many seconds."""
    return [
        pytest.mark.cluster,
        pytest.mark.drill_weekly,
        pytest.mark.slow,
        pytest.mark.timeout(timeout),
        pytest.mark.asyncio(loop_scope="session"),
    ]


async def drilled(
    name: str,
    people: Crowd,
    drill: Awaitable[None],
    limit: float | Callable[[], float],
    *,
    wandering: float | None = None,
    silent: float | None = None,
) -> None:
    """Runs a drill, waits for everybody, holds the longest gap against the limit; somebody has to have felt it.

    `wandering` is the limit of clients that poll without cookies, if it is another. `silent` is that of the longest
    silence, where the clients cannot change anything for a while.
    """
    say(f"drill {name.replace('_', ' ')}")
    await people.add_movie(f"before-{name}")
    started = time.time()
    await drill
    took = time.time() - started
    await people.settled()
    moved = people.moved(started)
    silence = people.longest_silence(started)
    allowed = limit() if callable(limit) else limit
    outcomes = [
        (name, allowed, *people.longest_gap(started, wanderers=False)),
        (f"{name}_without_cookies", wandering or allowed, *people.longest_gap(started, wanderers=True)),
    ]
    for title, most, gap, story in outcomes:
        _note(title, f"{took:.0f} s", moved, f"{gap:.1f} s", f"{silence:.1f} s", f"{most:.0f} s")
        (REPORT / f"longest-gap-{title}.txt").write_text(story)
    assert moved > 0 or name in UNFELT
    await people.nothing_is_lost()
    assert [story for _, most, gap, story in outcomes if gap > most] == []
    assert silent is None or silence <= silent


def _note(title: str, took: str, moved: int, gap: str, silence: str, allowed: str) -> None:
    title = title.replace("_", " ")
    say(f"drill {title}: {took}, {moved} clients moved, gap {gap}, silence {silence}, allowed {allowed}")
    REPORT.mkdir(parents=True, exist_ok=True)
    with (REPORT / "figures.md").open("a") as figures:
        if not figures.tell():
            figures.write(_HEADINGS)
        figures.write(f"| {title} | {took} | {moved} | {gap} | {silence} | {allowed} |\n")
