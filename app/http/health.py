"""The state of a replica, for its probes and for operators."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Health"]


@dataclass(slots=True)
class Health:
    """The state of a replica.

    ``contacted``: Redis has answered at least once. ``refused``: it refuses this replica and accepts another one.
    """

    contacted: bool = False
    redis_up: bool = False
    refused: bool = False
    draining: bool = False

    @property
    def is_ready(self) -> bool:
        return self.contacted and not self.refused

    def state(self) -> dict[str, str]:
        return {"status": self._status(), "redis": "up" if self.redis_up else "away"}

    def _status(self) -> str:
        if not self.contacted:
            return "starting"
        if self.draining:
            return "draining"
        return "refused" if self.refused else "ready"
