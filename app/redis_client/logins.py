"""The logins of the Redis URL, which are read again when Redis refuses them: passwords change while a replica runs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from app.redis_client.errors import StoreUnavailable
from app.redis_client.url import RedisURL, parse_url

__all__ = ["Logins"]

_logger = logging.getLogger(__name__)

T = TypeVar("T")

_ID_CHARACTERS: Final = 16


class Logins:
    """The URL with the logins that Redis accepted last.

    ``read`` returns the URL as it is configured now, or None, or raises ValueError. Of another URL only the logins are
    taken: other servers have other data.
    """

    def __init__(self, url: str, read: Callable[[], str | None] = lambda: None) -> None:
        self.url = parse_url(url)
        self._read = read
        # Parsing reads certificates, so it is done only after a change.
        self._parsed = (url, self.url)
        self._failed = ""

    async def use(self, attempt: Callable[[RedisURL], Awaitable[T]]) -> T:
        """Return the result of an attempt to log in. If it is refused, and the URL has another login now, repeat it."""
        tried = self.url
        try:
            return await attempt(tried)
        except StoreUnavailable as refusal:
            if refusal.reason != "denied" or _logins(configured := self._configured()) == _logins(tried):
                raise
        result = await attempt(configured)
        _logger.info("logged in to Redis with the login that is configured now")
        self.url = configured
        return result

    def password_id(self) -> str:
        """Return the beginning of the hash, as ACL GETUSER shows it, of the password that is configured now."""
        password = self._configured().login.password
        return "" if password is None else hashlib.sha256(password.encode()).hexdigest()[:_ID_CHARACTERS]

    def _configured(self) -> RedisURL:
        """Return the URL as it is configured now if only its logins have changed; else the one in use."""
        try:
            if (read := self._read()) not in (None, self._parsed[0]):
                self._parsed = (read, parse_url(read))
            self._failed = ""
        except ValueError as error:
            if str(error) != self._failed:
                self._failed = str(error)
                _logger.warning("the Redis URL cannot be read again", extra={"reason": self._failed})
            return self.url
        _, configured = self._parsed
        return configured if _place(configured) == _place(self.url) else self.url


def _place(url: RedisURL) -> tuple[object, ...]:
    return (url.kind, url.addresses, url.service, url.login.db, url.login.tls is None)


def _logins(url: RedisURL) -> tuple[object, ...]:
    logins = (url.login, url.sentinel_login)
    return tuple((login.username, login.password) for login in logins)
