"""The position of a session in its history."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Head"]


class Head(NamedTuple):
    """The position of a session: ``version`` grows by one with each change.

    A new ``epoch`` means that changes were lost.
    """

    epoch: str
    version: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.version}"

    def includes(self, other: Head) -> bool:
        """Return whether ``other`` is the same or an earlier version of the same epoch."""
        return self.epoch == other.epoch and self.version >= other.version

    @classmethod
    def parse(cls, text: str) -> Head:
        """Parse ``<epoch>-<version>``; raises ``ValueError`` for anything else."""
        epoch, separator, version = text.rpartition("-")
        if not separator or not (version.isascii() and version.isdigit()):
            raise ValueError("not an offset")
        return cls(epoch, int(version))
