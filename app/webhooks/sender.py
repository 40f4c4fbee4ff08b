"""Sends the events of outboxes: those of one session in order and one at a time, those of several at once."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from app.background import Background
from app.http_client import request
from app.observability.logging import log_bug
from app.observability.metrics import Metrics
from app.sessions.errors import SessionError
from app.store.outboxes import Outboxes, OutboxEvent
from app.webhooks.events import body_of
from app.webhooks.signature import signed_headers

__all__ = ["WebhookSender"]

_INTERVAL_SECONDS: Final = 0.5
_TIMEOUT_SECONDS: Final = 5.0
_READ_BYTES: Final = 1024
# Longer than an attempt takes, with the calls to Redis before and after it.
_CLAIM_SECONDS: Final = 20.0
_MAX_CONCURRENT: Final = 16
_FIRST_PAUSE_MILLISECONDS: Final = 1000.0

_logger = logging.getLogger(__name__)


class WebhookSender:
    """Sends events to ``url``. Each attempt is signed with the secrets that ``secrets`` returns then.

    An event that fails is sent again after a pause that grows with its age, up to ``longest_pause`` seconds.
    """

    def __init__(
        self,
        outboxes: Outboxes,
        url: str,
        secrets: Callable[[], Sequence[str]],
        metrics: Metrics,
        *,
        longest_pause: float,
    ) -> None:
        self._outboxes = outboxes
        self._url = url
        self._secrets = secrets
        self._metrics = metrics
        self._longest_pause = longest_pause * 1000
        self._tls = ssl.create_default_context() if url.startswith("https:") else None
        self._sending = 0
        self._background = Background("webhooks", _logger)

    async def send(self) -> None:
        """Send forever what any replica has left in the outboxes."""
        while True:
            self._outboxes.woken.clear()
            try:
                await self._begin()
                since = await self._outboxes.waiting_since()
                age = 0 if since is None else max(0, self._outboxes.now() - since)
                self._metrics.webhook_age.set(age / 1000)
            except SessionError:
                pass
            except Exception as error:
                log_bug(_logger, "looking for events to send has failed", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL_SECONDS):
                    await self._outboxes.woken.wait()

    async def close(self) -> None:
        """Abandon attempts under way: other replicas repeat them."""
        await self._background.close()

    async def _begin(self) -> None:
        """Begin to send the next events, as many as may be under way."""
        if free := _MAX_CONCURRENT - self._sending:
            due = await self._outboxes.claim(free, _CLAIM_SECONDS)
            for code in due.codes:
                self._sending += 1
                self._background.start(self._attend(code, due.claim))

    async def _attend(self, code: str, claim: int) -> None:
        try:
            # If Redis fails, the outbox becomes due again when the claim expires.
            with suppress(SessionError):
                await self._outboxes.settle(code, claim, await self._attempt(code))
        finally:
            self._sending -= 1
            self._outboxes.woken.set()

    async def _attempt(self, code: str) -> int:
        """Try to send the oldest event of an outbox; return when the next attempt is due, 0 if none is."""
        outboxes = self._outboxes
        event = await outboxes.oldest(code)
        if event is None:
            return 0
        age = outboxes.now() - event.at
        if age > outboxes.kept:
            result = "dropped"
        elif await self._is_taken(code, event):
            result = "delivered"
        else:
            self._metrics.webhook_events.labels("failed").inc()
            pause = min(max(age, _FIRST_PAUSE_MILLISECONDS), self._longest_pause)
            # At the latest when the event is to be dropped.
            return outboxes.now() + round(min(random.uniform(pause / 2, pause), outboxes.kept - age + 1))  # noqa: S311
        await outboxes.remove(code, event)
        self._metrics.webhook_events.labels(result).inc()
        return outboxes.now() if await outboxes.oldest(code) else 0

    async def _is_taken(self, code: str, event: OutboxEvent) -> bool:
        body = body_of(code, event)
        try:
            headers = signed_headers(event.id, round(time.time()), body, self._secrets())
            response = await request(
                "POST",
                self._url,
                headers=[(b"Content-Type", b"application/json"), *headers],
                body=body,
                timeout=_TIMEOUT_SECONDS,
                tls=self._tls,
                most=_READ_BYTES,
            )
        except (ConnectionError, ValueError) as error:
            _logger.warning("the receiver of webhooks does not take an event", extra={"reason": str(error)})
            return False
        if 200 <= response.status < 300:
            return True
        _logger.warning("the receiver of webhooks does not take an event", extra={"status": response.status})
        return False
