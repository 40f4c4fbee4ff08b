"""Real ingress proxies before local replicas, configured from what the chart's presets say."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import httpx

from tests.harness.ports import LOOPBACK, free_port
from tests.harness.programs import program
from tests.harness.waiting import until
from tests.packaging.tools import traefik

__all__ = ["HAProxy", "Nginx", "Proxy", "Traefik", "running"]

_STICKY: Final = "traefik.ingress.kubernetes.io/service.sticky.cookie"


class Proxy(Protocol):
    """A proxy on a loopback port; `route` names the replicas that are there, as a cluster's endpoints do."""

    port: int

    def route(self, ports: Sequence[int]) -> None: ...

    def command(self) -> list[str | Path]: ...


class Traefik:
    """Traefik with its file provider: the annotations of the Service, in the words of that provider."""

    def __init__(self, folder: Path, annotations: Mapping[str, str]) -> None:
        self.port = free_port()
        self._dynamic = folder / "traefik.yaml"
        cookie = {name.removeprefix(f"{_STICKY}."): value for name, value in annotations.items()}
        assert cookie.pop(_STICKY) == "true"
        self._cookie = {
            "name": cookie.pop("name"),
            "path": cookie.pop("path"),
            "sameSite": cookie.pop("samesite"),
            "httpOnly": cookie.pop("httponly") == "true",
            "secure": cookie.pop("secure") == "true",
        }
        assert not cookie

    def route(self, ports: Sequence[int]) -> None:
        servers = [{"url": f"http://{LOOPBACK}:{port}"} for port in ports]
        service = {"loadBalancer": {"servers": servers, "sticky": {"cookie": self._cookie}}}
        routers = {"join-session": {"rule": "PathPrefix(`/`)", "service": "join-session"}}
        text = json.dumps({"http": {"routers": routers, "services": {"join-session": service}}})
        # In one step: Traefik looks at once.
        unfinished = self._dynamic.with_suffix(".new")
        unfinished.write_text(text)
        unfinished.replace(self._dynamic)

    def command(self) -> list[str | Path]:
        return [
            traefik(),
            f"--entrypoints.web.address={LOOPBACK}:{self.port}",
            f"--providers.file.filename={self._dynamic}",
            "--providers.providersThrottleDuration=200ms",
            "--log.level=ERROR",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
        ]


class HAProxy:
    """HAProxy as its ingress controller configures it.

    `cookie-persistence` gives each server a dynamic cookie, and `backend-config-snippet` stands behind all else.
    """

    def __init__(
        self, folder: Path, service: Mapping[str, str], ingress: Mapping[str, str], ports: Sequence[int]
    ) -> None:
        self.port = free_port()
        self._socket = folder / "haproxy.sock"
        self._names = {port: f"replica{number}" for number, port in enumerate(ports)}
        self._config = folder / "haproxy.cfg"
        servers = [f"  server {name} {LOOPBACK}:{port}" for port, name in self._names.items()]
        lines = [
            "global",
            f"  stats socket {self._socket} level admin",
            "defaults",
            "  mode http",
            "  option redispatch",
            "  timeout connect 5s",
            "  timeout client 50s",
            f"  timeout server {ingress['haproxy.org/timeout-server']}",
            f"  timeout tunnel {ingress['haproxy.org/timeout-tunnel']}",
            "frontend http",
            f"  bind {LOOPBACK}:{self.port}",
            "  default_backend join-session",
            "backend join-session",
            "  balance roundrobin",
            f"  cookie {service['haproxy.org/cookie-persistence']} insert indirect nocache dynamic",
            "  dynamic-cookie-key of-a-test",
            *service.get("haproxy.org/backend-config-snippet", "").splitlines(),
            *servers,
        ]
        self._config.write_text("\n".join(lines) + "\n")

    def route(self, ports: Sequence[int]) -> None:
        """Takes the others out by the runtime interface, as the controller does."""
        if not self._socket.exists():
            return
        for port, name in self._names.items():
            state = "ready" if port in ports else "maint"
            self._say(f"set server join-session/{name} state {state}")

    def command(self) -> list[str | Path]:
        return [program("haproxy"), "-db", "-q", "-f", self._config]

    def _say(self, line: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket))
            connection.sendall(f"{line}\n".encode())
            connection.recv(4096)


class Nginx:
    """nginx with what ingress-nginx makes of its annotations for session affinity.

    The controller hashes by a ring in Lua, with as many points for each replica as `consistent` has here. Unlike nginx,
    it does not ask another replica if one fails, and it hashes a key that is empty, too.
    """

    def __init__(self, folder: Path, ingress: Mapping[str, str]) -> None:
        self.port = free_port()
        self._folder = folder
        self._config = folder / "nginx.conf"
        self._annotations = {name.partition("/")[2]: value for name, value in ingress.items()}

    def route(self, ports: Sequence[int]) -> None:
        known = self._annotations
        servers = "\n".join(f"    server {LOOPBACK}:{port} max_fails=0;" for port in ports)
        places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "\n".join(f"  {place}_temp_path {self._folder}/{place};" for place in places)
        unfinished = self._config.with_suffix(".new")
        unfinished.write_text(f"""
daemon off;
worker_processes 1;
pid {self._folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 2048; }}
http {{
  access_log off;
{folders}
  map $http_upgrade $connection_upgrade {{
    default upgrade;
    '' '';
  }}
  upstream join-session {{
    hash -{known["upstream-hash-by"]} consistent;
{servers}
  }}
  server {{
    listen {LOOPBACK}:{self.port};
    location / {{
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_http_version 1.1;
      proxy_next_upstream off;
      proxy_read_timeout {known["proxy-read-timeout"]}s;
      proxy_send_timeout {known["proxy-send-timeout"]}s;
      {known["configuration-snippet"]}
      proxy_pass http://join-session;
    }}
  }}
}}
""")
        unfinished.replace(self._config)
        pid = self._folder / "nginx.pid"
        if pid.exists():
            # The connections that there are stay with a worker of before.
            os.kill(int(pid.read_text()), signal.SIGHUP)

    def command(self) -> list[str | Path]:
        return [program("nginx"), "-e", "stderr", "-c", self._config, "-p", self._folder]


@asynccontextmanager
async def running(proxy: Proxy) -> AsyncIterator[str]:
    """Starts a proxy and stops it again; gives its URL once it answers."""
    process = await asyncio.create_subprocess_exec(*await asyncio.to_thread(proxy.command))
    # By name: not every client keeps the cookies of an address.
    url = f"http://localhost:{proxy.port}"

    async def answers() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.post(f"{url}/api/session/join", json={})).status_code == 400
            except httpx.TransportError:
                return False

    try:
        await until(answers, "an answer through the proxy")
        yield url
    finally:
        process.terminate()
        await process.wait()
