"""Results of scenarios: kept in .cache/bench/results, so that each can be measured again by itself."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from bench.prerequisites import BUILD
from bench.scenarios import Figures, Row, Scenario

__all__ = ["Ratio", "Result", "load_results", "ratio", "save"]

_FOLDER: Final = BUILD / "results"


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of each server in each round; None where a round failed."""

    scenario: str
    rounds: dict[str, list[Figures | None]]
    taken: str
    commit: str
    load: float
    versions: dict[str, str]
    machine: str

    def median(self, server: str, figure: str) -> float | None:
        values = [figures[figure] for figures in self.rounds.get(server, []) if figures and figure in figures]
        return statistics.median(values) if values else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of the rounds' ratios, with its quartiles."""

    median: float
    low: float
    high: float


def ratio(result: Result, scenario: Scenario, row: Row, server: str) -> Ratio | None:
    """How the server compares to the first one; above 1 is better, but for a cost."""
    reference = scenario.servers[0]
    if row.better == "shown" or server == reference:
        return None
    pairs = zip(result.rounds.get(server, []), result.rounds.get(reference, []), strict=False)
    values = [_compare(row, mine[row.figure], theirs[row.figure]) for mine, theirs in pairs if mine and theirs]
    if not values:
        return None
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Ratio(middle, low, high)


def save(result: Result) -> None:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    (_FOLDER / f"{result.scenario}.json").write_text(json.dumps(asdict(result), indent=1) + "\n")


def load_results(names: Sequence[str]) -> Mapping[str, Result]:
    """The newest result of each scenario that was measured here."""
    paths = {name: _FOLDER / f"{name}.json" for name in names}
    return {name: Result(**json.loads(path.read_text())) for name, path in paths.items() if path.exists()}


def _compare(row: Row, mine: float, theirs: float) -> float:
    return theirs / mine if row.better == "less" else mine / theirs
