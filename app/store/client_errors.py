"""Converts errors of Redis to errors for clients."""

from __future__ import annotations

import logging
import re
from typing import Final

from app.redis_client.errors import ScriptFailed, StoreError, StoreUnavailable, UnexpectedReply
from app.sessions.errors import SessionError

__all__ = ["client_errors"]

_logger = logging.getLogger(__name__)

_HASH_TAG: Final = re.compile(r"\{[^}]*\}")


class client_errors:  # noqa: N801 - a context manager
    """Convert failures of Redis in the block to ``SessionError``.

    ``changing``: if the command was sent, its outcome is unknown. Bugs are not converted: they are no outage, and a
    retry would not help.
    """

    __slots__ = ("_changing",)

    def __init__(self, *, changing: bool) -> None:
        self._changing = changing

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, StoreError) or isinstance(error, ScriptFailed):
            return
        if isinstance(error, StoreUnavailable):
            unknown = error.sent
        else:
            _logger.error("unexpected reply from Redis", extra={"error": _private(error)})
            unknown = isinstance(error, UnexpectedReply)
        raise SessionError("outcome-unknown" if self._changing and unknown else "unavailable") from error


def _private(error: StoreError) -> str:
    """Return the error without data: some servers append the arguments of a command."""
    return _HASH_TAG.sub("{}", str(error).partition(", with args")[0])
