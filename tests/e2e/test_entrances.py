"""Other ways in than the Ingress over plain HTTP, which the drills use; and the way out."""

from __future__ import annotations

import re

import pytest

from tests.e2e.cluster import RELEASE, ROOT, Cluster, command
from tests.e2e.crowd import crowd
from tests.e2e.images import IMAGE
from tests.harness.node import NodeClients

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_https_and_wss_work_as_well(release: Cluster, node: NodeClients) -> None:
    async with crowd(node, release.tls_url, clients=12, rejectUnauthorized=False) as few:
        await few.settled()
        await few.nothing_is_lost()


async def test_an_http_route_serves_without_stickiness(release: Cluster, node: NodeClients) -> None:
    gateway = "httpRoute.parentRefs[0].name=traefik,httpRoute.parentRefs[0].namespace=traefik"
    await release.install("--set", f"ingress.enabled=false,httpRoute.enabled=true,{gateway}")
    async with crowd(node, release.url, clients=30) as some:
        await some.settled()
        await some.nothing_is_lost()


async def test_uninstalling_leaves_only_what_the_notes_say(release: Cluster) -> None:
    notes = await release.helm("get", "notes", RELEASE)
    await release.helm("uninstall", RELEASE, "--wait")
    await release.kubectl("wait", "--for=delete", "pod", "--all", "--timeout=120s", timeout=140)
    kinds = "all,configmap,secret,serviceaccount,ingress,httproute,pdb,hpa,networkpolicy,pvc,role,rolebinding,job"
    left = (await release.kubectl("get", kinds, "-o", "name")).split()
    expected = {"configmap/kube-root-ca.crt", "serviceaccount/default", f"persistentvolumeclaim/data-{RELEASE}-redis-0"}
    assert set(left) == expected
    assert f"kubectl delete pvc data-{RELEASE}-redis-0" in notes


async def test_the_commands_of_the_operations_page_work_one_after_the_other(kind: Cluster) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    repository, _, tag = IMAGE.partition(":")
    page = page.replace("REGISTRY/join-session", f"{repository} --set image.tag={tag}")
    script = "set -e\n" + "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    said = await command("sh", "-c", script, timeout=600)
    for outcome in (
        "STATUS: deployed",
        "Succeeded",
        "secret/join-session-redis-login created",
        'release "join-session" uninstalled',
        '"data-join-session-redis-0" deleted',
    ):
        assert outcome in said
    await command("kubectl", "--context", f"kind-{kind.name}", "delete", "namespace", "movies")
