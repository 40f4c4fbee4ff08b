"""Maps recovery ids to participants, so that a client can reconnect to any replica."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.redis_client.client import RedisClient
from app.redis_client.errors import reading_reply
from app.redis_client.reply import text
from app.sessions.tokens import Credential
from app.store.batches import run_batch
from app.store.client_errors import client_errors
from app.store.keys import Keys

__all__ = ["Recovery", "RedisRecoveries"]

_VOID: Final = b"void"
# In place of a participant's id; see scripts/session/_people.lua.
_OBSERVERS: Final = "~"


@dataclass(frozen=True, slots=True)
class Recovery:
    """``membership_id``: the membership for which the id is valid. ``code`` is empty if the id is void.

    ``patches``: whether its client takes patches.
    """

    code: str
    instance: str
    participant: str
    membership_id: int
    patches: bool = False

    @property
    def observes(self) -> bool:
        """Whether its client only watches, as no participant."""
        return self.participant == _OBSERVERS


class RedisRecoveries:
    """The map from recovery ids to sessions. Only the session itself knows whether an id is still valid.

    ``quarantine``: seconds for which a void id is remembered, so that its client is not sent the reason again.
    """

    def __init__(self, client: RedisClient, keys: Keys, *, quarantine: float) -> None:
        self._client = client
        self._keys = keys
        self._quarantine = max(1, round(quarantine * 1000))

    async def get(self, recovery_id: str) -> Recovery | None:
        with client_errors(changing=False):
            entry = await self._client.execute("GET", self._keys.recovery(recovery_id))
            if entry is None:
                return None
            if entry == _VOID:
                return Recovery("", "", "", 0)
            with reading_reply():
                code, instance, participant, membership_id = text(entry).split(" ")
                return Recovery(code, instance, participant, int(membership_id), membership_id.startswith("+"))

    async def put(
        self,
        recovery_id: str,
        code: str,
        credential: Credential,
        membership_id: int,
        *,
        patches: bool,
        free_at: int,
    ) -> None:
        """Store a recovery id. ``free_at``: when the session's code becomes free, Unix milliseconds."""
        # The sign is that of a client that takes patches. Replicas of the version before read the number.
        entry = f"{code} {credential.instance} {credential.subject} {'+' if patches else ''}{membership_id}"
        with client_errors(changing=True):
            commands: list[tuple[str | int, ...]] = [
                ("SET", self._keys.recovery(recovery_id), entry, "PXAT", free_at),
                ("HEXISTS", self._keys.connections(code), f"r:{recovery_id}"),
            ]
            _, is_known = await run_batch(self._client, commands)
            if not is_known:
                # Meanwhile the participant got newer ids or has gone.
                await self._client.execute("UNLINK", self._keys.recovery(recovery_id))

    async def void(self, recovery_id: str) -> None:
        """Void an id whose client was sent the reason."""
        with client_errors(changing=True):
            await self._client.execute("SET", self._keys.recovery(recovery_id), _VOID, "XX", "PX", self._quarantine)
