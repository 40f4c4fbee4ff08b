"""Conversions between the names of routes in Quart, in the documents and in metrics."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

__all__ = ["OTHER_METHOD", "method_of", "route_of", "rule_of", "variable_of"]

OTHER_METHOD: Final = "_OTHER"

# RFC 9110 and RFC 5789. Any other method is text chosen by the client.
_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_PARAMETER: Final = re.compile(r"{(\w+)}")
_PLACEHOLDER: Final = re.compile(r"<(?:[^:<>]*:)?([^<>]+)>")


def method_of(given: str) -> str:
    """Return the method if HTTP defines it, else ``_OTHER``."""
    return given if given in _METHODS else OTHER_METHOD


@cache
def route_of(rule: str) -> str:
    """Return Quart's rule of a route as the OpenAPI document writes it: ``/api/session/{session_id}``."""
    return _PLACEHOLDER.sub(r"{\1}", rule)


def rule_of(path: str) -> str:
    """Return Quart's rule for a path with parameters.

    ``/api/session/{sessionID}`` becomes ``/api/session/<session_id:session_id>``. The converter of a session's code has
    the same name as its variable.
    """
    return _PARAMETER.sub(lambda found: _rule_variable(variable_of(found[1])), path)


def variable_of(parameter: str) -> str:
    """Return the variable in rules for a parameter: ``session_id`` for ``sessionID``."""
    return parameter.replace("ID", "_id")


def _rule_variable(variable: str) -> str:
    return f"<{variable}:{variable}>" if variable == "session_id" else f"<{variable}>"
