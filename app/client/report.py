"""The report of a load."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Final

from typing_extensions import TypedDict

from app.client.checker import Violation
from app.client.ledger import Outcome
from app.client.load import Load
from app.client.statistics import Percentiles, percentiles

__all__ = ["Report", "report"]

_LISTED: Final = 20
_BUSY: Final = 50.0


class Planned(TypedDict):
    urls: list[str]
    sessions: int
    clients: int
    duration: float
    rate: float
    ramp: float
    deadline: float
    seed: int
    patches: bool


class Changes(TypedDict):
    acknowledged: int
    refused: int
    unknown: int


class Counts(TypedDict):
    """``updates`` counts whole ones and patches, ``patches`` those alone.

    ``updatesPassedOver`` counts versions that clients did not receive, because a newer one was available.
    """

    sessions: int
    clients: int
    changes: Changes
    refusals: dict[str, int]
    updates: int
    patches: int
    updatesPassedOver: int
    disconnects: int
    failedJoins: dict[str, int]
    newEpochs: int


class Times(TypedDict):
    """Times in milliseconds.

    ``join``: the HTTP request. ``socketJoin``: from the event to its ack and the first state. ``ack``: of a change.
    ``delivery``: from a change until each other client has received it or a newer version.
    """

    join: Percentiles
    socketJoin: Percentiles
    ack: Percentiles
    delivery: Percentiles


class Rates(TypedDict):
    changes: float
    updates: float


class Generator(TypedDict):
    """The timer delay of the load generator itself, in milliseconds. ``busy``: it distorts the measurements."""

    lag: Percentiles
    busy: bool


class Listed(TypedDict):
    kind: str
    session: int
    client: int | None
    version: int | None
    detail: str


class Violations(TypedDict):
    """``listed`` has the first violations of each kind."""

    total: int
    kinds: dict[str, int]
    listed: list[Listed]


class Report(TypedDict):
    """The report. ``seconds`` is the duration of the phase with the changes."""

    ok: bool
    interrupted: bool
    plan: Planned
    seconds: float
    counts: Counts
    milliseconds: Times
    perSecond: Rates
    generator: Generator
    violations: Violations


def report(load: Load) -> Report:
    """Return the report of a finished load."""
    found = [violation for check in load.checks for violation in check.violations]
    measured, seconds = load.measured, load.measured.ended - load.measured.began
    lag = percentiles(measured.lag)
    changes = Counter(change.outcome for check in load.checks for change in check.changes)
    per_second = 1 / seconds if seconds else 0.0
    return {
        "ok": not found,
        "interrupted": load.interrupted,
        "plan": _planned(load),
        "seconds": round(seconds, 3),
        "counts": _counts(load, changes),
        "milliseconds": {
            "join": percentiles(measured.join),
            "socketJoin": percentiles(measured.socket_join),
            "ack": percentiles(measured.ack),
            "delivery": percentiles(delay for check in load.checks for delay in check.delays()),
        },
        "perSecond": {
            "changes": round(changes["done"] * per_second, 1),
            "updates": round((measured.updates_after - measured.updates_before) * per_second, 1),
        },
        "generator": {"lag": lag, "busy": (lag["p99"] or 0.0) > _BUSY},
        "violations": _violations(found),
    }


def _planned(load: Load) -> Planned:
    plan = load.plan
    return {
        "urls": list(plan.urls),
        "sessions": plan.sessions,
        "clients": plan.clients,
        "duration": plan.duration,
        "rate": plan.rate,
        "ramp": plan.ramp,
        "deadline": plan.deadline,
        "seed": plan.seed,
        "patches": plan.patches,
    }


def _counts(load: Load, changes: Counter[Outcome]) -> Counts:
    watchers = [watcher for check in load.checks for watcher in check.watchers]
    return {
        "sessions": len(load.checks),
        "clients": sum(watcher.shown is not None for watcher in watchers),
        "changes": {
            "acknowledged": changes["done"],
            "refused": changes["refused"],
            "unknown": changes["unknown"],
        },
        "refusals": dict(sorted(load.measured.refusals.items())),
        "updates": sum(watcher.updates for watcher in watchers),
        "patches": load.measured.patches,
        "updatesPassedOver": sum(watcher.passed_over for watcher in watchers),
        "disconnects": load.measured.disconnects,
        "failedJoins": dict(sorted(load.measured.failed_joins.items())),
        "newEpochs": sum(max(0, check.epochs - 1) for check in load.checks),
    }


def _violations(found: list[Violation]) -> Violations:
    kinds = Counter(violation.kind for violation in found)
    listed = [
        violation
        for kind in sorted(kinds)
        for violation in islice((violation for violation in found if violation.kind == kind), _LISTED)
    ]
    return {
        "total": len(found),
        "kinds": dict(sorted(kinds.items())),
        "listed": [_listed(violation) for violation in listed],
    }


def _listed(violation: Violation) -> Listed:
    return {
        "kind": violation.kind,
        "session": violation.session,
        "client": violation.client,
        "version": violation.version,
        "detail": violation.detail,
    }
