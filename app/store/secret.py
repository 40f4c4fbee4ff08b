"""The deployment's secret, kept in Redis where no setting gives one."""

from __future__ import annotations

import secrets

from app.sessions.errors import SessionError
from app.store import keys
from app.store.connection import Connection
from app.store.sessions import answering

__all__ = ["DeploymentSecret"]


class DeploymentSecret:
    """One secret for all replicas: the one given, or the first that any of them has put into Redis."""

    def __init__(self, connection: Connection, given: bytes | None) -> None:
        self._connection = connection
        self._secret = given

    def __call__(self) -> bytes:
        """The secret; raises ``unavailable`` before it is known."""
        if self._secret is None:
            raise SessionError("unavailable")
        return self._secret

    async def load(self) -> None:
        """Learns the secret from Redis; raises ``SessionError`` while Redis is away."""
        if self._secret is not None:
            return
        ours = secrets.token_hex(32).encode()
        with answering(changing=True):
            await self._connection.execute("SET", keys.SECRET, ours, "NX")
            self._secret = await self._connection.execute("GET", keys.SECRET)
