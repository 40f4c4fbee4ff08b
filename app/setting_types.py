"""The names of the variables, the types of settings, and how their values are printed."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

__all__ = [
    "ALPHABETS",
    "OF_COMMANDS",
    "PREFIX",
    "SECRETS",
    "Alphabet",
    "Bytes",
    "CookieName",
    "Count",
    "HostAndPort",
    "HostName",
    "KeyPrefix",
    "Level",
    "Levels",
    "Network",
    "Origin",
    "Port",
    "Seconds",
    "SecondsOrZero",
    "Secret",
    "Text",
    "WebhookURL",
    "shown",
]


# The alphabet of Open Location Code: no vowels, so no words appear, and no characters that look alike.
ALPHABETS: Final = {"digits": "0123456789", "letters": "23456789CFGHJMPQRVWX"}

PREFIX: Final = "JOIN_SESSION_"
OF_COMMANDS: Final = tuple(PREFIX + name for name in ("URL", "PASSCODE", "TOKEN"))
"""Variables that commands read, from the environment only: they are no settings of the service."""

# The settings whose values are not shown.
SECRETS: Final = ("redis_url", "secret", "create_key", "operator_token", "webhook_secret")


def _origin(value: object) -> str:
    """Return an origin as browsers write it: lower case, without a default port; ``*`` means any."""
    text = str(value)
    if text == "*":
        return text
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.path.strip("/") or url.query:
        raise ValueError(f"{text} is not an origin such as https://example.org")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    default = {"http": 80, "https": 443}[url.scheme]
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port not in (None, default) else "")


def _alphabet(value: str) -> str:
    if value in ALPHABETS:
        return value
    if not (value.isascii() and value.isalnum()):
        raise ValueError(f"neither one of {', '.join(ALPHABETS)} nor ASCII letters and digits")
    if len(set(value.lower())) < len(value):
        raise ValueError("has the same character twice (capitals and small letters are the same to people)")
    return value


def _webhook_url(value: object) -> str:
    """Return the URL of a receiver; credentials are refused, because URLs are shown."""
    text = str(value).strip()
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.fragment:
        raise ValueError("not a URL such as https://example.org/hook, without a user and a fragment")
    if not text.isascii() or not text.isprintable() or " " in text or url.port == 0:
        raise ValueError("has a character that a URL cannot have, or no port")
    return text


def _pairs(value: object) -> object:
    """Return ``name=value,...`` as a dictionary."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    return {name.strip(): text.strip() for name, _, text in pairs}


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Alphabet = Annotated[Text, AfterValidator(_alphabet)]
# RFC 6265, section 4.1.1: a token of HTTP.
CookieName = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[\w!#$%&'*+.^`|~-]+$")]
HostAndPort = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9._-]+:[0-9]{1,5}$")]
HostName = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")
]
KeyPrefix = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[a-z0-9-]{1,60}$")]
Secret = Annotated[SecretStr, Field(min_length=1)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Bytes = Annotated[int, Field(ge=1, le=2**50)]
# One year: longer than any duration needs to be, and small enough for arithmetic with Redis' clock.
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(lambda v: ip_network(str(v)))]
Origin = Annotated[str, BeforeValidator(_origin)]
Level = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(lambda v: str(v).lower())]
Levels = Annotated[dict[str, Level], BeforeValidator(_pairs)]
WebhookURL = Annotated[str, BeforeValidator(_webhook_url)]


def shown(name: str, value: object) -> str:
    """Return the value of a setting as written in the environment, with secrets masked."""
    match value:
        case None:
            return ""
        case SecretStr():
            return _masked_url(value.get_secret_value()) if name == "redis_url" else "********"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple():
            return ",".join(map(str, value))
        case dict():
            return ",".join(f"{key}={item}" for key, item in value.items())
        case _:
            return str(value)


def _masked_url(url: str) -> str:
    place, mark, query = url.partition("?")
    scheme, slashes, rest = place.partition("://")
    if "@" in rest:
        rest = "********@" + rest.rpartition("@")[2]
    query = re.sub(r"(password=)[^&]*", r"\1********", query)
    return scheme + slashes + rest + mark + query
