"""The service as its users run it: `join-session serve` in processes of their own, on free loopback ports."""

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

__all__ = ["DIGITS", "LETTERS", "UNKNOWN", "Replica", "replicas", "running_replicas"]

LETTERS: Final[dict[str, Any]] = {"code_alphabet": "letters", "code_length": 10}
# A code of these that no session will ever have.
UNKNOWN: Final = "2222222222"
# The service's own default, in which a code could be any number.
DIGITS: Final[dict[str, Any]] = {"code_alphabet": "digits", "code_length": 6}

_START_TIMEOUT: Final = 30.0
_STOP_TIMEOUT: Final = 40.0
_POLL: Final = 0.02
_direct: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Replica:
    """One process of the service. Settings are keywords by their field names; loopback is free of budgets and caps
    unless `unlimited_addresses` says otherwise. `environment`: variables that are no settings of ours; `folder`: where
    the service's source is, if it is not ours.

    Unless told otherwise it gives out codes of ten letters. In the end its log and its metrics are searched for them,
    and for whatever else is private.
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
        """Starts the process and waits until it serves."""
        self.launch()
        self.wait_until_serving()

    def launch(self) -> None:
        """Starts the process; it ends with the thread that starts it, so that nothing is left behind."""
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
        """Returns when the process serves; raises AssertionError with its log when it does not get there."""
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
        """SIGTERM; returns the exit code. Killed, and an AssertionError, if it takes too long."""
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
        """The exit code, as soon as the process has ended by itself."""
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
        """Starts again on the same ports after `stop` or `kill`; the log begins anew."""
        assert_nothing_private(self.log_text())
        self._log.seek(0)
        self._log.truncate()
        self.start()

    def logs(self) -> list[dict[str, Any]]:
        """The lines logged so far; what is not JSON comes as `{"text": line}`."""
        return [_parsed(line) for line in self.log_text().splitlines() if line]

    def log_text(self) -> str:
        return Path(self._log_path).read_text(errors="replace")

    def close(self) -> None:
        """Ends the process at once, if it still runs, and removes its log, in which nothing private may be."""
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
        """A replica that still serves shows its metrics, in which nothing private may be."""
        if self._paused or not self._internal_port or self._process is None or self._process.poll() is not None:
            return
        with _direct.open(f"{self.internal_url}/metrics", timeout=_START_TIMEOUT) as answer:
            assert_nothing_private(answer.read().decode())


@contextmanager
def running_replicas(redis_url: str | None, count: int = 1, **settings: Any) -> Iterator[list[Replica]]:
    """Replicas that share a Redis, started side by side."""
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
    """As `running_replicas`, for tests whose own event loop must go on meanwhile."""
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
