"""Real Redis servers: start, stop, kill, pause and restart."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from app.redis_client.embedded import die_with_parent, find_server
from app.redis_client.url import Address
from tests.harness.ports import LOOPBACK, free_port
from tests.harness.scratch import scratch
from tests.harness.waiting import until

_ANSWER_SECONDS: Final = 5.0


def server_binary() -> Path:
    """Return the server under test: `JOIN_SESSION_TEST_REDIS`, else redis-server, else the embedded one."""
    if chosen := os.environ.get("JOIN_SESSION_TEST_REDIS"):
        return Path(chosen)
    found = shutil.which("redis-server")
    return Path(found) if found else find_server()


@dataclass(frozen=True)
class Certificates:
    """Files of a new certificate authority and a server certificate, for loopback or for host names."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def create(cls, directory: Path, *hosts: str) -> Certificates:
        import trustme  # Imports cryptography, which is slow, and few tests use TLS.

        authority = trustme.CA()
        issued = authority.issue_cert(*(hosts or (LOOPBACK, "localhost")))
        files = cls(directory / "ca.pem", directory / "cert.pem", directory / "key.pem")
        authority.cert_pem.write_to_path(str(files.ca))
        issued.cert_chain_pems[0].write_to_path(str(files.certificate))
        issued.private_key_pem.write_to_path(str(files.key))
        return files


class RedisServer:
    """One server process on a loopback port or a unix socket. Its directory survives `kill` and `restart`.

    `config` has lines of redis.conf as name -> value, and is read at each start. `users` are ACL rules ("app on >secret
    ~js:* &js:* +@all"); if there are any, the default user is disabled.
    """

    def __init__(
        self,
        *,
        unix: bool = False,
        tls: bool = False,
        aof: bool = False,
        maxmemory: str | None = None,
        users: Sequence[str] = (),
        config: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="join-session-test-", dir=scratch()))
        self.port = 0 if unix else free_port()
        self.certificates = Certificates.create(self.directory) if tls else None
        self._unix = unix
        self._users = users
        self._arguments = arguments
        self.config = {
            "save": '""',
            "appendonly": "yes" if aof else "no",
            "appendfsync": "always",
            "repl-diskless-sync-delay": "0",
            **({"maxmemory": maxmemory} if maxmemory else {}),
            **(config or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Address:
        return Address(str(self.directory / "redis.sock"), 0) if self._unix else Address(LOOPBACK, self.port)

    def url(self, credentials: str = "", db: int = 0) -> str:
        """Return the URL of this server; `credentials` is "user:password"."""
        login = f"{credentials}@" if credentials else ""
        if self._unix:
            return f"unix://{login}{self.address.host}?db={db}"
        if self.certificates is None:
            return f"redis://{login}{LOOPBACK}:{self.port}/{db}"
        return f"rediss://{login}{LOOPBACK}:{self.port}/{db}?ssl_ca_certs={self.certificates.ca}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> Self:
        """Start the server and wait until it serves commands."""
        (self.directory / "redis.conf").write_text("\n".join(self._directives()) + "\n")
        self._launch()
        try:
            await until(self._answers, f"the server on {self.address} answers")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._log_tail()}") from error
        return self

    async def stop(self) -> None:
        """Stop the server and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """kill -9; the process has ended when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: the kernel still accepts connections, but nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def restart(self, *, with_data: bool = True) -> None:
        """kill -9 and start again. Data survives only with `aof`."""
        self.kill()
        if not with_data:
            shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
        await self.start()

    async def call(self, *command: str | int) -> Any:
        """Run a command as the administrator over a new connection; raises ``redis.exceptions.RedisError``.

        It uses redis-py, independently of the client under test. Replies are bytes, with the types of RESP3.
        """
        connection = self._connection()
        try:
            await connection.send_command(*command)
            return await connection.read_response()
        finally:
            await connection.disconnect()

    async def __aenter__(self) -> Self:
        try:
            return await self.start()
        except BaseException:
            await self.stop()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _connection(self) -> AbstractConnection:
        options: dict[str, Any] = {"protocol": 3, "driver_info": None, "socket_timeout": _ANSWER_SECONDS}
        if self._users:
            options |= {"username": "harness", "password": "harness"}
        if self._unix:
            return UnixDomainSocketConnection(path=self.address.host, **options)
        if self.certificates is not None:
            return SSLConnection(host=LOOPBACK, port=self.port, ssl_ca_certs=str(self.certificates.ca), **options)
        return Connection(host=LOOPBACK, port=self.port, **options)

    def _launch(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                die_with_parent((str(server_binary()), str(self.directory / "redis.conf"), *self._arguments)),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    async def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the server ended with {self._process.returncode}")
        return bool(await self.call("PING") == b"PONG")

    def _directives(self) -> list[str]:
        """Return the lines of the configuration file."""
        place = {"dir": str(self.directory), "bind": LOOPBACK, "port": str(self.port)}
        if self._unix:
            place["unixsocket"] = self.address.host
        if self.certificates is not None:
            place |= {
                "port": "0",
                "tls-port": str(self.port),
                "tls-cert-file": str(self.certificates.certificate),
                "tls-key-file": str(self.certificates.key),
                "tls-ca-cert-file": str(self.certificates.ca),
                "tls-auth-clients": "no",
            }
        lines = [f"{name} {value}" for name, value in (place | self.config).items()]
        if self._users:
            lines += ["user default off", "user harness on >harness ~* &* +@all"]
            lines += [f"user {rule}" for rule in self._users]
        return lines

    def _log_tail(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-600:]


class ServerSet:
    """Servers that are started and stopped together; `_start` enters them on the stack."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        raise NotImplementedError


async def require_tls() -> None:
    """Skip unless the server binary supports TLS."""
    with tempfile.TemporaryDirectory() as directory:
        probe = await asyncio.create_subprocess_exec(
            server_binary(),
            "--port",
            "0",
            "--tls-port",
            "1",
            "--dir",
            directory,
            "--daemonize",
            "no",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        output, _ = await probe.communicate()
    # The server ends in either case: because it lacks TLS support, or a certificate.
    if b"No tls-cert-file" not in output:
        pytest.skip(f"{server_binary()} is built without TLS")
