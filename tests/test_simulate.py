"""The simulation and the fit of its constants: what must hold whatever the constants are."""

from __future__ import annotations

import random
from dataclasses import asdict

import pytest

from app.capacity import MEASURED, Load, estimate, redis_calls_of_a_change, replicas_of_a_session
from bench.fit import constants, least_squares
from bench.shapes import HEARTBEAT_SECONDS, SHAPES, Measured, Shape
from bench.simulate import Cluster, Plan, lost_primary, lost_replica, queueing, rolling_restart

SMALL = Plan(people=10_000, replicas=4, primaries=3)


def test_everybody_is_in_a_session_at_a_replica() -> None:
    cluster = Cluster(SMALL)
    assert sum(cluster.sizes) == sum(cluster.people()) == 10_000
    assert max(cluster.sizes) > 100


@pytest.mark.parametrize("patches", [False, True])
def test_sessions_of_one_size_take_what_the_model_says(patches: bool) -> None:
    cluster = Cluster(Plan(10_000, 2, 1, 0.2, patches=patches, same_size=True))
    found = estimate(Load(10_000, 10, 0.2, patches=patches), 2)
    assert sum(cluster.work()) == pytest.approx(found.replica_cores, rel=0.01)
    assert sum(cluster.memory()) / 2 == pytest.approx(found.memory_per_replica, rel=0.01)
    assert sum(cluster.redis_work()) == pytest.approx(found.redis_cores, rel=0.01)
    assert lost_replica(cluster)["reconnect_s"] == pytest.approx(found.reconnect_seconds, rel=0.1)


def test_with_affinity_a_session_is_at_one_replica() -> None:
    assert all(len(place) == 1 for place in Cluster(Plan(1_000, 4, 1, has_affinity=True)).places)


def test_jobs_wait_as_the_theory_of_queues_says() -> None:
    found = queueing(80, 0.01, random.Random(1))
    # M/M/1 at 80 %: the time in the system is exponential, with a mean of 50 ms.
    assert found["p50_ms"] == pytest.approx(34.7, rel=0.1)
    assert found["p99_ms"] == pytest.approx(230, rel=0.15)


@pytest.mark.parametrize("surge", [1, 4])
def test_a_rolling_restart_loses_nobody(surge: int) -> None:
    found = rolling_restart(Cluster(Plan(10_000, 4, 3, surge=surge)))
    assert found["people_after"] == pytest.approx(10_000)
    assert found["most_people"] > 2_500


def test_all_sessions_of_a_lost_primary_are_read_again_by_each_of_their_replicas() -> None:
    cluster = Cluster(SMALL)
    found = lost_primary(cluster)
    own = [place for place, primary in zip(cluster.places, cluster.primary_of, strict=True) if primary == 0]
    assert found["sessions"] == len(own)
    assert found["sessions_read_again"] == sum(map(len, own))
    assert found["recovered_after_s"] > 16


def test_factors_are_found_and_never_negative() -> None:
    assert least_squares([[1, 10], [1, 100], [1, 2]], [25, 205, 9]) == pytest.approx([5, 2])
    assert least_squares([[1, 1], [1, 2]], [2, 1])[1] == 0


def test_the_constants_are_those_of_which_the_figures_were_made() -> None:
    made = {shape: [figures(shape)] for shape in SHAPES}
    found = constants(made, redis_saturated=(MEASURED.redis_change_us + MEASURED.redis_announcement_us) / 1e6)
    assert asdict(found) == pytest.approx(asdict(MEASURED), rel=0.01)


def figures(shape: Shape) -> Measured:
    """What would be measured if the constants were exact."""
    costs = MEASURED
    holders = replicas_of_a_session(Load(shape.people, shape.size, shape.changes), shape.replicas)
    mirrored = shape.sessions * holders
    whole = costs.announcement_us + costs.announcement_person_us * shape.size
    announcement = costs.patch_announcement_us if shape.patches else whole
    delivery = costs.patch_delivery_us if shape.patches else costs.delivery_us
    beats = shape.people / HEARTBEAT_SECONDS
    empty, empty_redis = 2 * costs.replica_us / 1e6, 2 * costs.redis_replica_us / 1e6
    whole_bytes = costs.update_bytes + costs.update_person_bytes * shape.size
    return Measured(
        empty=empty,
        empty_redis=empty_redis,
        empty_calls=2 * costs.redis_replica_calls,
        idle=empty + (mirrored * costs.session_us + beats * costs.heartbeat_us) / 1e6,
        idle_redis=empty_redis,
        idle_calls=2 * costs.redis_replica_calls + mirrored * costs.redis_session_calls,
        join=0.001,
        join_redis=1,
        join_calls=34,
        change=(costs.change_us + holders * announcement + shape.size * delivery) / 1e6,
        change_redis=(costs.redis_change_us + costs.redis_wake_us + holders * costs.redis_announcement_us) / 1e6,
        change_calls=redis_calls_of_a_change(Load(shape.people, shape.size, shape.changes)),
        changes=shape.sessions * shape.changes,
        updates=shape.size,
        update_bytes=costs.patch_bytes if shape.patches else whole_bytes,
        redis_sent=costs.redis_reply_bytes + holders * costs.redis_announced_bytes,
        redis_received=costs.redis_received_bytes,
        restored=costs.restored_us / 1e6,
        restored_redis=costs.redis_restored_us / 1e6,
        reconnected=(costs.join_us + costs.join_person_us * shape.size) / 1e6,
        reconnecting_seconds=2,
        memory_before=costs.replica_bytes,
        memory=costs.replica_bytes
        + (shape.people * costs.person_bytes + mirrored * costs.session_bytes) / shape.replicas,
        redis_memory=shape.sessions * costs.redis_session_bytes + shape.people * costs.redis_person_bytes,
    )
