"""Searches logs, traces and metrics for private data.

`assert_nothing_private` checks every log, trace export and scrape that the harness receives. It finds secrets by their
form, and the secrets that clients of the harness received in this run, which were passed to `note`.
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

# Codes of ten letters are recognizable. Codes of digits are not: any number might be one.
_FORMS: Final = {
    "a token": re.compile(r"(?<![\w.])[hp]\.[a-z0-9]{1,32}\.[a-z0-9]{1,32}\.[\w-]{22}(?![\w-])", re.ASCII),
    "a recovery id": re.compile(r"(?<![\w-])[\w-]{24}\.[0-9a-f]{8}(?!\w)", re.ASCII),
    "a session's key": re.compile(r"js:\{\w+\}"),
    "a code of ten letters": re.compile(rf"(?<!\w)(?=\d*[A-Z])[{_LETTERS}]{{10}}(?!\w)"),
}


# Fields that contain secrets. Of names, only those of participants are private.
_SECRET_FIELDS: Final = ("sessionID", "participantID", "token", "hostToken", "pid")
# Shorter names, and those without capitals, could be part of any text.
_RECOGNIZABLE: Final = re.compile(r"(?=.*[A-ZÀ-Þ])(?=.*[^\W\d]{2}).{3,}")

# Codes, tokens and ids of the service have ten characters or more; tests use shorter ones, too.
_MIN_LENGTH: Final = 10

_secrets: Final[set[str]] = set()
_names: Final[set[str]] = set()


def note(received: Any) -> None:
    """Remember the secrets in a response, an acknowledgement or the arguments of an event."""
    if isinstance(received, list):
        for part in received:
            note(part)
    if not isinstance(received, dict):
        return
    secrets = (received.get(field) for field in _SECRET_FIELDS)
    _secrets.update(secret for secret in secrets if isinstance(secret, str) and len(secret) >= _MIN_LENGTH)
    people = received.get("participants")
    if isinstance(people, list):
        _names.update(person["name"] for person in people if isinstance(person, dict) and "name" in person)
        note(people)
    for field in ("sessionData", "meta"):
        note(received.get(field))


def assert_nothing_private(text: str) -> None:
    """Raise AssertionError if a text has a secret, by form or remembered, or a participant's name."""
    for what, form in _FORMS.items():
        found = form.search(text)
        assert found is None, f"{what} is in it: {_around(text, found.start())}"
    leaked = _secrets.intersection(re.findall(r"[\w.~-]+", text))
    assert not leaked, f"{leaked} is in it"
    for name in _names:
        if _RECOGNIZABLE.fullmatch(name) and name in text:
            found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
            assert found is None, f"a name is in it: {_around(text, found.start())}"


def found_in(text: str, secrets: Iterable[str]) -> list[str]:
    """Return those of `secrets` that are in a text, unchanged, in another case, or encoded."""
    plain = text.casefold()
    return [secret for secret in secrets if any(form in plain for form in _forms_of(secret))]


def _forms_of(secret: str) -> set[str]:
    escaped = json.dumps(secret)[1:-1]
    encoded = b64encode(secret.encode()).decode().rstrip("=")[:-1]
    return {form.casefold() for form in (secret, quote(secret), quote_plus(secret), escaped, encoded)}


def _around(text: str, position: int) -> str:
    return text[max(0, position - 200) : position + 100]
