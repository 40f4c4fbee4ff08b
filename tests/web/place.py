"""Where the people of these tests meet: a service, a browser, and a network that can be broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.harness.chromium import Browser, Screen
from tests.harness.proxy import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.service import Replica
from tests.web.visitor import DESKTOP, Visitor

__all__ = ["NETWORK", "Place", "guest_of", "host_with_movies"]

# Nothing of the page itself: what the browser says of a network that is not there.
NETWORK: Final = ("net::ERR_", "WebSocket connection to")


@dataclass(frozen=True)
class Place:
    """A browser and a service; `proxied` is the address of the second replica by a network that can be broken."""

    browser: Browser
    redis: RedisServer
    replicas: list[Replica]
    network: FaultProxy

    @property
    def url(self) -> str:
        return self.replicas[0].url

    @property
    def proxied(self) -> str:
        return f"http://127.0.0.1:{self.network.port}"


async def host_with_movies(place: Place, *movies: str, url: str | None = None) -> tuple[Visitor, str]:
    """Somebody who has created a session; its code."""
    host = await Visitor.at(place.browser, url or place.url)
    await host.write("#create-title", "Friday")
    await host.write("#create-name", "Anna")
    await host.press("Enter")
    await host.sees_text("#room-heading", "Friday")
    if movies:
        await host.write("#add-title", "\n".join(movies))
        await host.press("Enter")
        await host.sees(f"$$('.movie').length == {len(movies)}")
    code: str = await host.read("location.hash.slice(1)")
    return host, code


async def guest_of(place: Place, code: str, name: str, *, url: str | None = None, screen: Screen = DESKTOP) -> Visitor:
    """Somebody who came by the link."""
    guest = await Visitor.at(place.browser, f"{url or place.url}/#{code}", screen)
    await guest.sees_text("#start-heading", "You are invited")
    await guest.write("#join-name", name)
    await guest.press("Enter")
    await guest.sees_text("#people", f"{name} (you)")
    return guest
