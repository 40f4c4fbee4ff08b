"""How much a replica takes on, and when it refuses more."""

from __future__ import annotations

from app.observability.lag import LAG_INTERVAL
from app.observability.metrics import Metrics
from app.replica.caps import find_caps
from app.replica.handshake_pace import HandshakePace
from app.replica.memory import find_memory
from app.replica.memory_gate import MemoryGate
from app.settings import Settings
from app.socketio_server import Gate

__all__ = ["Overload"]


class Overload:
    """``caps``: how many connections there may be. ``gates`` refuse new ones while there is too much to do."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        memory = find_memory(settings.memory_limit)
        self.caps = find_caps(settings, memory.limit if memory else None)
        self._pace = pace = HandshakePace()
        self._memory = MemoryGate(memory) if memory else None
        self.gates: list[Gate] = [self._memory, pace] if self._memory else [pace]
        metrics.max_connections.set(self.caps.connections)
        metrics.handshake_pace.set_function(lambda: pace.budget / LAG_INTERVAL)
        if (gate := self._memory) is not None:
            metrics.memory_limit.set(gate.limit)
            metrics.memory_in_use.set_function(lambda: gate.in_use)

    def tick(self, lag: float, opened: int) -> None:
        """Measure, every ``LAG_INTERVAL`` seconds.

        ``lag``: the seconds by which the event loop was late. ``opened``: the number of open connections.
        """
        self._pace.tick(lag)
        if self._memory is not None:
            self._memory.tick(opened)
