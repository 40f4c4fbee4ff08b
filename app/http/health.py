"""The state of a replica, for its probes and for operators."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Health"]


@dataclass(slots=True)
class Health:
    """The state of a replica. ``contacted``: Redis has answered at least once."""

    contacted: bool = False
    redis_up: bool = False
    draining: bool = False

    def state(self) -> dict[str, str]:
        status = "starting" if not self.contacted else "draining" if self.draining else "ready"
        return {"status": status, "redis": "up" if self.redis_up else "away"}
