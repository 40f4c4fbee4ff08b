"""A real nginx in front of a replica, with the usual configuration for WebSockets."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.harness.ports import LOOPBACK, free_port
from tests.harness.programs import program

__all__ = ["passing_upgrades_on"]

_START_TIMEOUT: Final = 10.0
_STOP_TIMEOUT: Final = 5.0

# https://nginx.org/en/docs/http/websocket.html: any upgrade that a client asks for is forwarded.
_CONFIGURATION: Final = """
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr crit;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        '' close;
    }}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://{host}:{target};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
    }}
}}
"""


@contextmanager
def passing_upgrades_on(target: int) -> Iterator[str]:
    """Return the URL of an nginx that forwards everything to a port."""
    binary = program("nginx")
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(directory=directory, host=LOOPBACK, port=port, target=target))
        process = subprocess.Popen([binary, "-e", "stderr", "-c", configuration, "-p", directory])
        try:
            _wait_until_listening(process, port)
            yield f"http://{LOOPBACK}:{port}"
        finally:
            process.terminate()
            process.wait(_STOP_TIMEOUT)


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait for the port. nginx has no documented way to inherit a listening socket."""
    deadline = time.monotonic() + _START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError("nginx does not listen")
