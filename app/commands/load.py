"""``load``: stress-test a deployment and verify what its clients receive."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.commands.api import http_url
from app.commands.exits import FAILED, OK
from app.commands.progress import show_progress
from app.settings import load_settings

if TYPE_CHECKING:
    from app.client.load import Load
    from app.client.plan import Plan
    from app.client.report import Report
    from app.client.statistics import Percentiles

__all__ = ["add_load_commands"]

_PROGRESS_INTERVAL_SECONDS: Final = 0.5
# File descriptors besides the clients' sockets: a hundred concurrent requests, and the interpreter's own.
_OTHER_FILES: Final = 200
_TIMES: Final = {"join": "join (HTTP)", "socketJoin": "join (socket)", "ack": "change: ack", "delivery": "delivery"}


def add_load_commands(commands: Any) -> None:
    command = commands.add_parser(
        "load", help="simulate clients and verify what they receive", description=load.__doc__
    )
    command.add_argument(
        "--url",
        metavar="URL[,URL...]",
        type=_urls,
        default=("http://localhost:8080",),
        help="URLs of the service or its replicas",
    )
    command.add_argument("--sessions", metavar="N", type=_count, default=200, help="sessions (200)")
    command.add_argument("--clients", metavar="N", type=_count, default=10, help="clients per session (10)")
    command.add_argument("--duration", metavar="S", type=_seconds, default=60.0, help="seconds of changes (60)")
    command.add_argument("--rate", metavar="N", type=_seconds, default=1.0, help="changes per second and session (1)")
    command.add_argument(
        "--ramp", metavar="S", type=_seconds, default=10.0, help="seconds over which clients join (10)"
    )
    command.add_argument(
        "--deadline",
        metavar="S",
        type=_seconds,
        default=10.0,
        help="seconds within which events are acknowledged and changes seen (10)",
    )
    command.add_argument("--seed", metavar="N", type=int, default=0, help="random seed (0)")
    command.add_argument("--patches", action="store_true", help="ask for patches, and compare the results with HTTP")
    command.add_argument("--json", action="store_true", help="print the report as JSON")
    command.add_argument("--report", metavar="FILE", type=Path, help="also write the report to FILE, as JSON")
    command.set_defaults(command=load)


def load(options: argparse.Namespace) -> int:
    """Fill sessions with clients, make changes, verify every message they receive, and report latencies.

    Exit codes: 0 no violations; 1 violations, or the load could not run; 2 usage error. Ctrl-C ends the run early and
    prints its report; a second Ctrl-C stops at once. The sessions are ended after the last check.
    """
    import uvloop

    from app.client.load import CannotLoadError
    from app.client.plan import Plan
    from app.client.report import report

    key = load_settings().create_key
    plan = Plan(
        urls=options.url,
        sessions=options.sessions,
        clients=options.clients,
        duration=options.duration,
        rate=options.rate,
        ramp=options.ramp,
        deadline=options.deadline,
        seed=options.seed,
        patches=options.patches,
        create_key=key.get_secret_value() if key else None,
    )
    try:
        _allow_files(plan.sessions * plan.clients + _OTHER_FILES)
        told = report(uvloop.run(_run(plan)))
        text = json.dumps(told, indent=2)
        if options.report:
            options.report.write_text(text + "\n")
    except (CannotLoadError, OSError) as error:
        print(f"join-session cannot load: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    print(text if options.json else "\n".join(_table(told)))
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
    for kind, number in violations["kinds"].items():
        yield f"{kind}: {number:,} ({KINDS[kind]})"
        for one in violations["listed"]:
            if one["kind"] == kind:
                who = "" if one["client"] is None else f", client {one['client']}"
                version = "" if one["version"] is None else f", version {one['version']}"
                yield f"  session {one['session']}{who}{version}: {one['detail']}"


def _urls(text: str) -> tuple[str, ...]:
    return tuple(http_url(part.strip()) for part in text.split(","))


def _number(parse: Callable[[str], float], least: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = parse(text)
        except ValueError:
            value = least - 1
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a number from {least:g}")
        return value

    return number


_count: Final = _number(int, 1)
_seconds: Final = _number(float, 0)
