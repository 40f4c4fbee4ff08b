"""Session codes, which people type to join."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

__all__ = ["CodeSpace"]

_BATCHES: Final = (1, 64, 1024)


class CodeSpace:
    """All codes of ``length`` characters of ``alphabet``."""

    def __init__(self, alphabet: str, length: int) -> None:
        self._alphabet = alphabet
        self._length = length
        self._folded = {typed: character for character in alphabet for typed in (character.lower(), character.upper())}
        self._folded |= {character: character for character in alphabet}
        self.size = len(alphabet) ** length

    def parse(self, text: str) -> str | None:
        """Return the code that a person meant by ``text``: trimmed, in the right case; None if it cannot be a code."""
        typed = text.strip()
        if len(typed) != self._length:
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
