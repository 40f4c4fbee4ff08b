"""Records what clients see: `python -m tests.contract.recorder [--of COMMIT] [SCENARIO …]`.

Without a commit it is the working tree that is recorded. What is there was recorded from the commit in `RECORDED`; an
operation that is added gets a scenario of its own, which is recorded from the working tree, alone.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.contract.recording import Recording
from tests.contract.scenarios import ALLOWED, CREATE_KEY, OPERATOR_TOKEN, SCENARIOS, Scenario, Services
from tests.harness.ports import free_port
from tests.harness.previous import version_of
from tests.harness.redis import RedisServer
from tests.harness.service import Replica

__all__ = ["RECORDED", "recorded", "recording", "serving"]

RECORDED: Final = "748ce26"

_FOLDER: Final = Path(__file__).parent / "recorded"


def recorded(scenario: Scenario) -> Path:
    """Where the recording of a scenario is kept."""
    return _FOLDER / f"{scenario.__name__}.txt"


async def recording(scenario: Scenario, services: Services) -> str:
    """What clients see today."""
    record = Recording()
    try:
        await scenario(record, services)
    except Exception as error:
        error.add_note(f"after this:\n{record.text[-3000:]}")
        raise
    finally:
        await record.close()
    return record.text


@asynccontextmanager
async def serving(folder: Path | None = None) -> AsyncIterator[Services]:
    """The services, from the source in a folder, else ours."""
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    async with RedisServer(config={"databases": "2"}) as redis:
        settings: dict[str, dict[str, Any]] = {
            "plain": {
                "redis_url": redis.url(),
                "allowed_origins": ALLOWED,
                "operator_token": OPERATOR_TOKEN,
                "demo": True,
                # Each code has a letter, so that it is not the same in small letters.
                "code_alphabet": "2CFGHJMPQRVWX",
            },
            "strict": {
                "redis_url": redis.url(db=1),
                "create_key": CREATE_KEY,
                "operator_token": OPERATOR_TOKEN,
                "code_alphabet": "digits",
                "code_length": 1,
                "grace": 0.5,
                "max_movies": 2,
                "miss_budget": 3,
                "second_connection": "reject",
                "max_connections_per_address": 2,
                "unlimited_addresses": "",
                "drain_timeout": 0,
            },
            "brief": {
                "redis_url": redis.url(),
                "key_prefix": "brief",
                "redis_timeout": 0.5,
                "lifetime": 40,
                "max_lifetime": 40,
                "expiry_warning": 60,
                "miss_budget": 3,
                "unlimited_addresses": "",
            },
            "away": {"redis_url": nobody, "redis_timeout": 0.2},
        }
        settings |= {name: settings["strict"] | {"key_prefix": name} for name in ("exhausted", "leaving")}
        started: list[Replica] = []

        def start(name: str) -> Replica:
            replica = Replica(folder=folder, **settings[name])
            started.append(replica)
            replica.launch()
            replica.wait_until_serving()
            return replica

        try:
            yield Services(start, redis)
        finally:
            for replica in started:
                replica.close()


async def _record(folder: Path | None, wanted: list[str]) -> None:
    _FOLDER.mkdir(exist_ok=True)
    failures = []
    async with serving(folder) as services:
        for scenario in SCENARIOS:
            if not wanted or scenario.__name__ in wanted:
                try:
                    recorded(scenario).write_text(await recording(scenario, services))
                except Exception as error:
                    failures.append(error)
    if failures:
        raise ExceptionGroup("not recorded", failures)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.contract.recorder", description=__doc__)
    parser.add_argument("--of", metavar="COMMIT", help=f"a commit of the repository, such as {RECORDED}")
    parser.add_argument("scenario", nargs="*")
    arguments = parser.parse_args()
    asyncio.run(_record(version_of(arguments.of) if arguments.of else None, arguments.scenario))


if __name__ == "__main__":
    main()
