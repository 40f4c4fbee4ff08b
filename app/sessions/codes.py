"""Session codes, which people type to join."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Final

__all__ = ["CodeSpace", "typed_code"]

_BATCHES: Final = (1, 64, 1024)

_MAX_TYPED: Final = 200
# What is before the "#" of a link: there is a slash in it, if only that of the page.
_LINK: Final = re.compile(r"[^\s#/]*/[^\s#]*")
_BIG_SCREEN: Final = "/tv"
# Some apps make a text's spaces and hyphens into those that do not break a line.
_GROUPED: Final = re.compile(r"[0-9A-Za-z](?:[ \u00a0\u2011-]?[0-9A-Za-z])*")
_SEPARATORS: Final = re.compile(r"[ \u00a0\u2011-]")


def typed_code(text: str) -> str | None:
    """Return the ASCII letters and digits that a person typed or pasted as a code; None if it cannot be one.

    White space around it is ignored. Single spaces or dashes may separate the characters. A code may follow a ``#``,
    also the one of a link, and may then be followed by ``/tv``.
    """
    typed = text.strip()
    if len(typed) > _MAX_TYPED:
        return None
    link, sign, fragment = typed.rpartition("#")
    if link and not _LINK.fullmatch(link):
        return None
    grouped = fragment.removesuffix(_BIG_SCREEN) if sign else typed
    return _SEPARATORS.sub("", grouped) if _GROUPED.fullmatch(grouped) else None


class CodeSpace:
    """All codes of ``length`` characters of ``alphabet``."""

    def __init__(self, alphabet: str, length: int) -> None:
        self._alphabet = alphabet
        self._length = length
        self._folded = {typed: character for character in alphabet for typed in (character.lower(), character.upper())}
        self._folded |= {character: character for character in alphabet}
        self.size = len(alphabet) ** length

    def parse(self, text: str) -> str | None:
        """Return the code that a person meant by ``text``, in the right case; None if it cannot be a code."""
        typed = typed_code(text)
        if typed is None or len(typed) != self._length:
            return None
        try:
            return "".join([self._folded[character] for character in typed])
        except KeyError:
            return None

    def candidates(self, seed: str) -> Iterator[list[str]]:
        """Yield batches of codes to try for a new session, without repeats within a batch.

        The same ``seed`` gives the same codes; they can be guessed no better than the seed.

        Three batches suffice for a space of which up to 99 % is taken: one code, then 64, then 1,024 (or all codes of a
        smaller space).
        """
        shuffled = random.Random(seed)  # noqa: S311 - no better to guess than the seed
        for size in _BATCHES:
            numbers = shuffled.sample(range(self.size), min(size, self.size))
            yield [self._code(number) for number in numbers]

    def _code(self, number: int) -> str:
        characters = []
        for _ in range(self._length):
            number, digit = divmod(number, len(self._alphabet))
            characters.append(self._alphabet[digit])
        return "".join(characters)
