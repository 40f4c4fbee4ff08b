"""The service as users run it: `join-session serve` in separate processes on free loopback ports."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from app.redis_client.embedded import die_with_parent
from app.settings import PREFIX
from tests.harness.ports import free_port
from tests.harness.privacy import assert_nothing_private

__all__ = [
    "DIGITS",
    "LANES",
    "LETTERS",
    "UNKNOWN",
    "Replica",
    "chosen_lanes",
    "replicas",
    "running_replicas",
    "variable_of",
]

LETTERS: Final[dict[str, Any]] = {"code_alphabet": "letters", "code_length": 10}
# A code of letters that no session has.
UNKNOWN: Final = "2222222222"
# The service's default.
DIGITS: Final[dict[str, Any]] = {"code_alphabet": "digits", "code_length": 6}

LANES: Final = ("direct_joins", "direct_websockets", "compression")
"""Settings that switch off what costs less, which all tests pass without as well."""

_START_TIMEOUT: Final = 30.0
_STOP_TIMEOUT: Final = 40.0
_POLL: Final = 0.02
_direct: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def chosen_lanes() -> dict[str, str]:
    """The settings that `TEST_DIRECT_JOINS`, `TEST_DIRECT_WEBSOCKETS` and `TEST_COMPRESSION` choose for all tests."""
    return {lane: os.environ[variable] for lane in LANES if (variable := variable_of(lane)) in os.environ}


def variable_of(lane: str) -> str:
    """The environment variable by which all tests are run with or without a lane."""
    return f"TEST_{lane.upper()}"


class Replica:
    """One process of the service. Settings are keywords, named like the fields.

    No limits apply to loopback unless `unlimited_addresses` is given. `environment`: further variables. `folder`: the
    source of the service, if it is another version.

    By default codes have ten letters. At the end the log and the metrics are searched for codes and other private data.
    """

    def __init__(
        self,
        redis_url: str | None,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        **settings: Any,
    ) -> None:
        given = {
            "host": "127.0.0.1",
            "internal_host": "127.0.0.1",
            "port": free_port(),
            "internal_port": free_port(),
            "unlimited_addresses": "127.0.0.0/8",
            "drain_timeout": 2,
            "log_format": "json",
            "log_levels": "app=debug",
            **LETTERS,
            # Another version may not know them.
            **(chosen_lanes() if folder is None else {}),
            **({"redis_url": redis_url} if redis_url is not None else {}),
            **settings,
        }
        self._settings = {PREFIX + name.upper(): str(value) for name, value in given.items()} | dict(environment or {})
        self._folder = folder
        descriptor, self._log_path = tempfile.mkstemp(prefix="join-session-", suffix=".log")
        self._log = os.fdopen(descriptor, "w+")
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int = 0
        self._internal_port: int = 0
        self._paused = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def internal_url(self) -> str:
        return f"http://127.0.0.1:{self._internal_port}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def internal_port(self) -> int:
        return self._internal_port

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it serves."""
        self.launch()
        self.wait_until_serving()

    def launch(self) -> None:
        """Start the process. It ends with the thread that starts it, so that nothing is left behind."""
        command = die_with_parent([sys.executable, "-m", "app", "serve"])
        environment = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "OTEL_"))}
        self._process = subprocess.Popen(
            command,
            cwd=self._folder,
            env=environment | self._settings,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def wait_until_serving(self) -> None:
        """Return when the process serves; raises AssertionError with its log if it does not start."""
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            for line in self.logs():
                if line.get("message") == "serving":
                    self._port, self._internal_port = line["port"], line["internal_port"]
                    return
            time.sleep(_POLL)
        raise AssertionError(f"the service did not start:\n{self.log_text()}")

    def stop(self) -> int:
        """SIGTERM; return the exit code. If it takes too long, kill it and raise AssertionError."""
        assert self._process is not None
        self._search_metrics()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        try:
            return self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise AssertionError(f"the service did not stop:\n{self.log_text()}") from error

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        assert self._process is not None
        self._search_metrics()
        self._process.terminate()

    def wait(self) -> int:
        """Wait for the end of the process; return its exit code."""
        assert self._process is not None
        return self._process.wait(_STOP_TIMEOUT)

    def kill(self) -> None:
        assert self._process is not None
        self._search_metrics()
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)
        self._paused = False

    def restart(self) -> None:
        """Start again on the same ports after `stop` or `kill`, with an empty log."""
        assert_nothing_private(self.log_text())
        self._log.seek(0)
        self._log.truncate()
        self.start()

    def logs(self) -> list[dict[str, Any]]:
        """Return the log lines so far; a line that is not JSON is returned as `{"text": line}`."""
        return [_parsed(line) for line in self.log_text().splitlines() if line]

    def log_text(self) -> str:
        return Path(self._log_path).read_text(errors="replace")

    def close(self) -> None:
        """Kill the process, if it still runs; search its log for private data and remove it."""
        try:
            if self._process is not None and self._process.poll() is None:
                self.kill()
            if not self._log.closed:
                assert_nothing_private(self.log_text())
        finally:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            if not self._log.closed:
                self._log.close()
                Path(self._log_path).unlink()

    def _search_metrics(self) -> None:
        """Search the metrics of a replica that still serves for private data."""
        if self._paused or not self._internal_port or self._process is None or self._process.poll() is not None:
            return
        with _direct.open(f"{self.internal_url}/metrics", timeout=_START_TIMEOUT) as answer:
            assert_nothing_private(answer.read().decode())


@contextmanager
def running_replicas(redis_url: str | None, count: int = 1, **settings: Any) -> Iterator[list[Replica]]:
    """Run replicas that share a Redis; they are started concurrently."""
    with ExitStack() as stack:
        started = [Replica(redis_url, **settings) for _ in range(count)]
        for replica in started:
            stack.callback(replica.close)
            replica.launch()
        for replica in started:
            replica.wait_until_serving()
        yield started


@asynccontextmanager
async def replicas(redis_url: str | None, count: int = 1, **settings: Any) -> AsyncIterator[list[Replica]]:
    """Run replicas like `running_replicas`, without blocking the test's event loop."""
    with ExitStack() as stack:
        started = [Replica(redis_url, **settings) for _ in range(count)]
        for replica in started:
            stack.callback(replica.close)
            replica.launch()
        await asyncio.gather(*(asyncio.to_thread(replica.wait_until_serving) for replica in started))
        yield started


def _parsed(line: str) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"text": line}
    return parsed
