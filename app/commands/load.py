"""``load``: stress-test a deployment and verify what its clients receive."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from app.commands.command import command
from app.commands.configuration import configuration
from app.commands.exits import FAILED, OK
from app.commands.failures import Failure
from app.commands.options import as_json, http_url, number
from app.commands.progress import show_progress

if TYPE_CHECKING:
    from app.client.load import Load
    from app.client.plan import Plan
    from app.client.report import Report
    from app.client.statistics import Percentiles

__all__ = ["load_command"]

_PROGRESS_INTERVAL_SECONDS: Final = 0.5
# File descriptors besides the clients' sockets: a hundred concurrent requests, and the interpreter's own.
_OTHER_FILES: Final = 200
_TIMES: Final = {"join": "join (HTTP)", "socketJoin": "join (socket)", "ack": "change: ack", "delivery": "delivery"}
_count: Final = number(int, 1)
_seconds: Final = number(float, 0)


def _urls(text: str) -> tuple[str, ...]:
    return tuple(http_url(part.strip()) for part in text.split(","))


@command(
    "join-session load --sessions 20 --duration 10",
    "join-session load --url https://movies.example --sessions 200 --clients 10 --report report.json",
)
@click.option(
    "--url",
    metavar="URL[,URL...]",
    type=_urls,
    default="http://localhost:8080",
    show_default=True,
    envvar="JOIN_SESSION_URL",
    show_envvar=True,
    help="Addresses of the service or its replicas.",
)
@click.option("--sessions", metavar="N", type=_count, default=200, show_default=True, help="Sessions.")
@click.option("--clients", metavar="N", type=_count, default=10, show_default=True, help="Clients per session.")
@click.option("--duration", metavar="S", type=_seconds, default=60, show_default=True, help="Seconds of changes.")
@click.option(
    "--rate", metavar="N", type=_seconds, default=1, show_default=True, help="Changes per second and session."
)
@click.option(
    "--ramp", metavar="S", type=_seconds, default=10, show_default=True, help="Seconds over which clients join."
)
@click.option(
    "--deadline",
    metavar="S",
    type=_seconds,
    default=10,
    show_default=True,
    help="Seconds within which events are acknowledged and changes seen.",
)
@click.option("--seed", metavar="N", type=int, default=0, show_default=True, help="Random seed.")
@click.option("--patches", is_flag=True, help="Ask for patches, and compare the results with HTTP.")
@click.option(
    "--report", "file", metavar="FILE", type=click.Path(path_type=Path), help="Also write the report to FILE, as JSON."
)
@as_json
def load_command(
    url: tuple[str, ...],
    sessions: int,
    clients: int,
    duration: float,
    rate: float,
    ramp: float,
    deadline: float,
    seed: int,
    patches: bool,
    file: Path | None,
    as_json: bool,
) -> int:
    """Simulate clients and verify every message they receive.

    Fills sessions with clients, makes changes and reports latencies. Exit codes: 0 no violations; 1 violations, or the
    load could not run. Ctrl-C ends the run early and prints its report; a second Ctrl-C stops at once. The sessions are
    ended after the last check.
    """
    import uvloop

    from app.client.load import CannotLoadError
    from app.client.plan import Plan
    from app.client.report import report

    key = configuration().create_key
    plan = Plan(
        urls=url,
        sessions=sessions,
        clients=clients,
        duration=duration,
        rate=rate,
        ramp=ramp,
        deadline=deadline,
        seed=seed,
        patches=patches,
        create_key=key.get_secret_value() if key else None,
    )
    try:
        _allow_files(plan.sessions * plan.clients + _OTHER_FILES)
        told = report(uvloop.run(_run(plan)))
        text = json.dumps(told, indent=2)
        if file:
            file.write_text(text + "\n")
    except (CannotLoadError, OSError) as error:
        raise Failure(f"cannot load: {error}", code="cannot-load") from error
    except KeyboardInterrupt:
        return FAILED
    print(text if as_json else "\n".join(_table(told)))
    return OK if told["ok"] else FAILED


async def _run(plan: Plan) -> Load:
    from app.client.load import Load

    load = Load(plan)
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        load.interrupt()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    showing = asyncio.create_task(_show_progress(load))
    try:
        await load.run()
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
    return load


async def _show_progress(load: Load) -> None:
    try:
        while True:
            show_progress(_progress(load))
            await asyncio.sleep(_PROGRESS_INTERVAL_SECONDS)
    finally:
        show_progress("")


def _progress(load: Load) -> str:
    there = sum(visitor.ready.is_set() for visitor in load.visitors)
    made = sum(len(check.changes) for check in load.checks)
    wrong = sum(len(check.violations) for check in load.checks)
    expected = load.plan.sessions * load.plan.clients
    return (
        f"{load.phase}: {len(load.crowds):,} sessions, {there:,} of {expected:,} clients, "
        f"{made:,} changes, {load.updates:,} updates, {wrong:,} violations"
    )


def _allow_files(needed: int) -> None:
    """Raise the limit of open files to ``needed``; raises OSError if the system does not allow it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise OSError(f"so many clients need {needed:,} open files; the system allows {hard:,} (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _table(told: Report) -> Iterator[str]:
    counts, changes = told["counts"], told["counts"]["changes"]
    rates = told["perSecond"]
    yield f"{counts['sessions']:,} sessions, {counts['clients']:,} clients, {told['seconds']:.1f} s of changes" + (
        " (interrupted)" if told["interrupted"] else ""
    )
    yield (
        f"changes   {changes['acknowledged']:,} acknowledged ({rates['changes']:,} a second), "
        f"{changes['refused']:,} refused, {changes['unknown']:,} unknown"
    )
    yield (
        f"updates   {counts['updates']:,} delivered ({rates['updates']:,} a second), "
        f"{counts['updatesPassedOver']:,} versions passed over"
        + (f", {counts['patches']:,} as patches" if counts["patches"] else "")
    )
    yield f"trouble   {counts['disconnects']:,} disconnects, {counts['newEpochs']:,} new epochs" + "".join(
        f", {number:,} times {reason}" for reason, number in (counts["failedJoins"] | counts["refusals"]).items()
    )
    yield ""
    yield f"{'milliseconds':<16}{'count':>10}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>10}"
    for name, title in _TIMES.items():
        yield _row(title, told["milliseconds"][name])  # type: ignore[literal-required]
    yield _row("own lag", told["generator"]["lag"])
    if told["generator"]["busy"]:
        yield "This process itself was too busy to measure well: take fewer clients, or a machine of its own."
    yield ""
    yield from _verdict(told)


def _row(title: str, times: Percentiles) -> str:
    values = (times["p50"], times["p90"], times["p99"], times["max"])
    return f"{title:<16}{times['count']:>10,}" + "".join(
        "         –" if ms is None else f"{ms:>10,.1f}" for ms in values
    )


def _verdict(told: Report) -> Iterator[str]:
    from app.client.checker import KINDS

    violations = told["violations"]
    if told["ok"]:
        yield "No violations."
        return
    yield f"{violations['total']:,} VIOLATIONS"
    for kind, count in violations["kinds"].items():
        yield f"{kind}: {count:,} ({KINDS[kind]})"
        for one in violations["listed"]:
            if one["kind"] == kind:
                who = "" if one["client"] is None else f", client {one['client']}"
                version = "" if one["version"] is None else f", version {one['version']}"
                yield f"  session {one['session']}{who}{version}: {one['detail']}"
