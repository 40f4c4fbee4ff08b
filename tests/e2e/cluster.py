"""A kind cluster with the service on it, driven by the commands that its users type."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.e2e.images import IMAGE, PREVIOUS_IMAGE, build_images

__all__ = ["NAMESPACE", "RELEASE", "ROOT", "Cluster", "CommandFailed", "cluster", "command"]

ROOT: Final = Path(__file__).parent.parent.parent
REPORT: Final = ROOT / ".cache" / "e2e"
# Where the example of monitoring looks for the replicas.
NAMESPACE: Final = "join-session"
RELEASE: Final = "join-session"
IMAGES: Final = ("valkey/valkey:8.1", "prom/prometheus:v2.53.3")

_NAME: Final = "join-session-e2e"
_TRAEFIK: Final = ("oci://ghcr.io/traefik/helm/traefik", "--version=41.3.0")
_GATEWAY_API: Final = "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.1/standard-install.yaml"


class CommandFailed(AssertionError):
    """A command that failed, with all that it said."""


class Cluster:
    """The cluster of the current kubectl context. All commands work in one namespace, which enforces "restricted"."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.url = "http://localhost:8081"
        self.tls_url = "https://localhost:8443"

    async def kubectl(self, *arguments: str, timeout: float = 120) -> str:
        return await command("kubectl", "--context", f"kind-{self.name}", "-n", NAMESPACE, *arguments, timeout=timeout)

    async def helm(self, *arguments: str, timeout: float = 300) -> str:
        return await command(
            "helm", "--kube-context", f"kind-{self.name}", "-n", NAMESPACE, *arguments, timeout=timeout
        )

    async def objects(self, kind: str, *selector: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(await self.kubectl("get", kind, *selector, "-o", "json"))["items"]
        return items

    async def replicas(self) -> list[dict[str, Any]]:
        """The pods of the service that are not on their way out."""
        pods = await self.objects("pods", "-l", f"app.kubernetes.io/name={RELEASE}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    async def entrance(self) -> str:
        """The address of the node that has the ingress controller, on whose ports 80 and 443 it serves."""
        node = ("node", "-l", "node-role.kubernetes.io/control-plane")
        [address] = (
            await self.kubectl(
                "get", *node, "-o", "jsonpath={.items[*].status.addresses[?(@.type=='InternalIP')].address}"
            )
        ).split()
        return address

    async def rolled_out(self) -> None:
        await self.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=180s", timeout=200)

    async def install(self, *options: str, project: Path = ROOT, seconds: int = 240) -> str:
        """Installs or upgrades the release by the chart of a project folder; returns what Helm says."""
        values = str(Path(__file__).parent / "values.yaml")
        chart = str(project / "charts" / "join-session")
        wanted = ("upgrade", "--install", RELEASE, chart, "-f", values, *options, "--wait", "--timeout", f"{seconds}s")
        return await self.helm(*wanted)

    async def load(self, *images: str) -> None:
        """Gives the nodes images that Docker has."""
        await command("kind", "load", "docker-image", "--name", self.name, *images, timeout=300)

    async def prepare(self) -> None:
        """What a platform team has: an ingress controller with the Gateway API, and our namespace; then our images."""
        say("building the images")
        await asyncio.to_thread(build_images)
        for image in IMAGES:
            if not await command("docker", "image", "ls", "--quiet", image):
                await command("docker", "pull", image, timeout=300)
        await self.load(IMAGE, PREVIOUS_IMAGE, *IMAGES)
        say("installing the ingress controller")
        if own := os.environ.get("CLUSTER_INGRESS"):
            await command(own, self.name, timeout=300)
        else:
            await self._install_traefik()
        await self.kubectl("create", "namespace", NAMESPACE)
        await self.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        await command("helm", "dependency", "build", str(ROOT / "charts" / "join-session"))

    @asynccontextmanager
    async def monitored(self) -> AsyncIterator[str]:
        """Deploys the example of monitoring; the address of its Prometheus, by way of the API server."""
        context = ("--context", f"kind-{self.name}")
        await command("kubectl", *context, "apply", "-k", str(ROOT / "k8s" / "monitoring"))
        rollout = ("rollout", "status", "-n", "monitoring", "deployment/prometheus", "--timeout=180s")
        await command("kubectl", *context, *rollout, timeout=200)
        proxy = await asyncio.create_subprocess_exec(
            "kubectl", *context, "proxy", "--port=0", stdout=asyncio.subprocess.PIPE
        )
        try:
            assert proxy.stdout is not None
            said = await asyncio.wait_for(proxy.stdout.readline(), 30)
            address = said.decode().split()[-1]
            yield f"http://{address}/api/v1/namespaces/monitoring/services/prometheus:http/proxy"
        finally:
            proxy.terminate()
            await proxy.wait()

    async def _install_traefik(self) -> None:
        await self.kubectl("apply", "--server-side", "-f", _GATEWAY_API)
        values = str(Path(__file__).parent / "traefik.yaml")
        where = ("--kube-context", f"kind-{self.name}", "-n", "traefik", "--create-namespace")
        await command("helm", "install", "traefik", *_TRAEFIK, *where, "-f", values, "--wait", timeout=300)

    async def report(self, part: str = "") -> None:
        """Leaves events, descriptions and logs behind, for whoever looks into a failure; in a folder of a part."""
        folder = REPORT / part
        folder.mkdir(parents=True, exist_ok=True)
        for name, arguments in {
            "events": ("get", "events", "--sort-by=.lastTimestamp"),
            "objects": ("get", "all,ingress,httproute,pvc,pdb", "-o", "wide"),
            "pods": ("describe", "pods"),
            "nodes": ("describe", "nodes"),
            "logs": (
                "logs",
                "-l",
                "app.kubernetes.io/part-of=join-session",
                "--all-containers",
                "--tail=-1",
                "--prefix",
            ),
        }.items():
            try:
                text = await self.kubectl(*arguments)
            except CommandFailed as error:
                text = str(error)
            (folder / f"{name}.txt").write_text(text)
        say(f"events and logs are in {folder}")


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """A new cluster of three nodes, made ready; deleted at the end.

    With E2E_CLUSTER, the name of one that such a run has made ready, that one, and it is kept: to work on the tests.
    """
    if kept := os.environ.get("E2E_CLUSTER"):
        yield Cluster(kept)
        return
    made = Cluster(_NAME)
    shutil.rmtree(REPORT, ignore_errors=True)
    say("creating the cluster")
    await command("kind", "delete", "cluster", "--name", _NAME)
    image = ("--image", os.environ["KIND_NODE_IMAGE"]) if "KIND_NODE_IMAGE" in os.environ else ()
    config = str(ROOT / "k8s" / "kind.yaml")
    create = ("kind", "create", "cluster", "--name", _NAME, "--config", config, "--wait", "240s", *image)
    try:
        await command(*create, timeout=420)
        await made.prepare()
        yield made
    finally:
        await command("kind", "delete", "cluster", "--name", _NAME, timeout=180)


async def command(*words: str, timeout: float = 120, stdin: str | None = None, cwd: Path = ROOT) -> str:
    """Runs a command; its output. CommandFailed if it fails or takes too long."""
    program = shutil.which(words[0])
    if program is None:
        raise CommandFailed(f"{words[0]} is not installed")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        program, *words[1:], stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, cwd=cwd
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate((stdin or "").encode()), timeout)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CommandFailed(f"{' '.join(words)}: not done after {timeout:.0f} s") from None
    if process.returncode != 0:
        raise CommandFailed(f"{' '.join(words)}: {process.returncode}\n{said.decode()}")
    return said.decode()


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"e2e: {text}", file=sys.__stderr__, flush=True)
