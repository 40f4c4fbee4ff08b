"""Passwords change while a client runs: a refused login is read again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.redis_client.client import RedisClient
from app.redis_client.errors import StoreUnavailable
from app.redis_client.logins import Logins
from app.redis_client.pubsub import Channels
from app.secret_files import secret_now
from tests.harness.redis import RedisServer
from tests.harness.waiting import until

USERS = ["app on >first ~* &* +@all"]


@asynccontextmanager
async def connected(server: RedisServer, read: Callable[[], str | None]) -> AsyncIterator[RedisClient]:
    client = RedisClient.connect(server.url("app:first"), read_again=read)
    try:
        yield client
    finally:
        await client.close()


async def replace_password(server: RedisServer) -> None:
    await server.call("ACL", "SETUSER", "app", "resetpass", ">second")
    await server.call("CLIENT", "KILL", "USER", "app")


async def test_a_refused_login_is_read_from_the_file_again_before_a_call_fails(tmp_path: Path) -> None:
    async with RedisServer(users=USERS) as server:
        file = tmp_path / "url"
        file.write_text(server.url("app:first"))
        async with connected(server, lambda: secret_now("redis_url", file, None)) as client:
            await client.ping()
            file.write_text(f"{server.url('app:second')}\n")
            await client.ping()
            await replace_password(server)
            await client.ping()
            assert client.topology.logins.url.login.password == "second"


async def test_subscriptions_are_restored_with_the_new_password() -> None:
    async with RedisServer(users=USERS) as server:
        gaps: list[frozenset[str]] = []
        async with connected(server, lambda: server.url("app:second")) as client:
            channels = Channels(client, on_message=lambda *_: None, on_gap=gaps.append)
            await channels.start()
            await channels.subscribe("a")
            await replace_password(server)

            async def restored() -> bool:
                return bool(gaps) and channels.healthy

            await until(restored, "the subscription is back", timeout=5)
            await channels.close()


async def test_a_login_that_works_is_kept_while_another_one_is_configured() -> None:
    async with (
        RedisServer(users=USERS) as server,
        connected(server, lambda: server.url("app:not-yet")) as client,
    ):
        await client.ping()
        await server.call("CLIENT", "KILL", "USER", "app")
        await client.ping()


@pytest.mark.parametrize(
    "configured", ["redis://app:second@127.0.0.1:1", "no URL", None], ids=["elsewhere", "no URL", "nothing"]
)
async def test_only_another_login_at_the_same_place_is_tried(configured: str | None) -> None:
    async with RedisServer(users=USERS) as server, connected(server, lambda: configured) as client:
        await client.ping()
        await replace_password(server)
        with pytest.raises(StoreUnavailable, match="denied"):
            await client.ping()


def test_the_id_of_a_password_is_that_of_the_configured_one() -> None:
    logins = Logins("redis://:first@h", lambda: "redis://:second@h")
    assert hashlib.sha256(b"second").hexdigest().startswith(logins.password_id())
    assert Logins("redis://h").password_id() == ""
