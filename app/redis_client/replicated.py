"""Several servers of which one is the primary, such as a Redis and the one that is to take its place."""

from __future__ import annotations

import asyncio

from app.redis_client.errors import StoreUnavailable
from app.redis_client.link import Link, Pushed
from app.redis_client.topology import SHARE_OF_TIMEOUT, Single, ask
from app.redis_client.url import Address

__all__ = ["Replicated"]


class Replicated(Single):
    """The topology of several addresses: links go to the server that is the primary.

    While two servers are, none is used, because one of them will be made a copy of the other and lose its changes.
    """

    async def _open(self, on_push: Pushed | None = None) -> Link:
        return await self._open_at(await self._primary(), on_push)

    async def _primary(self) -> Address:
        addresses = self.logins.url.addresses
        roles = await asyncio.gather(*(self._role(address) for address in addresses))
        primaries = [address for address, role in zip(addresses, roles, strict=True) if role == b"master"]
        if len(primaries) == 1:
            return primaries[0]
        if primaries:
            raise StoreUnavailable("readonly", f"{len(primaries)} of the servers are primaries", sent=False)
        failures = [role for role in roles if isinstance(role, StoreUnavailable)]
        raise failures[0] if failures else StoreUnavailable("readonly", "no server is a primary", sent=False)

    async def _role(self, address: Address) -> object:
        """Return the server's role, or why it is unknown."""
        timeout = self._timeout / SHARE_OF_TIMEOUT
        try:
            reply = await self.logins.use(lambda url: ask(address, url.login, ("ROLE",), timeout=timeout))
        except StoreUnavailable as error:
            return error
        return reply[0] if isinstance(reply, list) and reply else None
