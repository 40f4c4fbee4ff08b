"""Redis Sentinel: commands go to the primary that the sentinels report."""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Final

from app.background import Background
from app.redis_client.errors import StoreError, StoreUnavailable
from app.redis_client.link import Link, Pushed, pack
from app.redis_client.logins import Logins
from app.redis_client.topology import SHARE_OF_TIMEOUT, Single, ask
from app.redis_client.url import Address

__all__ = ["Sentinel"]

_logger = logging.getLogger(__name__)

# A primary that was replaced on purpose, or was only cut off, keeps its role for ten seconds or more. Data written to
# it meanwhile is lost.
_WATCH_PERIOD_SECONDS: Final = 1.0


class Sentinel(Single):
    """The topology of a Sentinel service: links go to the primary that the sentinels report."""

    def __init__(self, logins: Logins, *, timeout: float) -> None:
        super().__init__(logins, timeout=timeout)
        self._sentinels = list(logins.url.addresses)
        self._primary: Address | None = None
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()
        self._background = Background("sentinels", _logger)
        self._is_watching = False

    async def close(self) -> None:
        await self._background.close()
        await super().close()

    async def _open(self, on_push: Pushed | None = None) -> Link:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._open_primary(on_push)
        except TimeoutError as error:
            raise StoreUnavailable("timeout", "no primary found in time", sent=False) from error

    async def _open_primary(self, on_push: Pushed | None) -> Link:
        primary = await self._ask_sentinels()
        link = await self._open_at(primary, on_push)
        try:
            role = await link.send(pack(("ROLE",)), asyncio.get_running_loop().time() + self._timeout)
            if not isinstance(role, list) or role[0] != b"master":
                raise StoreUnavailable("readonly", f"{primary} is not the primary any more", sent=False)
        except StoreError as error:
            link.abort()
            raise StoreUnavailable("readonly", str(error), sent=False) from error
        except BaseException:
            link.abort()
            raise
        self._follow(primary)
        self._links.add(link)
        if not self._is_watching:
            self._is_watching = True
            self._background.start(self._watch())
        return link

    def _follow(self, primary: Address) -> None:
        if primary == self._primary:
            return
        if self._primary is not None:
            _logger.warning("Sentinel reports a new primary", extra={"server": str(primary)})
            for link in self._links:
                link.retire()
        self._primary = primary

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_PERIOD_SECONDS)
            try:
                self._follow(await self._ask_sentinels())
            except StoreUnavailable:
                # No sentinel answers: keep using the links that work.
                continue

    async def _ask_sentinels(self) -> Address:
        failure = StoreUnavailable("refused", "no sentinel answers", sent=False)
        for sentinel in list(self._sentinels):
            try:
                return await self._ask(sentinel)
            except StoreUnavailable as error:
                failure = error
                # Ask it last next time.
                self._sentinels.remove(sentinel)
                self._sentinels.append(sentinel)
        raise failure

    async def _ask(self, sentinel: Address) -> Address:
        service = self.logins.url.service
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
        reply = await self.logins.use(
            lambda url: ask(sentinel, url.sentinel_login, command, timeout=self._timeout / SHARE_OF_TIMEOUT)
        )
        match reply:
            case [bytes() as host, bytes() as port] if port.isdigit():
                return Address(host.decode(), int(port))
        raise StoreUnavailable("refused", f"sentinel {sentinel} knows no service {service!r}", sent=False)
