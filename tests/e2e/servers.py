"""Redis servers that are not the chart's: deployed by a manifest, and spoken to inside their pods."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.e2e.cluster import RELEASE, Cluster, say
from tests.harness.topologies import documented_user

__all__ = ["ADMINISTRATOR", "LOGIN", "ask", "install_with", "lost", "servers"]

# Of the service, who may do what the documentation says.
LOGIN: Final = "join-session:of-the-service"
ADMINISTRATOR: Final = "of-the-administrator"

_USER, _PASSWORD = LOGIN.split(":")


@asynccontextmanager
async def servers(kind: Cluster, name: str, rights: str) -> AsyncIterator[None]:
    """Deploys redis_NAME.yaml; at the end the release, which has used its servers, goes with them, and all data.

    `rights` are those that the service needs besides the documented ones.
    """
    say(f"deploying a Redis: {name}")
    manifest = str(Path(__file__).parent / f"redis_{name}.yaml")
    everybody = f"user default on >{ADMINISTRATOR} ~* &* +@all\nuser {_USER} on >{_PASSWORD} "
    users = {
        "administrator": ADMINISTRATOR,
        "users.acl": f"{everybody}{documented_user()} {rights}\n",
        "sentinels.acl": f"{everybody}-@all +sentinel|get-master-addr-by-name\n",
    }
    literals = (f"--from-literal={key}={text}" for key, text in users.items())
    try:
        await kind.kubectl("create", "secret", "generic", "redis-users", *literals)
        await kind.kubectl("apply", "-f", manifest)
        await kind.kubectl("rollout", "status", f"statefulset/redis-{name}", "--timeout=120s", timeout=140)
        yield
    finally:
        await kind.report(name)
        await kind.helm("uninstall", RELEASE, "--ignore-not-found", "--wait")
        await kind.kubectl("delete", "-f", manifest, "--ignore-not-found", "--wait=true")
        await kind.kubectl("delete", "secret", "redis-users", "redis-url", "--ignore-not-found")
        await kind.kubectl("delete", "pvc", "--all", "--wait=true")


async def install_with(kind: Cluster, url: str, *values: str) -> None:
    """Installs or upgrades the release with an external Redis."""
    await kind.kubectl("delete", "secret", "redis-url", "--ignore-not-found")
    await kind.kubectl("create", "secret", "generic", "redis-url", f"--from-literal=redis-url={url}")
    external = "externalRedis.existingSecret=redis-url,externalRedis.keyPrefix=js"
    await kind.install("--set", ",".join((external, *values)))


async def ask(kind: Cluster, pod: str, *command: str) -> str:
    """What the server in a pod answers to its administrator."""
    return (await kind.kubectl("exec", pod, "-c", "redis", "--", "valkey-cli", *command)).strip()


@asynccontextmanager
async def lost(kind: Cluster, pod: str) -> AsyncIterator[None]:
    """A pod is deleted by force, and its node takes none, so that it stays away until the end."""
    node = await kind.kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
    await kind.kubectl("cordon", node)
    try:
        await kind.kubectl("delete", "pod", pod, "--force", "--grace-period=0")
        yield
    finally:
        await kind.kubectl("uncordon", node)
    await kind.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=120s", timeout=140)
