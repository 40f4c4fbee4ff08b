"""Which participant a recovery id continues, whichever replica a client comes back to."""

from __future__ import annotations

from dataclasses import dataclass

from app.sessions.tokens import Credential
from app.store import keys
from app.store.connection import Connection
from app.store.sessions import answering

__all__ = ["Recovery", "RedisRecoveries"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """``stay``: since which joining of the participant the id is good."""

    code: str
    instance: str
    participant: str
    stay: int


class RedisRecoveries:
    """A pointer from recovery ids to sessions; whether an id is void is known to the session alone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, recovery_id: str) -> Recovery | None:
        with answering(changing=False):
            entry = await self._connection.execute("GET", keys.recovery(recovery_id))
            if entry is None:
                return None
            code, instance, participant, stay = entry.decode().split(" ")
            return Recovery(code, instance, participant, int(stay))

    async def put(self, recovery_id: str, code: str, credential: Credential, stay: int, expires_at: int) -> None:
        """``expires_at``: Unix milliseconds."""
        entry = f"{code} {credential.instance} {credential.subject} {stay}"
        with answering(changing=True):
            await self._connection.execute("SET", keys.recovery(recovery_id), entry, "PXAT", expires_at)

    async def forget(self, recovery_id: str) -> None:
        with answering(changing=True):
            await self._connection.execute("UNLINK", keys.recovery(recovery_id))
