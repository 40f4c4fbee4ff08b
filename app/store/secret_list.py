"""The deployment's secrets, if they are configured: a list, the newest first.

While a rolling upgrade changes the list, some replicas know secrets that others do not. Each replica therefore tells
the others, with its lease, the ids of those that it knows, and signs with the newest that all of them know.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from app.store.replicas import RedisReplicas

__all__ = ["SECRETS", "ListedSecrets"]

# The field of a replica's details in Redis that has the ids.
SECRETS: Final = "secrets"

_logger = logging.getLogger(__name__)


class ListedSecrets:
    """The secrets that ``read`` returns, newest first; it is called again with each renewal of the lease.

    A newer secret signs when all replicas have known it for ``delay`` seconds: after an outage of Redis, replicas
    appear one after another. If no secret is known to all, the oldest signs: replicas of releases without lists tell no
    ids, and have the secret to which newer ones were added.
    """

    def __init__(self, replicas: RedisReplicas, read: Callable[[], Sequence[bytes]], *, delay: float) -> None:
        self._replicas = replicas
        self._read = read
        self._delay = delay
        self._listed = tuple(read())
        self._signing = self._listed[-1]
        self._heard_at: float | None = None
        # The secrets that all replicas know, and since when.
        self._since: dict[bytes, float] = {}
        self._failed = ""

    def __call__(self) -> bytes:
        """Return the secret for signing."""
        return self._signing

    def others(self) -> Sequence[bytes]:
        """Return the other secrets, whose signatures are valid as well."""
        return tuple(secret for secret in self._listed if secret != self._signing)

    def announced(self) -> str:
        """Read the list again; return the ids of all known secrets for the other replicas."""
        self._read_again()
        return " ".join(map(_id, self._listed))

    async def keep(self) -> None:
        """Choose the secret for signing by what the other replicas know; raises ``SessionError``."""
        heard = self._replicas.heard
        if heard is None or time.monotonic() - heard.at > self._delay / 2:
            await self._replicas.living()
            heard = self._replicas.heard
        if heard is not None and heard.at != self._heard_at:
            self._choose(heard.living, heard.at)
            self._heard_at = heard.at

    def _choose(self, living: Mapping[str, Mapping[str, str]], now: float) -> None:
        others = [told.get(SECRETS, "").split() for name, told in living.items() if name != self._replicas.name]
        common = [secret for secret in self._listed if all(_id(secret) in known for known in others)]
        # What is common when this replica starts was common before.
        first = float("-inf") if self._heard_at is None else now
        self._since = {secret: self._since.get(secret, first) for secret in common}
        settled = [secret for secret in common if now - self._since[secret] >= self._delay]
        signing = (settled or common[-1:] or self._listed[-1:])[0]
        if signing != self._signing and self._heard_at is not None:
            _logger.info("another secret of the list signs", extra={"secret": _id(signing)})
        self._signing = signing

    def _read_again(self) -> None:
        try:
            found = self._read()
            self._failed = ""
        except ValueError as error:
            if str(error) != self._failed:
                self._failed = str(error)
                _logger.warning("the secrets cannot be read again", extra={"reason": self._failed})
            return
        # What is listed no longer stays valid here until the replica ends: others may still sign with it.
        self._listed = tuple(dict.fromkeys((*found, *self._listed)))


def _id(secret: bytes) -> str:
    return hmac.digest(secret, b"id", hashlib.sha256).hex()[:16]
