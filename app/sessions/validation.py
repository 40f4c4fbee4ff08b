"""Tells people what is wrong with a payload: one sentence, and the field that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError
from pydantic.alias_generators import to_snake
from pydantic_core import ErrorDetails

from app.sessions.errors import SessionError

__all__ = ["invalid", "problem_of"]

# What people call a field, if that is not its name in words.
_NAMES: Final = {
    "id": "ID",
    "mid": "Idempotency key",
    "posterUrl": "Poster URL",
    "ttlSeconds": "Lifetime",
    "decideInSeconds": "Time until the decision",
}
_ENTRIES: Final = {"genres": "Genre", "movies": "Movie"}
_WHOLE: Final = "The request"

# By the type of the error, with the names of its context: https://docs.pydantic.dev/latest/errors/validation_errors/.
_SENTENCES: Final = {
    "missing": "must be given",
    "string_type": "must be text",
    "string_unicode": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "string_too_short": "must be at least {min_length} characters",
    "string_too_long": "must be at most {max_length} characters",
    "string_pattern_mismatch": "must be visible ASCII characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "value_error": "{error}",
}
_SENTENCES_OF_TIMES: Final = {
    "greater_than_equal": "must be {ge:g} or later",
    "less_than_equal": "must be {le:g} or earlier",
}
_TIMES: Final = frozenset({"year"})
_NOT_EMPTY: Final = "must not be empty"
_OTHERWISE: Final = "is not valid"


def problem_of(error: ValidationError) -> SessionError:
    """Return ``invalid-payload`` for the first wrong field, with its path but not its value."""
    first = error.errors(include_url=False, include_input=False)[0]
    return _about(first["loc"], _sentence(first))


def invalid(field: str, sentence: str) -> SessionError:
    """Return ``invalid-payload`` for a field; ``sentence`` is what it must be, after its name."""
    return _about((field,), sentence)


def _about(place: Sequence[int | str], sentence: str) -> SessionError:
    field = ".".join(map(str, place)) or None
    return SessionError("invalid-payload", f"{_subject(place)} {sentence}", field=field)


def _subject(place: Sequence[int | str]) -> str:
    match [_WHOLE, *place]:
        case [*_, str(entries), int(index)]:
            return f"{_ENTRIES.get(entries, entries)} {index + 1}"
        case [*_, str(name)]:
            return _NAMES.get(name) or _in_words(name)
    return _WHOLE


def _in_words(name: str) -> str:
    words = to_snake(name).replace("_", " ")
    return (words[:1].upper() + words[1:]).replace(" id", " ID")


def _sentence(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if context.get("min_length") == 1:
        return _NOT_EMPTY
    if error["loc"] and error["loc"][-1] in _TIMES and kind in _SENTENCES_OF_TIMES:
        return _SENTENCES_OF_TIMES[kind].format(**context)
    if kind == "literal_error":
        return f"must be {context['expected']}".replace("'", "")
    return _SENTENCES.get(kind, _OTHERWISE).format(**context)
