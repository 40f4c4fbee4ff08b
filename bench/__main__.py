"""``make bench`` and ``make bench-smoke``."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import machine
from bench.prerequisites import ROOT, MissingError, prepare, versions
from bench.report import DOCUMENT, QUIET, report
from bench.results import Result, load_results, ratio, save
from bench.scenarios import SCENARIOS, Figures, Scenario, Stage
from bench.servers import surroundings

_PEERS: Final = ("node", "bun", "socketioxide")
_SHOWN_CHARACTERS: Final = 400


def main() -> int:
    options = _options()
    load = machine.load_average()
    if load > QUIET and not (options.busy or options.smoke):
        print(f"bench: the load average is {load:.2f}, figures would mean nothing; --busy takes them", file=sys.stderr)
        return 2
    try:
        prepare(options.peers)
    except MissingError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    _allow_files()
    began = time.monotonic()
    failures = 0
    for name in options.scenarios or SCENARIOS:
        scenario = SCENARIOS[name]
        count = 1 if options.smoke else options.rounds or scenario.rounds
        rounds, wrong = _measure(name, scenario, options.peers, count, small=options.smoke)
        failures += wrong
        if not options.smoke:
            save(_result(name, rounds, load, options.peers))
            _print(name, scenario)
    if not options.smoke:
        before = DOCUMENT.read_text() if DOCUMENT.exists() else ""
        DOCUMENT.write_text(report(load_results(list(SCENARIOS)), before))
        print(f"{DOCUMENT.relative_to(ROOT)} is written.")
    print(f"{time.monotonic() - began:.0f} s, {failures} rounds failed")
    return 1 if failures else 0


def _measure(
    name: str, scenario: Scenario, peers: Sequence[str], count: int, *, small: bool
) -> tuple[dict[str, list[Figures | None]], int]:
    """The figures of each server in each round, and how many rounds failed."""
    servers = [*scenario.servers, *(server for server in scenario.peers if server.partition("-")[0] in peers)]
    rounds: dict[str, list[Figures | None]] = {server: [] for server in servers}
    with tempfile.TemporaryDirectory(prefix="join-session-bench-") as folder, ExitStack() as stack:
        around = stack.enter_context(surroundings(Path(folder)))
        stages = {server: Stage(server, around, stack, small=small) for server in servers}
        for number in range(count):
            for server in servers if number % 2 == 0 else reversed(servers):
                try:
                    rounds[server].append(scenario.run(stages[server]))
                except (RuntimeError, OSError, ValueError) as error:
                    print(f"{name}, {server}, round {number + 1}: {error!s:.{_SHOWN_CHARACTERS}}", file=sys.stderr)
                    rounds[server].append(None)
    return rounds, sum(figures is None for made in rounds.values() for figures in made)


def _result(name: str, rounds: dict[str, list[Figures | None]], load: float, peers: Sequence[str]) -> Result:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    taken = time.strftime("%Y-%m-%d %H:%M")
    return Result(name, rounds, taken, commit.stdout.strip(), load, versions(peers), machine.description())


def _print(name: str, scenario: Scenario) -> None:
    result = load_results([name])[name]
    print(f"\n{name}: {scenario.title}")
    for row in scenario.rows:
        for server in result.rounds:
            if (value := result.median(server, row.figure)) is None:
                continue
            found = ratio(result, scenario, row, server)
            told = f"   ratio {found.median:.2f} ({found.low:.2f} to {found.high:.2f})" if found else ""
            print(f"  {row.title:42} {server:24} {value:10.4g}{told}", flush=True)


def _allow_files() -> None:
    """For ten thousand connections, here and in what is started from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure the service against its peers.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"some of: {', '.join(SCENARIOS)}")
    parser.add_argument("--peers", type=_peers, default=("node",), help=f"some of {','.join(_PEERS)} (node)")
    parser.add_argument("--rounds", type=int, help="rounds of each scenario")
    parser.add_argument("--busy", action="store_true", help="measure on a busy machine, too")
    parser.add_argument("--smoke", action="store_true", help="only see that everything works")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    return options


def _peers(text: str) -> tuple[str, ...]:
    peers = tuple(text.split(","))
    if unknown := set(peers) - set(_PEERS):
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(sorted(unknown))}")
    return peers


if __name__ == "__main__":
    sys.exit(main())
