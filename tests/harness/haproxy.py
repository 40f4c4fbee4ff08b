"""A real HAProxy that serves a page's files and the service under one origin."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.harness.ports import LOOPBACK
from tests.harness.programs import program

__all__ = ["one_origin"]

_TYPES: Final = {".html": "text/html; charset=utf-8", ".js": "text/javascript"}
_STOP_TIMEOUT: Final = 5.0

# The buffer must be large enough for a whole file.
_CONFIGURATION: Final = """
global
    tune.bufsize 262144
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend origin
    bind fd@{listener}
{files}
    use_backend service if {{ path_beg /api/ /socket.io/ }}
backend service
    balance roundrobin
{servers}
"""


@asynccontextmanager
async def one_origin(files: Mapping[str, Path], ports: Sequence[int]) -> AsyncIterator[str]:
    """Return the URL of an origin with `files` by path, and the service below `/api/` and `/socket.io/`.

    Requests to the service go to its `ports` in turn, also within one Socket.IO session.
    """
    binary = program("haproxy")
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "haproxy.cfg"
        # Connections wait in the socket's queue until HAProxy accepts them. If it ends, they are refused.
        with socket.create_server((LOOPBACK, 0)) as listener:
            url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
            configuration.write_text(_configuration(listener.fileno(), files, ports))
            process = await asyncio.create_subprocess_exec(
                binary, "-db", "-q", "-f", configuration, pass_fds=[listener.fileno()], stderr=PIPE
            )
        errors = asyncio.create_task(process.communicate())
        try:
            yield url
        finally:
            if errors.done():
                raise AssertionError(f"HAProxy has ended: {(await errors)[1].decode()}")
            process.terminate()
            await asyncio.wait_for(errors, _STOP_TIMEOUT)


def _configuration(listener: int, files: Mapping[str, Path], ports: Sequence[int]) -> str:
    answers = (
        f'    http-request return status 200 content-type "{_TYPES[file.suffix]}" file "{file}" if {{ path {path} }}'
        for path, file in files.items()
    )
    servers = (f"    server replica{port} {LOOPBACK}:{port}" for port in ports)
    return _CONFIGURATION.format(listener=listener, files="\n".join(answers), servers="\n".join(servers))
