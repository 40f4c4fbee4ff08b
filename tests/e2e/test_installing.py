"""Helm 3 and 4 as platform teams use them: with few rights, into a namespace still to be made, under an autoscaler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.e2e.cluster import ROOT, Cluster, command, say
from tests.packaging.tools import HELMS, helm

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]

CHART: Final = str(ROOT / "charts" / "join-session")
VALUES: Final = str(Path(__file__).parent / "values.yaml")
NAME: Final = "tenant"
# So nobody has to be sent away.
WITHOUT_CLIENTS: Final = "ingress.enabled=false,drain.seconds=1,drain.preStopSleepSeconds=0,minReadySeconds=0"


class Tenant:
    """A release in a namespace of its own, both named "tenant"."""

    def __init__(self, kind: Cluster, program: Path) -> None:
        self.program = str(program)
        self._context = f"kind-{kind.name}"

    async def kubectl(self, *arguments: str) -> str:
        return await command("kubectl", "--context", self._context, "-n", NAME, *arguments, timeout=240)

    async def helm(self, *arguments: str) -> str:
        return await command(self.program, "--kube-context", self._context, "-n", NAME, *arguments, timeout=300)

    async def password(self) -> str:
        return await self.kubectl("get", "secret", f"{NAME}-redis", "-o", "jsonpath={.data.redis-password}")

    async def gone(self) -> None:
        await self.kubectl("delete", "namespace", NAME, "--ignore-not-found", "--wait=true")

    @asynccontextmanager
    async def watched_replicas(self) -> AsyncIterator[list[int]]:
        """Each number of replicas that the Deployment is told to have meanwhile."""
        wanted = ("get", "deployment", f"{NAME}-join-session", "--watch", "-o", 'jsonpath={.spec.replicas}{"\\n"}')
        words = ("kubectl", "--context", self._context, "-n", NAME, *wanted)
        process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        seen = [int(await asyncio.wait_for(process.stdout.readline(), 30))]

        async def read(lines: asyncio.StreamReader) -> None:
            while line := await lines.readline():
                seen.append(int(line))

        reading = asyncio.create_task(read(process.stdout))
        try:
            yield seen
        finally:
            process.terminate()
            await process.wait()
            await reading


@pytest_asyncio.fixture(loop_scope="session", params=HELMS)
async def tenant(kind: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Tenant]:
    made = Tenant(kind, helm(request.param))
    await made.gone()
    yield made
    await made.gone()


async def made_by_an_administrator(tenant: Tenant) -> tuple[str, ...]:
    return ("--create-namespace",)


async def made_by_who_may_edit_one_namespace(tenant: Tenant) -> tuple[str, ...]:
    await tenant.kubectl("create", "namespace", NAME)
    await tenant.kubectl("create", "serviceaccount", "installer")
    rights = ("create", "rolebinding", "installer", "--clusterrole=edit", f"--serviceaccount={NAME}:installer")
    await tenant.kubectl(*rights)
    return ("--kube-as-user", f"system:serviceaccount:{NAME}:installer")


@pytest.mark.parametrize("prepared", [made_by_an_administrator, made_by_who_may_edit_one_namespace])
async def test_a_random_password_is_made_once(
    tenant: Tenant, prepared: Callable[[Tenant], Awaitable[tuple[str, ...]]]
) -> None:
    options = (*await prepared(tenant), "--set", "replicaCount=0,podDisruptionBudget.enabled=false")
    await tenant.helm("install", NAME, CHART, *options)
    password = await tenant.password()
    assert len(password) > 40
    await tenant.helm("upgrade", NAME, CHART, *options)
    assert await tenant.password() == password


@pytest.mark.drill_weekly
async def test_an_autoscaler_is_switched_on_and_off_without_a_replica_less(tenant: Tenant) -> None:
    async def deployed(*values: str, by: tuple[str, ...] = ()) -> None:
        say(f"{Path(tenant.program).parent.name}: {values}")
        given = [part for value in values for part in ("--set-string" if "podLabels" in value else "--set", value)]
        options = ("-f", VALUES, "--set", WITHOUT_CLIENTS, *given)
        await tenant.helm("upgrade", "--install", NAME, CHART, "--create-namespace", *options, "--wait", *by)

    scaled = "autoscaling.enabled=true,autoscaling.minReplicas=2,autoscaling.maxReplicas=5"
    await deployed("replicaCount=3")
    async with tenant.watched_replicas() as replicas:
        await deployed(scaled)
        await deployed(scaled, "podLabels.upgrade=first")
        assert set(replicas) == {3}
        # As the autoscaler does.
        await tenant.kubectl("scale", "deployment", f"{NAME}-join-session", "--replicas=4")
        await deployed(scaled, "podLabels.upgrade=second")
        # Helm 4 sees that the number was another's to set.
        forced = ("--force-conflicts",) if tenant.program == str(helm("helm4")) else ()
        await deployed("replicaCount=5", "podLabels.upgrade=second", by=forced)
    assert sorted(replicas) == replicas
    assert replicas[-1] == 5
    scalers = await tenant.kubectl("get", "horizontalpodautoscaler", "-o", "name")
    assert scalers == ""
