"""A real Prometheus that scrapes replicas every second.

async with prometheus(replicas, rules) as watcher:
    await watcher.fires("JoinSessionRedisUnreachable")
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from app.redis_client.embedded import die_with_parent
from tests.harness.here import Here
from tests.harness.ports import LOOPBACK, free_port
from tests.harness.programs import program
from tests.harness.service import Replica
from tests.harness.waiting import until

__all__ = ["JOB", "Prometheus", "instance", "prometheus"]

JOB: Final = "join-session"

_POLL: Final = 0.25
# Long: it only limits failing tests, and the machine may be busy.
_TIMEOUT_SECONDS: Final = 90.0


class Prometheus:
    """A running Prometheus, queried over its API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=10)

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query."""
        result: list[dict[str, Any]] = (await self._get("query", query=expression))["result"]
        return result

    async def series(self, selector: str) -> list[dict[str, str]]:
        """Return the labels of all series so far."""
        labels: list[dict[str, str]] = await self._get("series", **{"match[]": selector})
        return labels

    async def families(self) -> set[str]:
        """Return the names of all metrics for which the replicas declare a type, also without samples."""
        declared: list[dict[str, str]] = await self._get("targets/metadata", match_target=f'{{job="{JOB}"}}')
        return {each["metric"] for each in declared}

    async def firing(self) -> list[dict[str, str]]:
        """Return the labels of the firing alerts."""
        alerts = (await self._get("alerts"))["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    async def fires(self, alert: str, **labels: str) -> None:
        """Wait until an alert fires with these labels."""
        await self.until(lambda: self._fires(alert, labels), f"{alert} {labels} fires")

    async def resolved(self, *alerts: str) -> None:
        """Wait until none of the alerts fires."""

        async def quiet() -> bool:
            return not any([await self._fires(alert, {}) for alert in alerts])

        await self.until(quiet, f"{alerts} are resolved")

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for a condition; raises AssertionError if it does not become true."""
        await until(condition, what, timeout=_TIMEOUT_SECONDS, poll=_POLL)

    async def ready(self) -> bool:
        try:
            return (await self._client.get("/-/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def close(self) -> None:
        await self._client.aclose()

    async def _fires(self, alert: str, labels: dict[str, str]) -> bool:
        wanted = {"alertname": alert, **labels}.items()
        return any(wanted <= firing.items() for firing in await self.firing())

    async def _get(self, what: str, **parameters: str) -> Any:
        answer = await self._client.get(f"/api/v1/{what}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@asynccontextmanager
async def prometheus(
    replicas: Sequence[Replica | Here], rules: Sequence[dict[str, Any]] = (), *, exporters: Sequence[str] = ()
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus that evaluates `rules` every second. `exporters`: addresses of exporters of Redis."""
    with tempfile.TemporaryDirectory(prefix="join-session-test-") as name:
        folder = Path(name)
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.json"],
            "scrape_configs": [
                {"job_name": JOB, "static_configs": [{"targets": [instance(one) for one in replicas]}]},
                {"job_name": "redis", "static_configs": [{"targets": list(exporters)}]},
            ],
        }
        (folder / "prometheus.json").write_text(json.dumps(config))
        (folder / "rules.json").write_text(json.dumps({"groups": [{"name": JOB, "rules": list(rules)}]}))
        address = f"{LOOPBACK}:{free_port()}"
        command = [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.json'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ]
        process = _launch(command, folder / "log")
        watcher = Prometheus(f"http://{address}")
        try:
            await watcher.until(watcher.ready, "Prometheus is ready")

            # It is ready up to five seconds before it scrapes: a fault may be over by then.
            async def has_scraped() -> bool:
                return len(await watcher.query("up")) == len(replicas) + len(exporters)

            await watcher.until(has_scraped, "Prometheus has scraped every target")
            yield watcher
        finally:
            await watcher.close()
            process.kill()
            process.wait()


def _launch(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(die_with_parent(command), stdout=output, stderr=output, start_new_session=True)


def instance(replica: Replica | Here) -> str:
    """Return the label `instance` of a replica."""
    return f"{LOOPBACK}:{replica.internal_port}"
