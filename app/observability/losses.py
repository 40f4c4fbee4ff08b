"""Reports that Redis has lost data."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final, Literal

from app.observability.metrics import Metrics

__all__ = ["Loss", "Losses"]

Loss = Literal["everything", "session", "changes"]

_MESSAGES: Final[dict[Loss, str]] = {
    "everything": "Redis has lost all data: every session has ended",
    "session": "Redis has lost sessions: their members were told that they have ended",
    "changes": "Redis has lost acknowledged changes of sessions: their members were sent the earlier state",
}

_logger = logging.getLogger(__name__)


class Losses:
    """Counts losses of data in Redis, and logs them together, because one cause may concern all sessions."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._unlogged: Counter[Loss] = Counter()

    def note(self, loss: Loss) -> None:
        """Count a loss: of ``everything``, of one ``session``, or of acknowledged ``changes`` of one session."""
        self._metrics.redis_losses.labels(loss).inc()
        self._unlogged[loss] += 1

    def log(self) -> None:
        """Log what was lost since the last call, one line for each kind of loss."""
        for loss, count in self._unlogged.items():
            _logger.error(_MESSAGES[loss], extra={"count": count})
        self._unlogged.clear()
