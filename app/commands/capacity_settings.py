"""Which settings a deployment of a given size needs changed from their defaults."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.capacity import Estimate, Load
from app.replica.caps import MAX_CONNECTIONS, memory_for
from app.settings import PREFIX, Settings

__all__ = ["Advice", "advice"]

# Sessions that live although nobody is connected.
_IDLE_SESSIONS: Final = 1.5
# The most of all codes that may be those of live sessions, or guesses and typing errors hit too often.
_CODES_TAKEN: Final = 0.01
# Of all people: those who join within a minute, and those who type a wrong code.
_JOIN_IN_A_MINUTE: Final = 0.1
_MISTYPE: Final = 0.1
# The most people with one address: those of a company, or of a mobile network.
_WITH_ONE_ADDRESS: Final = 0.001
# People of replicas that are restarted come to others, as ``python -m bench.simulate`` shows.
_MAX_TIMES_MEAN: Final = 3.0
# The chart's default.
_DEFAULT_MEMORY_MIB: Final = 512


@dataclass(frozen=True, slots=True)
class Advice:
    """``value`` of the setting ``name``, or of a chart's value."""

    name: str
    value: str
    reason: str


def advice(load: Load, found: Estimate) -> list[Advice]:
    """Return the settings to change."""
    wanted = [(name, value, why) for name, value, why in _wanted(load, found) if value > _default(name)]
    settings = [Advice(PREFIX + name.upper(), str(_rounded(value)), why) for name, value, why in wanted]
    most = math.ceil(found.people_per_replica * _MAX_TIMES_MEAN)
    if most > MAX_CONNECTIONS:
        settings.append(
            Advice(PREFIX + "MAX_CONNECTIONS", str(_rounded(most)), "thrice the mean, while others restart")
        )
    if (mebibytes := math.ceil(memory_for(most) / 2**20)) > _DEFAULT_MEMORY_MIB:
        settings.append(
            Advice("resources.limits.memory", f"{_rounded(mebibytes)}Mi", "of the chart: for thrice the mean")
        )
    return settings


def _wanted(load: Load, found: Estimate) -> Iterator[tuple[str, float, str]]:
    sessions = load.sessions * _IDLE_SESSIONS
    mistyped = load.people * _JOIN_IN_A_MINUTE * _MISTYPE
    connections = load.people * _WITH_ONE_ADDRESS / (1 if load.has_affinity else found.replicas)
    yield "max_sessions", sessions, "those with people and half as many again"
    yield "code_length", _code_length(sessions), "at most 1 % of all codes lead to a session"
    yield "miss_budget_total", mistyped, "a tenth of the people join within a minute, of whom a tenth mistype"
    yield "miss_budget", mistyped * _WITH_ONE_ADDRESS, "the same, of those with one address: 0.1 % of all people"
    yield (
        "create_budget",
        load.sessions * _JOIN_IN_A_MINUTE * _WITH_ONE_ADDRESS,
        "a tenth of their sessions in a minute",
    )
    yield "max_sessions_per_address", sessions * _WITH_ONE_ADDRESS, "their sessions"
    yield "max_connections_per_address", connections * _MAX_TIMES_MEAN, "their connections to one replica"


def _default(name: str) -> float:
    default: float = Settings.model_fields[name].default
    return default


def _code_length(sessions: float) -> int:
    """Return how many digits are enough for codes."""
    return math.ceil(round(math.log10(max(1.0, sessions / _CODES_TAKEN)), 6))


def _rounded(value: float) -> int:
    """Round up to two digits."""
    unit: int = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit
