"""Validation of names and other short texts that other participants see."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["MAX_NAME", "clean_text"]

MAX_NAME: Final = 40

# Unicode's bidirectional embeddings, overrides and isolates (UAX #9): they can reorder the text around a name.
_BIDI_CONTROLS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_INVISIBLE_CATEGORIES: Final = frozenset({"Cf", "Zs", "Mn", "Me"})
# The number of code points that NFC may combine into one.
_MAX_COMPOSED: Final = 4
# UAX #15, stream-safe text format. No language needs longer runs, and normalizing them takes quadratic time.
_MAX_MARKS: Final = 30


def clean_text(text: str, longest: int) -> str:
    """Return ``text`` in NFC and trimmed, at most ``longest`` code points; "" if it is only white space.

    Raises ``ValueError`` for text that must not be displayed: control characters, line separators, lone surrogates,
    bidirectional overrides, long runs of combining marks, and text without visible characters. Such text is refused,
    never repaired.
    """
    if len(text) > _MAX_COMPOSED * longest:
        raise ValueError(f"must be at most {longest} characters")
    # Most texts are printable, which is quick to check and excludes everything that is refused.
    if not text.isprintable() and any(_is_control(character) for character in text):
        raise ValueError("must not contain control characters")
    if not text.isascii() and _has_long_run_of_marks(text):
        raise ValueError(f"must not contain more than {_MAX_MARKS} combining marks in a row")
    cleaned = unicodedata.normalize("NFC", text).strip()
    if len(cleaned) > longest:
        raise ValueError(f"must be at most {longest} characters")
    if cleaned and all(unicodedata.category(character) in _INVISIBLE_CATEGORIES for character in cleaned):
        raise ValueError("must contain a visible character")
    return cleaned


def _is_control(character: str) -> bool:
    return character in _BIDI_CONTROLS or unicodedata.category(character) in _REFUSED_CATEGORIES


def _has_long_run_of_marks(text: str) -> bool:
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > _MAX_MARKS:
            return True
    return False
