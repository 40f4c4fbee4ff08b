"""Reads recordings of `tests.contract`: requests and events with their answers, in order.

Placeholders become values of the same form, the same one for the same placeholder.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["Event", "Request", "ServerEvent", "Traffic", "read_traffic"]

_NOW: Final = "2026-01-22T20:15:00.000Z"
_LATER: Final = "2026-01-22T21:15:00.000Z"
_SERVED: Final = re.compile(r"> (?P<method>[A-Z]+) (?P<target>/\S*) HTTP/1\.1")
_STATUS: Final = re.compile(r"< HTTP/1\.1 (\d{3})")
_FIELD: Final = re.compile(r"([A-Za-z-]+): (.*)")
_FRAME: Final = re.compile(r"(?P<who>\w+) (?P<way>[<>]) 4(?P<kind>[23])(?P<id>\d*)(?P<data>\[.*)")


@dataclass
class Request:
    """A request with its response; bodies are text, empty without one."""

    method: str
    target: str
    body: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    answer: str = ""


@dataclass
class Event:
    """An event of a client; `ack` is None without an acknowledgement."""

    name: str
    arguments: list[Any]
    ack: Any = None


@dataclass
class ServerEvent:
    name: str
    arguments: list[Any]


Traffic = Request | Event | ServerEvent


def read_traffic(recording: Path) -> Iterator[Traffic]:
    """Yield what a recording holds."""
    request: Request | None = None
    asked: dict[tuple[str, str], Event] = {}
    for line in [*_lines(recording.read_text()), ""]:
        if frame := _FRAME.fullmatch(line):
            yield from _packet(frame, asked)
        elif served := _SERVED.fullmatch(line):
            request = Request(served["method"], served["target"])
        elif request is not None and line:
            _add(request, line)
        elif request is not None:
            yield request
            request = None


def _lines(text: str) -> Iterator[str]:
    """Yield the lines, of which the recording has broken the long ones, with values for placeholders."""
    text = re.sub(r"\n {6}(?=\{)", "", text)
    text = re.sub(r'("(?:expiresAt|decideAt)":")<time>', rf"\g<1>{_LATER}", text)
    yield from re.sub(r"<(\w[a-z ]*?)( \d+)?( in small letters)?>", _value, text).splitlines()


def _value(placeholder: re.Match[str]) -> str:
    kind, number = placeholder[1], int(placeholder[2] or 0)
    if kind == "digit":
        kind, number = "code", 1
    digest = hashlib.sha256(f"{kind} {number}".encode()).digest()
    letters = base64.b32encode(digest).decode().lower()
    subject = "1" if kind == "host token" else letters[12:20]
    return {
        "time": _NOW,
        "date": "Thu, 22 Jan 2026 20:15:00 GMT",
        "seconds": "17",
        "host": "localhost:8080",
        "code": f"{int.from_bytes(digest[:4], 'big') % 900_000 + 100_000}",
        "token": f"p.{letters[:24]}.{subject}.{base64.urlsafe_b64encode(digest).decode()[:22]}",
        "host token": f"h.{letters[:24]}.{subject}.{base64.urlsafe_b64encode(digest).decode()[:22]}",
    }.get(kind, letters[:15])


def _packet(frame: re.Match[str], asked: dict[tuple[str, str], Event]) -> Iterator[Traffic]:
    try:
        data = json.loads(frame["data"])
    except ValueError:
        return
    asking = (frame["who"], frame["id"])
    if frame["kind"] == "3":
        if asking in asked and data:
            event = asked.pop(asking)
            event.ack = data[0]
            yield event
    elif frame["way"] == "<":
        yield ServerEvent(data[0], data[1:])
    elif data and frame["id"]:
        asked[asking] = Event(data[0], data[1:])


def _add(request: Request, line: str) -> None:
    """Add a line of the request, or of its response."""
    if status := _STATUS.match(line):
        request.status = int(status[1])
    elif line.startswith("> ") and not _FIELD.fullmatch(line[2:]):
        request.body = line[2:]
    elif line.startswith("< ") and request.status:
        if not request.answer and (found := _FIELD.fullmatch(line[2:])) and not line.startswith("< {"):
            request.headers[found[1].lower()] = found[2]
        else:
            request.answer += line[2:]
    elif request.answer:
        request.answer += f"\r\n{line}"
