"""What must be in no log, trace or metric.

Every log, export of traces and scrape of metrics that the harness takes in goes through `assert_nothing_private`, which
looks for what is secret by its form, and for what the clients of the harness were told in this run (`note`).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

from app.settings import ALPHABETS

__all__ = ["assert_nothing_private", "found_in", "note"]

_LETTERS: Final = ALPHABETS["letters"]

# A code of ten letters is one only where the replica gives such codes out; with digits alone it could be any number.
_FORMS: Final = {
    "a token": re.compile(r"(?<![\w.])[hp]\.[a-z0-9]{1,32}\.[a-z0-9]{1,32}\.[\w-]{22}(?![\w-])", re.ASCII),
    "a recovery id": re.compile(r"(?<![\w-])[\w-]{24}\.[0-9a-f]{8}(?!\w)", re.ASCII),
    "a session's key": re.compile(r"js:\{\w+\}"),
    "a code of ten letters": re.compile(rf"(?<!\w)(?=\d*[A-Z])[{_LETTERS}]{{10}}(?!\w)"),
}


# The fields of answers and events that hold a secret by themselves; of names only those of participants are.
_SECRET_FIELDS: Final = ("sessionID", "participantID", "token", "hostToken", "pid")
# Shorter ones, and those without capitals, could be part of any text.
_TELLING: Final = re.compile(r"(?=.*[A-ZÀ-Þ])(?=.*[^\W\d]{2}).{3,}")

# Codes, tokens and ids of the service have ten characters or more; tests make up others.
_MIN_LENGTH: Final = 10

_told: Final[set[str]] = set()
_names: Final[set[str]] = set()


def note(said: Any) -> None:
    """Notes what is secret in an answer, an acknowledgement or the arguments of an event."""
    if isinstance(said, list):
        for part in said:
            note(part)
    if not isinstance(said, dict):
        return
    secrets = (said.get(field) for field in _SECRET_FIELDS)
    _told.update(secret for secret in secrets if isinstance(secret, str) and len(secret) >= _MIN_LENGTH)
    people = said.get("participants")
    if isinstance(people, list):
        _names.update(person["name"] for person in people if isinstance(person, dict) and "name" in person)
        note(people)
    for field in ("sessionData", "meta"):
        note(said.get(field))


def assert_nothing_private(text: str) -> None:
    """Raises AssertionError for what looks like a secret, is a secret that was told, or the name of a participant."""
    for what, form in _FORMS.items():
        found = form.search(text)
        assert found is None, f"{what} is in it: {_around(text, found.start())}"
    told = _told.intersection(re.findall(r"[\w.~-]+", text))
    assert not told, f"{told} was told, and is in it"
    for name in _names:
        if _TELLING.fullmatch(name) and name in text:
            found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
            assert found is None, f"a name is in it: {_around(text, found.start())}"


def found_in(text: str, secrets: Iterable[str]) -> list[str]:
    """Those of `secrets` that are in a text, as they are, in other letters, or encoded."""
    plain = text.casefold()
    return [secret for secret in secrets if any(form in plain for form in _forms_of(secret))]


def _forms_of(secret: str) -> set[str]:
    escaped = json.dumps(secret)[1:-1]
    encoded = b64encode(secret.encode()).decode().rstrip("=")[:-1]
    return {form.casefold() for form in (secret, quote(secret), quote_plus(secret), escaped, encoded)}


def _around(text: str, position: int) -> str:
    return text[max(0, position - 200) : position + 100]
