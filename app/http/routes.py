"""What a request is called where it must not be told from the next one: in metrics and traces."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

__all__ = ["OTHER_METHOD", "method_of", "route_of"]

OTHER_METHOD: Final = "_OTHER"

# RFC 9110 and RFC 5789: whatever else is sent as a method may be anything.
_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_PLACEHOLDER: Final = re.compile(r"<(?:[^:<>]*:)?([^<>]+)>")


def method_of(given: str) -> str:
    """A method that HTTP knows, or ``_OTHER``."""
    return given if given in _METHODS else OTHER_METHOD


@cache
def route_of(rule: str) -> str:
    """Quart's rule of a route as the OpenAPI document writes it: ``/api/session/{session_id}``."""
    return _PLACEHOLDER.sub(r"{\1}", rule)
