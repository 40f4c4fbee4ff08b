"""``capacity``: what a deployment of a given size needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from app.capacity import Estimate, Load, estimate
from app.commands.command import command
from app.commands.exits import OK
from app.commands.failures import Failure
from app.commands.options import as_json, number

if TYPE_CHECKING:
    from app.commands.capacity_settings import Advice

__all__ = ["capacity_command"]

_MAX_PEOPLE: Final = 100_000_000
_MAX_SIZE: Final = 1_000
_MAX_CHANGES: Final = 100
_MAX_REPLICAS: Final = 100_000


@command(
    "join-session capacity --people 5000",
    "join-session capacity --people 1000000 --session-size 10 --affinity --patches",
)
@click.option(
    "--people", metavar="N", type=number(int, 1, _MAX_PEOPLE), required=True, help="People who are connected."
)
@click.option(
    "--session-size",
    metavar="S",
    type=number(float, 1, _MAX_SIZE),
    default=10,
    show_default=True,
    help="People per session.",
)
@click.option(
    "--changes",
    metavar="R",
    type=number(float, 0, _MAX_CHANGES),
    default=1,
    show_default=True,
    help="Changes per second and session.",
)
@click.option(
    "--replicas", metavar="N", type=number(int, 1, _MAX_REPLICAS), help="Number of replicas. Default: enough."
)
@click.option("--patches", is_flag=True, help="Clients ask for patches.")
@click.option("--affinity", is_flag=True, help="The load balancer brings the people of a session together.")
@as_json
def capacity_command(
    people: int,
    session_size: float,
    changes: float,
    replicas: int | None,
    patches: bool,
    affinity: bool,
    as_json: bool,
) -> int:
    """Estimate the replicas, Redis and settings that people need.

    The model and what it was measured with are in docs/scaling.md.
    """
    from app.commands.capacity_settings import advice

    load = Load(
        people=people,
        session_size=min(session_size, people),
        changes=changes,
        patches=patches,
        has_affinity=affinity,
    )
    try:
        found = estimate(load, replicas)
    except ValueError as error:
        raise Failure(str(error), code="too-large") from error
    settings = advice(load, found)
    if as_json:
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
