"""The capacity model: what follows from what, and that docs/scaling.md has its constants."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import pytest

from app.capacity import MEASURED, Load, estimate, replicas_of_a_session
from app.replica.caps import find_caps, memory_for
from app.settings import Settings

PAGE: Final = (Path(__file__).parent.parent / "docs" / "scaling.md").read_text()
MILLION: Final = Load(people=1_000_000, session_size=10, changes=1)


def test_the_page_has_the_constants() -> None:
    shown = {
        name: float(value.replace(",", "")) for name, value in re.findall(r"^\| `(\w+)` \| ([\d,.]+) \|", PAGE, re.M)
    }
    assert shown == pytest.approx(asdict(MEASURED))


def test_the_members_of_a_session_are_on_as_many_replicas_as_chance_gives() -> None:
    assert replicas_of_a_session(MILLION, 1) == 1
    assert replicas_of_a_session(replace(MILLION, session_size=2), 2) == 1.5
    assert replicas_of_a_session(MILLION, 200) == pytest.approx(9.78, abs=0.01)


def test_with_affinity_they_are_on_one() -> None:
    assert replicas_of_a_session(replace(MILLION, has_affinity=True), 200) == 1


@pytest.mark.parametrize("affinity", [False, True])
@pytest.mark.parametrize("people", [10, 2_000, 100_000, 1_000_000])
def test_there_are_just_enough_replicas_and_primaries(people: int, affinity: bool) -> None:
    load = replace(MILLION, people=people, has_affinity=affinity)
    found = estimate(load)
    assert found.cores_per_replica <= 0.6
    assert found.people_per_replica <= 6_600
    assert found.redis_cores / found.primaries <= 0.5
    fewer = estimate(load, max(1, found.replicas - 1))
    assert found.replicas == 1 or fewer.cores_per_replica > 0.6 or fewer.people_per_replica > 6_600


def test_people_who_do_nothing_need_memory_and_heartbeats_only() -> None:
    idle = estimate(replace(MILLION, changes=0), 200)
    assert idle.client_bytes_per_second == idle.redis_received_per_second == 0
    assert idle.redis_calls_per_second == pytest.approx(
        200 * MEASURED.redis_replica_calls + 100_000 * idle.replicas_per_session * MEASURED.redis_session_calls
    )


def test_affinity_and_patches_save_replicas() -> None:
    plain, with_both = estimate(MILLION), estimate(replace(MILLION, has_affinity=True, patches=True))
    assert with_both.replicas < plain.replicas / 1.5
    assert with_both.client_bytes_per_second < plain.client_bytes_per_second / 5


def test_nobody_comes_back_to_a_single_replica_that_ended() -> None:
    assert estimate(MILLION, 1).reconnect_seconds is None


def test_a_replica_takes_the_connections_that_its_memory_is_computed_for() -> None:
    assert find_caps(Settings(), memory_for(7_000)).connections == 7_000
