"""The commands that people type in an interactive session."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

__all__ = ["HELP", "parse"]

_COMMANDS: Final = {
    "add": "add TITLE (YEAR)       add a movie",
    "rate": "rate MOVIE 1…5         rate a movie by its number or title; 2 5 does as well",
    "veto": "veto MOVIE             rate a movie 1, which is a veto",
    "unrate": "unrate MOVIE           withdraw your rating",
    "remove": "remove MOVIE           remove a movie",
    "ranking": "ranking                show all movies",
    "people": "people                 show who is in the session",
    "decide": "decide [MOVIE]         end the voting; for the host",
    "reopen": "reopen                 vote again; for the host",
    "help": "help                   show this list",
    "leave": "leave                  leave the session, as Ctrl-C and Ctrl-D do",
}
HELP: Final = [*_COMMANDS.values()]
_OTHER_NAMES: Final = {"quit": "leave", "exit": "leave", "?": "help"}
_NEED_MORE: Final = ("add", "rate", "veto", "unrate", "remove")
_NUMBER_AND_RATING: Final = re.compile(r"\d+ +[1-5]")


def parse(line: str) -> tuple[str, str]:
    """Return a command and what follows it. Raises ValueError, with what to type instead."""
    if _NUMBER_AND_RATING.fullmatch(line.strip()):
        return "rate", line.strip()
    typed, _, rest = line.strip().partition(" ")
    word = typed.lower()
    name = _OTHER_NAMES.get(word, word)
    if name not in _COMMANDS:
        nearest = get_close_matches(name, _COMMANDS, n=1)
        raise ValueError(f"There is no command {typed}: " + (f"did you mean {nearest[0]}?" if nearest else "type help"))
    if name in _NEED_MORE and not rest.strip():
        raise ValueError(f"Type {re.split(' {2,}', _COMMANDS[name])[0]}")
    return name, rest.strip()
