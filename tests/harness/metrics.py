"""Reads the metrics of a replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar, Sample

from tests.harness.here import Here
from tests.harness.service import Replica
from tests.harness.waiting import until

__all__ = ["OPENMETRICS", "Metrics", "scrape", "until_metrics"]

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True)
class Metrics:
    """One scrape. ``types`` has the types by the names of the families, without the suffixes of samples."""

    text: str
    types: Mapping[str, str]
    samples: tuple[Sample, ...]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and at least these labels."""
        return sum(
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def exemplars(self, name: str) -> list[Exemplar]:
        return [sample.exemplar for sample in self.samples if sample.name == f"{name}_bucket" and sample.exemplar]


async def scrape(replica: Replica | Here) -> Metrics:
    """Return the metrics of a replica, in OpenMetrics format."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{replica.internal_url}/metrics", headers={"Accept": OPENMETRICS})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    families = list(text_string_to_metric_families(answer.text))  # type: ignore[no-untyped-call]
    samples = tuple(sample for family in families for sample in family.samples)
    return Metrics(answer.text, {family.name: family.type for family in families}, samples)


async def until_metrics(replica: Replica | Here, condition: Callable[[Metrics], bool]) -> Metrics:
    """Wait for a scrape for which `condition` holds; return it."""

    async def wanted() -> Metrics | None:
        seen = await scrape(replica)
        return seen if condition(seen) else None

    seen: Metrics = await until(wanted, "the metrics say so")
    return seen
