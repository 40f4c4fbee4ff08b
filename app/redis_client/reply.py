"""Replies of Redis, and functions that read them.

The functions raise TypeError for a reply of another type, which ``reading_reply`` turns into ``UnexpectedReply``.
"""

from __future__ import annotations

from typing import TypeAlias, cast

__all__ = ["Reply", "array", "data", "integer", "mapping", "text", "text_or_none", "texts"]

Reply: TypeAlias = "bytes | int | float | list[Reply] | dict[Reply, Reply] | None"
"""A reply as RESP3 types it. Strings are bytes."""


def data(reply: Reply) -> bytes:
    if not isinstance(reply, bytes):
        raise TypeError
    return reply


def text(reply: Reply) -> str:
    return data(reply).decode()


def text_or_none(reply: Reply) -> str | None:
    return None if reply is None else text(reply)


def integer(reply: Reply) -> int:
    """Return an integer, which Redis may send as a double or as decimal text."""
    if isinstance(reply, (int, bytes)) or (isinstance(reply, float) and reply.is_integer()):
        return int(reply)
    raise TypeError


def array(reply: Reply) -> list[Reply]:
    if not isinstance(reply, list):
        raise TypeError
    return reply


def texts(reply: Reply) -> list[str]:
    return [text(item) for item in array(reply)]


def mapping(reply: Reply) -> dict[bytes, bytes]:
    """Return the fields and values of a hash."""
    if not isinstance(reply, dict):
        raise TypeError
    return cast("dict[bytes, bytes]", reply)
