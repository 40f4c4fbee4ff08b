"""The service and its peers: how each is started, and one that runs."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Literal

from app.redis_client.embedded import find_server
from app.settings import PREFIX
from bench import machine
from bench.movies import draw_movies
from bench.prerequisites import BENCH, BUN, NODE, ROOT, SOCKETIOXIDE

__all__ = ["PEERS", "Server", "Surroundings", "serving", "surroundings"]

_SETTINGS: Final = {
    "HOST": "127.0.0.1",
    "INTERNAL_HOST": "127.0.0.1",
    "MAX_CONNECTIONS": "100000",
    "MAX_CONNECTIONS_PER_ADDRESS": "100000",
    "EVENTS_PER_SECOND": "100000",
    "EVENTS_BURST": "1000000",
    "GRACE": "3000",
    "CREATE_BUDGET": "1000000",
    "MAX_SESSIONS_PER_ADDRESS": "1000000",
    "DRAIN_TIMEOUT": "0",
    "LOG_LEVEL": "warning",
    "LOG_FORMAT": "text",
}
_FREE: Final = {"UNLIMITED_ADDRESSES": "127.0.0.0/8"}
_SERVE: Final = (sys.executable, "-m", "app", "serve")
_NODE: Final = (str(NODE), str(BENCH / "peers" / "node.js"))
_BUN: Final = (str(BUN), str(BENCH / "peers" / "bun" / "server.js"))


@dataclass(frozen=True, slots=True)
class Peer:
    """How a server is started, and what its clients ask for. Ours has settings; all get PORT and REDIS_PORT."""

    title: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] | None = None
    has_sockets: bool = True
    clients_ask_for: tuple[Literal["deflate", "patches"], ...] = ()

    @property
    def is_ours(self) -> bool:
        return self.settings is not None


PEERS: Final = {
    "ours": Peer("join-session", _SERVE, settings=_FREE),
    "ours-measured": Peer("join-session, a heartbeat in 5 s", _SERVE, settings={**_FREE, "PING_INTERVAL": "5"}),
    "ours-deflate": Peer("join-session, deflate", _SERVE, settings=_FREE, clients_ask_for=("deflate",)),
    "ours-patches": Peer("join-session, patches", _SERVE, settings=_FREE, clients_ask_for=("patches",)),
    "ours-patches-deflate": Peer(
        "join-session, patches and deflate", _SERVE, settings=_FREE, clients_ask_for=("deflate", "patches")
    ),
    "ours-limited": Peer("join-session with its budgets", _SERVE, settings={}),
    "ours-without-metrics": Peer(
        "join-session without metrics", (sys.executable, "-m", "bench.without_metrics", "serve"), settings=_FREE
    ),
    "ours-without-lanes": Peer(
        "join-session by ASGI and Quart",
        _SERVE,
        settings={**_FREE, "DIRECT_JOINS": "false", "DIRECT_WEBSOCKETS": "false"},
    ),
    "ours-traced": Peer(
        "join-session, 1 in 20 traced",
        _SERVE,
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05"},
        settings=_FREE,
    ),
    "express": Peer("Express", _NODE, {"STORE": "json"}, has_sockets=False),
    "node-http": Peer("node:http", _NODE, {"STORE": "json", "ROUTER": "plain"}, has_sockets=False),
    "node": Peer("Node", _NODE),
    "node-coalescing": Peer("Node, coalescing", _NODE, {"COALESCING": "1"}),
    "bun": Peer("Bun", _BUN),
    "bun-coalescing": Peer("Bun, coalescing", _BUN, {"COALESCING": "1"}),
    "socketioxide": Peer("socketioxide", (str(SOCKETIOXIDE),)),
    "socketioxide-coalescing": Peer("socketioxide, coalescing", (str(SOCKETIOXIDE),), {"COALESCING": "1"}),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all servers of a scenario share: a Redis, a receiver of traces and a folder for files."""

    redis_port: int
    redis_pid: int
    traces_port: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs on its core."""

    port: int
    pid: int
    folder: Path
    clients_ask_for: tuple[str, ...] = ()

    def create(self, count: int, *, movies: int = 0) -> Path:
        """Create sessions over HTTP; returns a file with their codes."""
        path = self.folder / f"{self.port}-{len(list(self.folder.iterdir()))}.codes"
        body = json.dumps({"capacity": 1000, "movies": draw_movies(movies)})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with path.open("w") as file:
            for _ in range(count):
                connection.request("POST", "/api/session/create", body, {"Content-Type": "application/json"})
                with connection.getresponse() as response:
                    answer = json.load(response)
                    if response.status != 201:
                        raise RuntimeError(f"no session is created: {response.status} {answer}")
                print(answer["sessionID"], file=file)
        connection.close()
        return path


@contextmanager
def surroundings(folder: Path, *, persistent: bool = False) -> Iterator[Surroundings]:
    """With ``persistent`` Redis writes each change to disk before it replies."""
    port = machine.free_port()
    kept = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)) if persistent else ()
    command = (str(find_server()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", *kept)
    traces = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=traces.serve_forever, daemon=True).start()
    try:
        with machine.running(machine.LOAD_CORE, command) as redis:
            machine.wait_for_port(port, redis)
            yield Surroundings(port, redis.pid, traces.server_port, folder)
    finally:
        traces.shutdown()
        traces.server_close()


@contextmanager
def serving(
    name: str, around: Surroundings, *, waits: bool = True, core: int = machine.SERVER_CORE
) -> Iterator[Server]:
    """Run a server; with ``waits`` it takes connections already."""
    peer, port = PEERS[name], machine.free_port()
    environment = {"PORT": str(port), "REDIS_PORT": str(around.redis_port), **peer.environment}
    if peer.settings is not None:
        settings = {**_SETTINGS, **peer.settings, "PORT": str(port), "INTERNAL_PORT": str(machine.free_port())}
        settings["REDIS_URL"] = f"redis://127.0.0.1:{around.redis_port}/0"
        environment |= {PREFIX + key: value for key, value in settings.items()}
    if "OTEL_TRACES_SAMPLER" in environment:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{around.traces_port}"
    with (
        (around.folder / f"{name}.log").open("a") as log,
        machine.running(
            core,
            peer.command,
            environment=environment,
            output=log,
            errors=subprocess.STDOUT,
            folder=ROOT,
        ) as process,
    ):
        if waits:
            machine.wait_for_port(port, process)
        yield Server(port, process.pid, around.folder, peer.clients_ask_for)


class _Receiver(BaseHTTPRequestHandler):
    """Takes traces and forgets them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
