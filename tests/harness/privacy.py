"""What must be in no log, trace or metric."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

from app.settings import ALPHABETS

__all__ = ["assert_nothing_private", "found_in"]

_LETTERS: Final = ALPHABETS["letters"]

# By their form, for logs of which nobody knows what was sent meanwhile. A code of ten letters is one only where the
# replica gives such codes out; with digits alone it could be any number.
_FORMS: Final = {
    "a token": re.compile(r"(?<![\w.])[hp]\.[a-z0-9]{1,32}\.[a-z0-9]{1,32}\.[\w-]{22}(?![\w-])", re.ASCII),
    "a recovery id": re.compile(r"(?<![\w-])[\w-]{24}\.[0-9a-f]{8}(?!\w)", re.ASCII),
    "a session's key": re.compile(r"js:\{\w+\}"),
    "a code of ten letters": re.compile(rf"(?<!\w)(?=\d*[A-Z])[{_LETTERS}]{{10}}(?!\w)"),
}


def assert_nothing_private(text: str) -> None:
    """Raises AssertionError for what looks like a token, a recovery id, the key of a session or a code of letters."""
    for what, form in _FORMS.items():
        found = form.search(text)
        assert found is None, f"{what} is in the log: {_around(text, found.start())}"


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
