"""Negotiates permessage-deflate: https://www.rfc-editor.org/rfc/rfc7692#section-7.1.

It is accepted without context takeover in both directions, with the largest window.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from app.socketio_server import refusals

__all__ = ["accept_deflate"]

_NAME: Final = "permessage-deflate"
_SERVER_BITS: Final = "server_max_window_bits"
# Connections keep their answer, so it is one of two objects.
_ANSWER: Final = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
# Section 7.1.2.1: an offer with this parameter is accepted with the same.
_ANSWER_WITH_BITS: Final = _ANSWER + b"; server_max_window_bits=15"
# The parameters of an offer and the values with which it can be accepted; empty: no value. A smaller window of the
# server would need a frame of its own.
_VALUES: Final = {
    "server_no_context_takeover": re.compile(r""),
    "client_no_context_takeover": re.compile(r""),
    "client_max_window_bits": re.compile(r"|[89]|1[0-5]"),
    _SERVER_BITS: re.compile(r"15"),
}

# The grammar of the header: https://www.rfc-editor.org/rfc/rfc6455#section-9.1. A quoted value is a token as well.
_SPACE: Final = r"[ \t]*"
_CHAR: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_PARAMETER: Final = re.compile(
    rf";{_SPACE}(?P<name>{_CHAR}+){_SPACE}(?:={_SPACE}(?P<value>{_CHAR}+|\"(?:\\?{_CHAR})+\"){_SPACE})?"
)
_OFFER: Final = re.compile(rf"{_SPACE}({_CHAR}+){_SPACE}")
# Lists may have empty elements.
_SEPARATORS: Final = re.compile(r"[ \t,]*")


class _Parameter(NamedTuple):
    name: str
    value: str


class _Offer(NamedTuple):
    name: str
    parameters: list[_Parameter]


def accept_deflate(offers: str) -> bytes | None:
    """Return the header that accepts the first acceptable one of a client's offers, None if there is none.

    Raises ``Refusal`` for a malformed header.
    """
    # All are parsed, so that a malformed header is noticed in any case.
    acceptable = [offer for offer in _parse(offers) if offer.name == _NAME and _is_acceptable(offer.parameters)]
    if not acceptable:
        return None
    asks_for_bits = any(parameter.name == _SERVER_BITS for parameter in acceptable[0].parameters)
    return _ANSWER_WITH_BITS if asks_for_bits else _ANSWER


def _is_acceptable(parameters: list[_Parameter]) -> bool:
    names = {parameter.name for parameter in parameters}
    return len(names) == len(parameters) and all(
        parameter.name in _VALUES and _VALUES[parameter.name].fullmatch(parameter.value) for parameter in parameters
    )


def _parse(header: str) -> Iterator[_Offer]:
    at = _end_of_separators(header, 0)
    while at < len(header):
        offer = _OFFER.match(header, at)
        if offer is None:
            raise refusals.bad_request()
        at = offer.end()
        parameters = []
        while parameter := _PARAMETER.match(header, at):
            value = (parameter["value"] or "").strip('"').replace("\\", "")
            parameters.append(_Parameter(parameter["name"], value))
            at = parameter.end()
        if at < len(header) and header[at] != ",":
            raise refusals.bad_request()
        at = _end_of_separators(header, at)
        yield _Offer(offer[1], parameters)


def _end_of_separators(header: str, at: int) -> int:
    match = _SEPARATORS.match(header, at)
    return at if match is None else match.end()
