"""Where the service is, as people write it."""

from __future__ import annotations

import argparse
from typing import Final
from urllib.parse import urlsplit

__all__ = ["DEFAULT_URL", "url", "urls"]

DEFAULT_URL: Final = "http://localhost:8080"


def url(text: str) -> str:
    """A URL without a slash at its end."""
    try:
        place = urlsplit(text.strip())
        right = place.scheme in ("http", "https") and place.hostname and (place.port or 1)
    except ValueError:
        right = False
    if not right or place.query or place.fragment:
        raise argparse.ArgumentTypeError(f"{text} is not a URL such as {DEFAULT_URL}")
    return text.strip().rstrip("/")


def urls(text: str) -> tuple[str, ...]:
    """URLs with commas between them."""
    return tuple(url(part) for part in text.split(","))
