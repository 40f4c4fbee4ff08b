"""The constants of ``app/capacity.py`` from what was measured: least squares of relative errors, without negatives."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from app.capacity import Constants, Load, replicas_of_a_session, share_of_first_changes
from bench.shapes import HEARTBEAT_SECONDS, Measured, Shape

__all__ = ["constants", "least_squares"]

Rows = Mapping[Shape, Measured]


def constants(rounds: Mapping[Shape, Sequence[Measured]], *, redis_saturated: float) -> Constants:
    """Return the constants: of each figure the median of the rounds.

    ``redis_saturated``: seconds that Redis takes for a change that one replica hears of, if it has always more to do.
    """
    rows = {shape: _median(measured) for shape, measured in rounds.items()}
    whole = {shape: measured for shape, measured in rows.items() if not shape.patches}
    replica = statistics.median(row.empty for row in rows.values()) / 2
    replica_calls = statistics.median(row.empty_calls for row in rows.values()) / 2
    session, heartbeat = _fit(
        rows,
        lambda shape: (_mirrored(shape), shape.people / HEARTBEAT_SECONDS),
        lambda row: row.idle - row.empty,
    )
    change, announcement, announcement_person, delivery, patch_announcement, patch_delivery = _fit(
        rows,
        lambda shape: (1, *_change(shape)),
        lambda row: row.change,
    )
    came_back = {shape: row for shape, row in rows.items() if shape.replicas > 1}
    join, join_person = _fit(came_back, lambda shape: (1, shape.size), lambda row: row.reconnected)
    update, update_person = _fit(whole, lambda shape: (1, shape.size), lambda row: row.update_bytes)
    base = statistics.median(row.memory_before for row in rows.values())
    person, room = _fit(
        rows,
        lambda shape: (shape.people / shape.replicas, _mirrored(shape) / shape.replicas),
        lambda row: row.memory - base,
    )
    redis_session, redis_person = _fit(rows, lambda shape: (shape.sessions, shape.people), lambda row: row.redis_memory)
    redis_change, redis_announcement = _fit(rows, lambda shape: (1, _holders(shape)), lambda row: row.change_redis)
    redis_busy = max(0.0, redis_saturated - redis_announcement)
    calls, further_calls = _fit(
        rows, lambda shape: (1, share_of_first_changes(shape.changes)), lambda row: row.change_calls
    )
    answer, announced = _fit(rows, lambda shape: (1, _holders(shape)), lambda row: row.redis_sent)
    (session_calls,) = _fit(rows, lambda shape: (_mirrored(shape),), lambda row: row.idle_calls - row.empty_calls)
    return Constants(
        replica_us=replica * 1e6,
        session_us=session * 1e6,
        heartbeat_us=heartbeat * 1e6,
        join_us=join * 1e6,
        join_person_us=join_person * 1e6,
        change_us=change * 1e6,
        announcement_us=announcement * 1e6,
        announcement_person_us=announcement_person * 1e6,
        delivery_us=delivery * 1e6,
        patch_announcement_us=patch_announcement * 1e6,
        patch_delivery_us=patch_delivery * 1e6,
        update_bytes=update,
        update_person_bytes=update_person,
        patch_bytes=statistics.median(row.update_bytes for shape, row in rows.items() if shape.patches),
        replica_bytes=base,
        person_bytes=person,
        session_bytes=room,
        restored_us=statistics.median(row.restored for row in rows.values()) * 1e6,
        redis_restored_us=statistics.median(row.restored_redis for row in rows.values()) * 1e6,
        redis_change_us=redis_busy * 1e6,
        redis_wake_us=(redis_change - redis_busy) * 1e6,
        redis_announcement_us=redis_announcement * 1e6,
        redis_replica_us=statistics.median(row.empty_redis for row in rows.values()) / 2 * 1e6,
        redis_change_calls=calls,
        redis_first_change_calls=further_calls,
        redis_replica_calls=replica_calls,
        redis_session_calls=session_calls,
        redis_session_bytes=redis_session,
        redis_person_bytes=redis_person,
        redis_received_bytes=statistics.median(row.redis_received for row in rows.values()),
        redis_reply_bytes=answer,
        redis_announced_bytes=announced,
    )


def least_squares(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Return factors of the columns that are not negative, with the least sum of squared relative errors."""
    scaled = [[cell / value for cell in row] for row, value in zip(rows, values, strict=True)]
    columns = range(len(rows[0]))
    best: tuple[float, list[float]] | None = None
    for count in range(1, len(columns) + 1):
        for chosen in combinations(columns, count):
            factors = dict(zip(chosen, _solved([[row[column] for column in chosen] for row in scaled]), strict=True))
            if any(factor < 0 for factor in factors.values()):
                continue
            errors = [1 - sum(row[column] * factor for column, factor in factors.items()) for row in scaled]
            sum_of_squares = sum(error * error for error in errors)
            if best is None or sum_of_squares < best[0] - 1e-12:
                best = sum_of_squares, [factors.get(column, 0.0) for column in columns]
    if best is None:
        raise ValueError("no factors fit")
    return best[1]


def _solved(rows: Sequence[Sequence[float]]) -> list[float]:
    """Solve the normal equations for values of 1, by elimination; [-1, ...] where they have no single solution."""
    size = len(rows[0])
    matrix = [
        [sum(row[i] * row[j] for row in rows) for j in range(size)] + [sum(row[i] for row in rows)] for i in range(size)
    ]
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(matrix[k][i]))
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        if abs(matrix[i][i]) < 1e-30:
            return [-1.0] * size
        for k in range(size):
            if k != i:
                share = matrix[k][i] / matrix[i][i]
                matrix[k] = [a - share * b for a, b in zip(matrix[k], matrix[i], strict=True)]
    return [matrix[i][size] / matrix[i][i] for i in range(size)]


def _fit(rows: Rows, columns: Callable[[Shape], Sequence[float]], figure: Callable[[Measured], float]) -> list[float]:
    return least_squares([columns(shape) for shape in rows], [figure(row) for row in rows.values()])


def _holders(shape: Shape) -> float:
    return replicas_of_a_session(Load(shape.people, shape.size, shape.changes), shape.replicas)


def _mirrored(shape: Shape) -> float:
    return shape.sessions * _holders(shape)


def _change(shape: Shape) -> Sequence[float]:
    holders = _holders(shape)
    if shape.patches:
        return 0, 0, 0, holders, shape.size
    return holders, holders * shape.size, shape.size, 0, 0


def _median(measured: Sequence[Measured]) -> Measured:
    return Measured(*(statistics.median(values) for values in zip(*(row.values() for row in measured), strict=True)))
