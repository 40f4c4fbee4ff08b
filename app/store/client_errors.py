"""Converts errors of Redis to errors for clients."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from app.redis_client.errors import ScriptFailed, StoreError, StoreUnavailable, UnexpectedReply
from app.sessions.errors import SessionError

__all__ = ["client_errors"]

_logger = logging.getLogger(__name__)

_HASH_TAG: Final = re.compile(r"\{[^}]*\}")


@contextmanager
def client_errors(*, changing: bool) -> Iterator[None]:
    """Convert failures of Redis in the block to ``SessionError``.

    ``changing``: if the command was sent, its outcome is unknown. Bugs are not converted: they are no outage, and a
    retry would not help.
    """
    try:
        yield
    except StoreUnavailable as error:
        raise SessionError("outcome-unknown" if changing and error.sent else "unavailable") from error
    except ScriptFailed:
        raise
    except StoreError as error:
        _logger.error("unexpected reply from Redis", extra={"error": _private(error)})
        unknown = changing and isinstance(error, UnexpectedReply)
        raise SessionError("outcome-unknown" if unknown else "unavailable") from error


def _private(error: StoreError) -> str:
    """Return the error without data: some servers append the arguments of a command."""
    return _HASH_TAG.sub("{}", str(error).partition(", with args")[0])
