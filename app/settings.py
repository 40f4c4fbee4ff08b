"""The settings. Only this module reads the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo
from pydantic import field_validator as validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.secret_files import checked, read_secret
from app.setting_problems import SettingsError, field_problems, is_service_link, service_link_problem, unknown_problem
from app.setting_types import (
    ALPHABETS,
    OF_COMMANDS,
    PREFIX,
    SECRETS,
    Alphabet,
    Bytes,
    CookieName,
    Count,
    HostAndPort,
    HostName,
    KeyPrefix,
    Level,
    Levels,
    Network,
    Origin,
    Port,
    Seconds,
    SecondsOrZero,
    Secret,
    Text,
    WebhookURL,
    shown,
)

__all__ = ["ALPHABETS", "PREFIX", "SECRETS", "Settings", "SettingsError", "load_settings", "traces_wanted"]

_NOT_BELOW: Final = {"max_lifetime": "lifetime", "max_capacity": "capacity", "miss_budget_total": "miss_budget"}


class Settings(BaseSettings):
    """The configuration of a deployment. Times are in seconds, sizes in bytes.

    Each field is read from the environment variable ``JOIN_SESSION_`` plus its name in capitals. A service uses
    ``load_settings``; tests pass keywords.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        enable_decoding=False,
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    host: Text = Field("0.0.0.0", description="Address that the public port listens on.")  # noqa: S104
    port: Port = Field(8080, description="Public port: HTTP API and Socket.IO. 0 picks a free port.")
    internal_host: Text = Field("0.0.0.0", description="Address that the internal port listens on.")  # noqa: S104
    internal_port: Port = Field(
        9090, description="Internal port: probes, metrics, operators, other replicas. 0 picks a free port."
    )
    replica_address: Text | None = Field(
        None, description="`host` or `host:port` at which other replicas reach the internal port. Default: detected."
    )
    replicas_name: HostAndPort | None = Field(
        None,
        description="`host:port` whose name has the addresses of all replicas, and their internal port, such as a "
        "headless Service: there a replica that Redis refuses finds out whether Redis accepts others.",
    )
    affinity_cookie: CookieName | None = Field(
        None,
        description="Cookie by which a load balancer keeps a client on one replica; a stopping replica clears it in "
        "its refusals.",
    )
    affinity_bucket_cookie: CookieName | None = Field(
        None,
        description="Cookie that creating and joining a session over HTTP set, with one of 4,096 buckets of sessions: "
        "by it a load balancer can bring the people of a session to one replica. Default: not set.",
    )
    affinity_bucket_secure: bool = Field(
        False, description="Whether clients send `JOIN_SESSION_AFFINITY_BUCKET_COOKIE` over HTTPS only."
    )
    affinity_bucket_same_site: Literal["lax", "strict", "none"] = Field(
        "lax",
        description="`SameSite` of `JOIN_SESSION_AFFINITY_BUCKET_COOKIE`. Pages of other sites need `none`, with "
        "`JOIN_SESSION_AFFINITY_BUCKET_SECURE`.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="Networks (CIDR, comma separated) whose `X-Forwarded-For` is trusted."
    )
    allowed_origins: tuple[Origin, ...] = Field(
        (), description="Origins (comma separated, `*` for any) that browsers may call from, besides the same origin."
    )

    redis_url_file: Path | None = Field(None, description="File that holds `JOIN_SESSION_REDIS_URL`.")
    redis_url: Secret | None = Field(
        None,
        description="URL of Redis or Valkey: `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, "
        "`redis+cluster://`. Default: an embedded Valkey, for development.",
    )
    redis_timeout: Seconds = Field(
        1.5,
        description="Time after which a call to Redis fails; also the limit for all calls of one request or event "
        "together.",
    )
    key_prefix: KeyPrefix = Field(
        "js",
        description="Beginning of the names of all keys and channels in Redis: at most 60 of `a`-`z`, `0`-`9`, `-`. "
        "Deployments that share a Redis need different ones.",
    )

    secret_file: Path | None = Field(None, description="File that holds `JOIN_SESSION_SECRET`.")
    secret: Secret | None = Field(
        None,
        description="Signs tokens and the requests between replicas, at least 32 characters. A list, comma or line "
        "separated, the newest first: the newest that all live replicas know signs, and all of it is accepted. "
        "Default: a random one that the replicas share in Redis.",
    )
    create_key_file: Path | None = Field(None, description="File that holds `JOIN_SESSION_CREATE_KEY`.")
    create_key: Secret | None = Field(
        None,
        description="Key that clients must send to create sessions, 16 or more random characters. Default: no key.",
    )
    operator_token_file: Path | None = Field(None, description="File that holds `JOIN_SESSION_OPERATOR_TOKEN`.")
    operator_token: Secret | None = Field(
        None,
        description="Bearer token of the operators' API on the internal port, at least 16 characters. "
        "Default: that API is off.",
    )

    lifetime: Seconds = Field(
        7200, description="Time until an idle session expires: no participant connected, no change."
    )
    min_lifetime: Seconds = Field(
        60,
        description="Shortest lifetime that a client may ask for; by default not longer than `JOIN_SESSION_LIFETIME`.",
    )
    max_lifetime: Seconds = Field(86400, description="Maximum time that a session lives.")
    unjoined_lifetime: SecondsOrZero = Field(
        1800,
        description="Time that a session lives on until somebody has joined, where `ttlSeconds` was not given; 0 for "
        "`JOIN_SESSION_LIFETIME`.",
    )
    expiry_warning: SecondsOrZero = Field(
        60, description="Time before the maximum lifetime at which members are warned."
    )
    grace: SecondsOrZero = Field(60, description="Time that a disconnected participant stays in the session.")
    lease: Seconds = Field(15, description="Time after which a replica that does not renew its lease counts as dead.")
    code_rest: SecondsOrZero = Field(600, description="Time for which the code of an ended session is not reused.")
    code_alphabet: Alphabet = Field(
        "digits",
        description=f"Characters of session codes: `digits`, `letters` (`{ALPHABETS['letters']}`: no vowels, no "
        "look-alikes) or the ASCII letters and digits themselves.",
    )
    code_length: Annotated[int, Field(ge=1, le=64)] = Field(6, description="Number of characters of a session code.")
    capacity: Count = Field(100, description="Default capacity of a session, in participants.")
    max_capacity: Count = Field(1000, description="Maximum capacity that a client may request.")
    listed_participants: Count = Field(
        200, description="Participants that updates and responses list, the host among them. The others are counted."
    )
    max_movies: Count = Field(500, description="Movies per session.")
    max_movies_bytes: Count = Field(524_288, description="Total bytes of a session's movies.")
    max_sessions: Count = Field(100_000, description="Live sessions of the whole deployment.")
    second_connection: Literal["allow", "newest", "reject"] = Field(
        "allow",
        description="What a participant's second connection does: `allow` joins the first, `newest` replaces it, "
        "`reject` is refused.",
    )
    leaver_ratings: Literal["keep", "drop"] = Field(
        "drop",
        description="Whether the ratings of people who leave or are removed go with them (`drop`), or stay as those of "
        "people whose grace time has ended do (`keep`).",
    )

    decide_delay: Seconds = Field(
        10, description="Time from the last rating of all to the decision, where that comes once everybody has rated."
    )

    webhook_allow_http: bool = Field(False, description="Allow a receiver of webhooks without TLS.")
    webhook_secret_file: Path | None = Field(None, description="File that holds `JOIN_SESSION_WEBHOOK_SECRET`.")
    webhook_secret: Secret | None = Field(
        None,
        description="Signs webhooks, at least 32 characters, as text or as base64 after `whsec_`. A list, comma or "
        "line separated: each of them signs.",
    )
    webhook_url: WebhookURL | None = Field(
        None,
        description="URL to which what happens to sessions is sent, see [webhooks.md](webhooks.md). "
        "Default: nothing is sent.",
    )
    webhook_retention: Seconds = Field(3600, description="Time for which an event is sent again until it is taken.")
    webhook_max_pause: Seconds = Field(300, description="Longest time between two attempts to send an event.")
    webhook_max_events: Count = Field(
        10_000, description="Events of the whole deployment that wait to be sent; beyond that the oldest are dropped."
    )
    webhook_max_bytes: Count = Field(33_554_432, description="Bytes of these events, likewise.")

    miss_budget: Count = Field(20, description="Failed look-ups of session codes per minute and address.")
    miss_budget_total: Count = Field(6000, description="Failed look-ups per minute of all addresses together.")
    create_budget: Count = Field(60, description="Sessions created per minute and address.")
    max_sessions_per_address: Count = Field(
        50, description="Live sessions that an address has created, with 4 MiB of movies given at `create`."
    )
    unlimited_addresses: tuple[Network, ...] = Field(
        (), description="Networks (CIDR, comma separated) exempt from all budgets and caps."
    )
    body_limit: Count = Field(16_384, description="Bytes of a request body or a Socket.IO payload.")
    movies_body_limit: Count = Field(262_144, description="Bytes of a request body or payload with movies.")
    memory_limit: Bytes | None = Field(
        None, description="Bytes of memory that a replica may use. Default: the limit of its cgroup, if there is one."
    )
    max_connections: Count | None = Field(
        None, description="Sockets per replica. Default: as many as fit its memory, at most 20,000."
    )
    max_connections_per_address: Count = Field(2000, description="Sockets per replica and address.")
    max_tcp_connections: Count | None = Field(
        None, description="TCP connections per port of a replica. Default: 1.5 for each socket, at least 1,000."
    )
    max_tcp_connections_per_address: Count = Field(
        5000,
        description="TCP connections per port and address; behind a trusted proxy: concurrent requests per address.",
    )
    max_unread_bytes: Count = Field(
        67_108_864, description="Bytes of HTTP responses per port that clients have not read yet."
    )
    write_timeout: Seconds = Field(20, description="Time within which a client must read a pending response.")
    events_per_second: Count = Field(100, description="Events per second above which a socket is throttled.")
    events_burst: Count = Field(2000, description="Events that a socket may send in a burst before it is throttled.")

    ping_interval: Seconds = Field(25, description="Interval of heartbeats.")
    ping_timeout: Seconds = Field(20, description="Time within which a client must answer a heartbeat.")
    connect_timeout: Seconds = Field(45, description="Time within which a new connection must join the namespace.")
    join_deadline: Seconds = Field(900, description="Time within which a connected socket must join a session.")
    drain_timeout: SecondsOrZero = Field(25, description="Time over which a stopping replica closes its connections.")

    direct_websockets: bool = Field(
        True, description="Serve WebSockets without ASGI, which costs less; `false` is for finding faults."
    )
    compression: bool = Field(
        True, description="Compress updates from 256 bytes and responses from 1 KiB on, for clients that accept it."
    )
    direct_joins: bool = Field(
        True,
        description="Answer `POST /api/session/join` without Quart, which costs less; `false`: to find faults.",
    )
    demo: bool = Field(False, description="Serve the demo page at `/`.")
    image_hosts: tuple[HostName, ...] = Field(
        (), description="Hosts (comma separated) from which the demo page shows posters. Default: it shows none."
    )
    log_level: Level = Field(
        "info", description="Minimum level to log: `debug`, `info`, `warning`, `error`, `critical`."
    )
    log_levels: Levels = Field({}, description="Levels of single loggers, such as `app.store=debug,uvicorn=warning`.")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="`json` lines, readable `text`, or `auto`: text on a terminal, else JSON."
    )

    @property
    def code_characters(self) -> str:
        """The characters that session codes are made of."""
        return ALPHABETS.get(self.code_alphabet, self.code_alphabet)

    def shown(self) -> dict[str, str]:
        """Return every environment variable with its effective value, with secrets masked."""
        return {PREFIX + name.upper(): shown(name, getattr(self, name)) for name in type(self).model_fields}

    @validator("allowed_origins", "image_hosts", "trusted_proxies", "unlimited_addresses", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(_parts(value)) if isinstance(value, str) else value

    @validator(*SECRETS, mode="before")
    @classmethod
    def _from_file(cls, value: object, info: ValidationInfo) -> object:
        path = info.data.get(f"{info.field_name}_file")
        if path is None:
            return value
        if value is not None:
            raise ValueError("given twice, as a value and as a file")
        return read_secret(path)

    @validator(*SECRETS)
    @classmethod
    def _checked(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None:
            checked(str(info.field_name), value.get_secret_value())
        return value

    @validator(*_NOT_BELOW)
    @classmethod
    def _at_least(cls, value: float, info: ValidationInfo) -> float:
        lower = _NOT_BELOW[str(info.field_name)]
        if value < info.data.get(lower, value):
            raise ValueError(f"{value:g} is less than {PREFIX}{lower.upper()}, {info.data[lower]:g}")
        return value

    @validator("min_lifetime")
    @classmethod
    def _within_the_lifetime(cls, value: float, info: ValidationInfo) -> float:
        lifetime = info.data.get("lifetime", value)
        if value > lifetime and value != cls.model_fields["min_lifetime"].default:
            raise ValueError(f"{value:g} is more than {PREFIX}LIFETIME, {lifetime:g}")
        return float(min(value, lifetime))

    @validator("affinity_bucket_cookie")
    @classmethod
    def _another_cookie(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and value == info.data.get("affinity_cookie"):
            raise ValueError(f"{value} is {PREFIX}AFFINITY_COOKIE, too; a client would keep only one of them")
        return value

    @validator("webhook_url")
    @classmethod
    def _safe_and_signed(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and value.startswith("http:") and not info.data.get("webhook_allow_http"):
            raise ValueError(f"is not https, which only {PREFIX}WEBHOOK_ALLOW_HTTP=true allows")
        if value is not None and info.data.get("webhook_secret", "") is None:
            raise ValueError(f"needs {PREFIX}WEBHOOK_SECRET")
        return value

    @validator("affinity_bucket_same_site")
    @classmethod
    def _kept_by_browsers(cls, value: str, info: ValidationInfo) -> str:
        if value == "none" and not info.data.get("affinity_bucket_secure", True):
            raise ValueError(f"browsers drop such a cookie without {PREFIX}AFFINITY_BUCKET_SECURE=true")
        return value

    @validator("internal_port")
    @classmethod
    def _differs(cls, value: int, info: ValidationInfo) -> int:
        if value and value == info.data.get("port"):
            raise ValueError(f"{value} is the public port, too; the internal one must not be reachable with it")
        return value

    @validator("code_length")
    @classmethod
    def _space(cls, value: int, info: ValidationInfo) -> int:
        alphabet = info.data.get("code_alphabet", "digits")
        if (space := len(ALPHABETS.get(alphabet, alphabet)) ** value) < 10:
            raise ValueError(f"leaves only {space} different session codes")
        return value


def load_settings(env_file: Path = Path(".env")) -> Settings:
    """Read the settings from the environment, and from ``env_file`` if it exists. The environment wins.

    Raises SettingsError with all problems at once, unknown names included.
    """
    try:
        environment = {name: value for name, value in os.environ.items() if name not in OF_COMMANDS}
        given = {**dotenv_values(env_file), **environment}
    except (OSError, UnicodeError) as error:
        raise SettingsError([f"{env_file} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}"]) from error
    given = {name.upper(): value for name, value in given.items() if name.upper().startswith(PREFIX)}
    links = [name for name, value in given.items() if is_service_link(name, value or "")]
    problems = [service_link_problem(links)] if links else []
    problems += [
        unknown_problem(name, Settings.model_fields) for name in given if name not in links and not _field(name)
    ]
    try:
        settings = Settings(_env_file=env_file)
    except ValidationError as error:
        problems += [line for name, line in field_problems(error.errors(include_url=False)) if name not in links]
    if problems:
        raise SettingsError(problems)
    return settings


def traces_wanted() -> bool:
    """Return whether OpenTelemetry's variables ask for traces: they name a receiver, or the exporter ``otlp``.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if exporters := set(_parts(os.environ.get("OTEL_TRACES_EXPORTER", ""))):
        return "otlp" in exporters
    receivers = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(os.environ.get(name, "").strip() for name in receivers)


def _parts(text: str) -> Iterator[str]:
    return (part.strip() for part in text.split(",") if part.strip())


def _field(name: str) -> bool:
    return name.removeprefix(PREFIX).lower() in Settings.model_fields
