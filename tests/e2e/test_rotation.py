"""The password of Redis and the secret that signs tokens change under a crowd of stock clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from tests.e2e.cluster import RELEASE, Cluster, say
from tests.e2e.crowd import Crowd, crowd
from tests.e2e.drilled import drilled, weekly
from tests.harness.node import NodeClients

pytestmark = weekly(900)

LIMIT: Final = 3.0
# Clients may be moved by the failed roll as well as by the next one.
LIMIT_WITH_FAILURE: Final = 5.0
# The password of the Secret that is not the chart's.
LOGIN: Final = "redis-login"
OLD, NEW = "old" * 12, "new" * 12


async def upgrade(kind: Cluster, *values: str) -> None:
    await kind.install(*(option for value in values for option in ("--set-string", value)))


async def rollback(kind: Cluster) -> None:
    await kind.helm("rollback", RELEASE, "--wait", "--timeout", "240s")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(kind: Cluster, node: NodeClients) -> AsyncIterator[Crowd]:
    await upgrade(kind, f"secrets.secret={OLD}", "redis.auth.password=first")
    say("a hundred clients join")
    async with crowd(node, kind.url) as gathered:
        yield gathered


async def test_the_password_of_redis_changes_by_a_value_and_back(kind: Cluster, people: Crowd) -> None:
    server = await server_of(kind)
    secret = f"secrets.secret={OLD}"
    await drilled("password_changed", people, upgrade(kind, secret, "redis.auth.password=second"), LIMIT)
    assert await server_of(kind) == server
    assert await accepted(kind) == {"second"}
    await drilled("password_rolled_back", people, rollback(kind), LIMIT)
    assert await server_of(kind) == server
    assert await accepted(kind) == {"first"}


async def test_a_failed_upgrade_leaves_both_passwords_and_can_be_repeated(kind: Cluster, people: Crowd) -> None:
    server = await server_of(kind)
    secret = f"secrets.secret={OLD}"

    async def fails_and_is_repeated() -> None:
        with pytest.raises(AssertionError):
            await kind.install(
                *("--set-string", secret, "--set-string", "redis.auth.password=third", "--set", "image.tag=missing"),
                seconds=40,
            )
        assert await accepted(kind) == {"first", "third"}
        await upgrade(kind, secret, "redis.auth.password=third")

    await drilled("password_after_failure", people, fails_and_is_repeated(), LIMIT_WITH_FAILURE)
    assert await server_of(kind) == server
    assert await accepted(kind) == {"third"}


async def test_an_existing_secret_changes(kind: Cluster, people: Crowd) -> None:
    values = (f"secrets.secret={OLD}", f"redis.auth.existingSecret={LOGIN}")
    await write_login(kind, "third")
    await upgrade(kind, *values)
    await people.settled()
    server = await server_of(kind)

    async def changed() -> None:
        await write_login(kind, "fourth")
        await upgrade(kind, *values)

    await drilled("existing_secret_changed", people, changed(), LIMIT)
    assert await server_of(kind) == server
    assert await accepted(kind) == {"fourth"}


async def test_the_list_of_secrets_changes_by_one_upgrade(kind: Cluster, people: Crowd) -> None:
    """Of the crowd nobody gets 401 or 403, which would end it."""
    values = (f"secrets.secret={NEW}\\,{OLD}", f"redis.auth.existingSecret={LOGIN}")
    await drilled("secrets_changed", people, upgrade(kind, *values), LIMIT)
    # The new one signs after a lease; what it signs is good at all replicas.
    await asyncio.sleep(20)
    await people.settled()
    for session in people.sessions:
        for client in session.clients:
            ack = await client.emit("join-session", session.code, ack=True)
            assert ack["ok"], ack


async def write_login(kind: Cluster, password: str) -> None:
    url = f"redis://:{password}@{RELEASE}-redis:6379/0"
    await kind.kubectl("delete", "secret", LOGIN, "--ignore-not-found")
    await kind.kubectl(
        *("create", "secret", "generic", LOGIN),
        *(f"--from-literal=redis-password={password}", f"--from-literal=redis-url={url}"),
    )


async def server_of(kind: Cluster) -> tuple[str, int]:
    """The pod of Redis and how often its container was started again."""
    [pod] = await kind.objects("pods", "-l", "app.kubernetes.io/name=redis")
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


async def accepted(kind: Cluster) -> set[str]:
    script = 'for each in first second third fourth; do echo "$each $(REDISCLI_AUTH=$each valkey-cli ping 2>&1)"; done'
    said = await kind.kubectl("exec", f"{RELEASE}-redis-0", "-c", "redis", "--", "sh", "-c", script)
    return {line.split()[0] for line in said.splitlines() if line.endswith("PONG")}
