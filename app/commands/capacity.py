"""``capacity``: what a deployment of a given size needs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Final

from app.capacity import Estimate, Load, estimate
from app.commands.capacity_settings import Advice, advice
from app.commands.exits import FAILED, OK

__all__ = ["add_capacity_command"]

_MAX_PEOPLE: Final = 100_000_000
_MAX_SIZE: Final = 1_000
_MAX_CHANGES: Final = 100
_MAX_REPLICAS: Final = 100_000


def add_capacity_command(commands: Any) -> None:
    command = commands.add_parser(
        "capacity",
        help="estimate the replicas, Redis and settings for a number of people",
        description=capacity.__doc__,
    )
    command.add_argument(
        "--people", metavar="N", type=_number(int, 1, _MAX_PEOPLE), required=True, help="people who are connected"
    )
    command.add_argument(
        "--session-size", metavar="S", type=_number(float, 1, _MAX_SIZE), default=10, help="people per session (10)"
    )
    command.add_argument(
        "--changes",
        metavar="R",
        type=_number(float, 0, _MAX_CHANGES),
        default=1,
        help="changes per second and session (1)",
    )
    command.add_argument(
        "--replicas", metavar="N", type=_number(int, 1, _MAX_REPLICAS), help="so many replicas (default: enough)"
    )
    command.add_argument("--patches", action="store_true", help="clients ask for patches")
    command.add_argument(
        "--affinity", action="store_true", help="the load balancer brings the people of a session together"
    )
    command.add_argument("--json", action="store_true", help="print the estimate as JSON")
    command.set_defaults(command=capacity)


def capacity(options: argparse.Namespace) -> int:
    """Print what a deployment needs for a number of people, and which settings to change from their defaults.

    The model and what it was measured with are in docs/scaling.md.
    """
    load = Load(
        people=options.people,
        session_size=min(options.session_size, options.people),
        changes=options.changes,
        patches=options.patches,
        has_affinity=options.affinity,
    )
    try:
        found = estimate(load, options.replicas)
    except ValueError as error:
        print(f"join-session capacity: {error}", file=sys.stderr)
        return FAILED
    settings = advice(load, found)
    if options.json:
        told = {"load": asdict(load), "estimate": asdict(found), "settings": [asdict(each) for each in settings]}
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(_lines(load, found, settings)))
    return OK


def _lines(load: Load, found: Estimate, settings: list[Advice]) -> Iterator[str]:
    yield (
        f"{load.people:,} people in {load.sessions:,.0f} sessions of {load.session_size:g}, "
        f"{load.changes_per_second:,.0f} changes a second"
    )
    yield ""
    memory = _size(found.memory_per_replica)
    yield f"replicas       {found.replicas:,}, each {found.cores_per_replica:.0%} of a core and {memory}"
    people, holders = found.people_per_replica, found.replicas_per_session
    yield f"               {people:,.0f} people each; a session is on {holders:.1f}"
    yield f"to clients     {_size(found.client_bytes_per_second)}/s"
    shards = "1 server" if found.primaries == 1 else f"a Cluster of {found.primaries:,} primaries"
    yield f"Redis          {shards}, {found.redis_cores:,.2f} cores and {_size(found.redis_memory)} in all"
    yield f"               {found.redis_calls_per_second:,.0f} calls a second, {found.redis_connections:,} connections"
    received, sent = _size(found.redis_received_per_second), _size(found.redis_sent_per_second)
    yield f"               {received}/s received, {sent}/s sent"
    if found.reconnect_seconds is not None:
        yield f"lost replica   its people are back after {found.reconnect_seconds:.1f} s"
    yield ""
    if not settings:
        yield "The default settings fit."
        return
    yield "Settings to change:"
    width = max(len(each.name) for each in settings)
    for each in settings:
        yield f"  {each.name:<{width}}  {each.value:<10}  {each.reason}"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _number(parse: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = parse(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {least:g} to {most:,}")
        return value

    return number
