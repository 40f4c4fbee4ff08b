"""The current event, and the arguments of its handler."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

__all__ = ["Event", "WrongArguments", "as_arguments", "current_event", "positional_limits"]


@dataclass(frozen=True, slots=True)
class Event:
    """The event that is handled in the current context."""

    name: str
    sid: str
    namespace: str
    ack_requested: bool


class WrongArguments(Exception):
    """A client sent more or fewer arguments than the handler of the event takes."""


current_event: ContextVar[Event] = ContextVar("current_event")


def positional_limits(handler: Callable[..., Any]) -> tuple[int, float]:
    """Return how many positional arguments ``handler`` needs, and how many it takes at most."""
    least, most = 0, 0.0
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = float("inf")
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1
            least += parameter.default is parameter.empty
    return least, most


def as_arguments(result: Any) -> list[Any]:
    """Convert a handler's result to the arguments of the acknowledgement: a tuple is several, None is none."""
    if result is None:
        return []
    return list(result) if isinstance(result, tuple) else [result]
