"""Parses the Redis URL."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote

__all__ = ["Address", "Kind", "Login", "RedisURL", "parse_url"]

Kind = Literal["standalone", "replicated", "sentinel", "cluster"]

_SCHEMES: Final[dict[str, tuple[Kind, bool]]] = {
    "redis": ("standalone", False),
    "rediss": ("standalone", True),
    "unix": ("standalone", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_DEFAULT_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")


class Address(NamedTuple):
    """A TCP address, or with port 0 the path of a unix socket."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


@dataclass(frozen=True)
class Login:
    """Credentials, database and TLS settings of a connection."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RedisURL:
    """A parsed Redis URL. ``sentinel_login`` is the login for the sentinels that watch ``service``."""

    kind: Kind
    addresses: tuple[Address, ...]
    login: Login
    sentinel_login: Login
    service: str = ""


def parse_url(url: str) -> RedisURL:
    """Parse a URL in one of these forms.

    - ``redis://[[user]:password@]host[:port][/db]``, with TLS ``rediss://``; of several hosts, ``host[:port],...``, the
      one that is the primary is used
    - ``unix://[[user]:password@]/path[?db=n]``
    - ``redis+sentinel://[[user]:password@]host[:port],...[/db]/service[?sentinel_username=...&sentinel_password=...]``
    - ``redis+cluster://[[user]:password@]host[:port],...``

    TLS options, named as redis-py names them: ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile`` (files),
    ``ssl_cert_reqs`` (``required`` or ``none``), ``ssl_check_hostname`` (``true`` or ``false``). Reserved characters
    are percent-encoded.

    Raises ValueError with a message that shows no part of the credentials.
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ValueError(f"the Redis URL must begin with one of {', '.join(f'{known}://' for known in _SCHEMES)}")
    kind, with_tls = _SCHEMES[scheme]
    rest, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    credentials, at_sign, place = rest.rpartition("@")
    hosts, _, path = place.partition("/")
    if scheme == "unix":
        hosts, path = place, options.pop("db", "")
        addresses: tuple[Address, ...] = (Address(unquote(hosts), 0),)
        if not hosts.startswith("/"):
            raise ValueError("a unix:// Redis URL needs an absolute path, as in unix:///run/redis.sock")
    else:
        port = _SENTINEL_PORT if kind == "sentinel" else _DEFAULT_PORT
        addresses = tuple(_address(host, port) for host in hosts.split(","))
    if kind == "standalone" and len(addresses) > 1:
        kind = "replicated"
    db, service = _path_parts(kind, unquote(path).strip("/"))
    allowed = (_TLS_OPTIONS if with_tls else ()) + (_SENTINEL_OPTIONS if kind == "sentinel" else ())
    if unknown := sorted(options.keys() - set(allowed)):
        known = ", ".join(allowed) or "none"
        raise ValueError(f"unknown option in the Redis URL: {', '.join(unknown)}; known for {scheme}://: {known}")
    username, _, password = credentials.partition(":")
    if at_sign and not password:
        raise ValueError("the Redis URL has an @ but no password; reserved characters must be percent-encoded")
    tls = _tls_context(options) if with_tls else None
    return RedisURL(
        kind,
        addresses,
        Login(unquote(username) or None, unquote(password) or None, db, tls),
        Login(options.get("sentinel_username"), options.get("sentinel_password"), 0, tls),
        service,
    )


def _address(text: str, default_port: int) -> Address:
    host, port = text, str(default_port)
    if text.startswith("["):
        host, _, port_part = text[1:].partition("]")
        port = port_part.removeprefix(":") or port
    elif ":" in text:
        host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("a host of the Redis URL must be host, host:port or [ipv6]:port, the port from 1 to 65535")
    return Address(unquote(host), int(port))


def _path_parts(kind: Kind, path: str) -> tuple[int, str]:
    db, _, service = path.rpartition("/") if kind == "sentinel" else (path, "", "")
    if kind == "sentinel" and not service:
        raise ValueError(
            "a Sentinel URL must end with the name of the service, as in redis+sentinel://host:26379/0/mymaster"
        )
    if db and not (db.isascii() and db.isdigit()):
        raise ValueError("the database in the Redis URL must be a number")
    if kind == "cluster" and db not in ("", "0"):
        raise ValueError("Redis Cluster has database 0 only")
    return int(db or 0), service


def _tls_context(options: dict[str, str]) -> ssl.SSLContext:
    required = options.get("ssl_cert_reqs", "required")
    check_hostname = options.get("ssl_check_hostname", "true").lower()
    if required not in ("required", "none"):
        raise ValueError("ssl_cert_reqs in the Redis URL must be required or none")
    if check_hostname not in ("true", "false"):
        raise ValueError("ssl_check_hostname in the Redis URL must be true or false")
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if certificate := options.get("ssl_certfile"):
            context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    except OSError as error:
        raise ValueError(f"the TLS files named in the Redis URL cannot be used: {error}") from error
    context.check_hostname = check_hostname == "true" and required == "required"
    if required == "none":
        context.verify_mode = ssl.CERT_NONE
    return context
