"""The charts, rendered once for all tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.generate import CHARTS, copy_charts
from tests.packaging.tools import documents, helm, run

SCENARIOS = sorted(path.stem for path in (CHARTS / "join-session" / "ci").glob("*.yaml"))
NAMESPACE = "movies"
RELEASE = "join-session"


@dataclass(frozen=True)
class Rendering:
    """What Helm makes of the chart with a values file; `objects` by kind and name."""

    path: Path
    objects: dict[str, dict[str, Any]]

    def kinds(self) -> set[str]:
        return {name.partition("/")[0] for name in self.objects}

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self.objects[name]

    @property
    def pod(self) -> dict[str, Any]:
        pod: dict[str, Any] = self["Deployment/join-session"]["spec"]["template"]["spec"]
        return pod

    @property
    def container(self) -> dict[str, Any]:
        container: dict[str, Any] = self.pod["containers"][0]
        return container

    @property
    def settings(self) -> dict[str, str]:
        """The environment of the service: the ConfigMap, and what the container adds."""
        data: dict[str, str] = self["ConfigMap/join-session"]["data"]
        return data | {entry["name"]: entry.get("value", "") for entry in self.container["env"]}


class Charts:
    """A copy of the charts that is ready to be rendered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = copy_charts(folder) / "join-session"

    def values(self, scenario: str) -> Path:
        return self.path / "ci" / f"{scenario}.yaml"

    def template(self, values: Path, *options: str, program: Path | None = None) -> str:
        """The rendered text; AssertionError with what Helm says where it refuses."""
        command = (program or helm(), "template", RELEASE, self.path, "--namespace", NAMESPACE, "-f", values)
        return run(*command, *options)

    def render(self, name: str, values: dict[str, Any] | None = None, scenario: str = "default") -> Rendering:
        """A values file of ci/, with other values on top, in a file of that name."""
        more = self._folder / f"{name}-values.json"
        more.write_text(json.dumps(values or {}))
        path = self._folder / f"{name}.yaml"
        path.write_text(self.template(self.values(scenario), "-f", str(more)))
        objects = {f"{item['kind']}/{item['metadata']['name']}": item for item in documents(path.read_text())}
        return Rendering(path, objects)


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    return Charts(tmp_path_factory.mktemp("charts"))


@pytest.fixture(scope="session")
def renderings(charts: Charts) -> dict[str, Rendering]:
    """Each file of ci/ by its name."""
    return {scenario: charts.render(scenario, scenario=scenario) for scenario in SCENARIOS}
