"""The Redis client: commands, scripts and batches, which are retried only if that is safe."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Self, TypeVar

from app.backoff import Backoff
from app.deadline import within
from app.redis_client.cluster import Cluster
from app.redis_client.errors import CommandFailed, Redirected, StoreError, StoreUnavailable
from app.redis_client.link import Argument, pack
from app.redis_client.logins import Logins
from app.redis_client.observer import Observer, Operation
from app.redis_client.replicated import Replicated
from app.redis_client.reply import Reply
from app.redis_client.sentinel import Sentinel
from app.redis_client.topology import Single, Topology
from app.redis_client.url import Kind

__all__ = ["RedisClient", "Script"]

T = TypeVar("T")

_TOPOLOGIES: Final[dict[Kind, Callable[..., Topology]]] = {
    "standalone": Single,
    "replicated": Replicated,
    "sentinel": Sentinel,
    "cluster": Cluster,
}
_MIN_PAUSE_SECONDS: Final = 0.02
_MAX_PAUSE_SECONDS: Final = 0.2
_ASKING: Final = pack(("ASKING",))
_SCRIPT_CALLS: Final = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})


@dataclass(frozen=True)
class Script:
    """A Lua script. Its text is sent only to a server that does not have it yet."""

    name: str
    text: str

    @cached_property
    def sha(self) -> str:
        """The hexadecimal SHA-1 by which EVALSHA finds the script."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class _Limits(NamedTuple):
    """Loop times of a call: now, when it has to be answered, and when a missing reply closes the link."""

    now: float
    deadline: float
    overdue: float


class RedisClient:
    """A client of one server, Sentinel service or Cluster, shared by everything in the process.

    Every call returns or raises within the time-out, or by the deadline of the current request or event. Replies are
    bytes; RESP3 maps are dicts, doubles are floats. A call raises StoreUnavailable, or CommandFailed if the command
    itself is wrong. Before that it waits for a server that restarts, loads or fails over. It repeats commands that were
    certainly not executed, and never those that may have been.

    In a Cluster the first argument of a command is its key; for EVAL and similar commands it is the first key.
    """

    def __init__(self, topology: Topology, *, timeout: float, observers: Sequence[Observer] = ()) -> None:
        self.topology = topology
        self.timeout = timeout
        self._observers = tuple(observers)
        self._closed = False

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        read_again: Callable[[], str | None] = lambda: None,
        timeout: float = 1.5,
        observers: Sequence[Observer] = (),
    ) -> Self:
        """Create a client of the Redis at ``url`` (see ``parse_url``, which raises ValueError).

        The first command connects. ``read_again`` returns the URL with the login as it is now (see ``Logins``).
        ``timeout`` is the total time of a call in seconds. ``observers`` are notified of each call; the first observer
        encloses the others.
        """
        logins = Logins(url, read_again)
        return cls(_TOPOLOGIES[logins.url.kind](logins, timeout=timeout), timeout=timeout, observers=observers)

    async def execute(self, *command: Argument) -> Reply:
        """Run one command and return its reply."""
        call = self._call(pack(command), _key_of(command), self._limits())
        if not self._observers:
            return await call
        return await self._observed(Operation(str(command[0])), call)

    async def run(self, script: Script, keys: Sequence[str | bytes], args: Iterable[Argument] = ()) -> Reply:
        """Run a script and return its reply. If the outcome is unknown, the caller decides whether to repeat it."""
        call = self._run(script, keys, args)
        if not self._observers:
            return await call
        return await self._observed(Operation("EVALSHA", script=script.name), call)

    async def batch(self, commands: Iterable[Sequence[Argument]]) -> list[Reply | StoreError]:
        """Run independent commands at once and return their replies in order.

        A command that failed has its StoreError as its reply; nothing is raised.
        """
        batch = [tuple(command) for command in commands]
        call = self._batch(batch)
        if not self._observers:
            return await call
        return await self._observed(Operation("PIPELINE", size=len(batch)), call)

    async def ping(self) -> None:
        """Return when Redis answers."""
        await self.execute("PING")

    async def close(self) -> None:
        """Close the client; pending calls fail with the reason ``lost``."""
        self._closed = True
        await self.topology.close()

    async def _run(self, script: Script, keys: Sequence[str | bytes], args: Iterable[Argument]) -> Reply:
        limits = self._limits()
        key = _bytes(keys[0]) if keys else b""
        rest = (len(keys), *keys, *args)
        try:
            return await self._call(pack(("EVALSHA", script.sha, *rest)), key, limits)
        except CommandFailed as error:
            if error.code != "NOSCRIPT":
                raise
        return await self._call(pack(("EVAL", script.text, *rest)), key, limits)

    async def _batch(self, commands: Sequence[tuple[Argument, ...]]) -> list[Reply | StoreError]:
        if not commands:
            return []
        limits = self._limits()
        keys = [_key_of(command) for command in commands] if self.topology.by_key else [b""]
        link = self.topology.ready(keys[0])
        if link is None or limits.deadline <= limits.now or any(self.topology.ready(key) is not link for key in keys):
            replies: list[Reply | StoreError] = [None] * len(commands)
            failed: dict[int, StoreUnavailable | None] = dict.fromkeys(range(len(commands)))
        else:
            packed = b"".join([pack(command) for command in commands])
            replies = await link.send_batch(packed, len(commands), limits.deadline, limits.overdue)
            failed = {index: reply for index, reply in enumerate(replies) if isinstance(reply, StoreUnavailable)}
        if failed:
            calls = (self._repeated(commands[index], limits, error) for index, error in failed.items())
            for index, outcome in zip(failed, await asyncio.gather(*calls, return_exceptions=True), strict=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, StoreError):
                    raise outcome
                replies[index] = outcome
        return replies

    async def _repeated(
        self, command: tuple[Argument, ...], limits: _Limits, failure: StoreUnavailable | None
    ) -> Reply:
        if failure is None:
            return await self._call(pack(command), _key_of(command), limits)
        return await self._call_with_retries(pack(command), _key_of(command), limits, failure)

    async def _observed(self, operation: Operation, call: Awaitable[T]) -> T:
        endings = [observer.started(operation) for observer in self._observers]
        errors: list[BaseException] = []
        try:
            reply = await call
            if operation.size and isinstance(reply, list):
                errors += [each for each in reply if isinstance(each, StoreError)]
            return reply
        except BaseException as error:
            errors.append(error)
            raise
        finally:
            for ended in reversed(endings):
                ended(errors)

    def _limits(self) -> _Limits:
        now = asyncio.get_running_loop().time()
        return _Limits(now, within(self.timeout, now), now + self.timeout)

    async def _call(self, packed: bytes, key: bytes, limits: _Limits) -> Reply:
        sent = self._send(packed, key, limits)
        if sent is None:
            return await self._call_with_retries(packed, key, limits, None)
        try:
            return await sent
        except StoreUnavailable as error:
            return await self._call_with_retries(packed, key, limits, error)

    def _send(self, packed: bytes, key: bytes, limits: _Limits) -> asyncio.Future[Reply] | None:
        """Send a command if there is a link and time for it."""
        if limits.deadline <= limits.now:
            return None
        link = self.topology.ready(key)
        return None if link is None else link.send(packed, limits.deadline, limits.overdue)

    async def _call_with_retries(
        self, packed: bytes, key: bytes, limits: _Limits, failure: StoreUnavailable | None
    ) -> Reply:
        now = asyncio.get_running_loop().time
        backoff = Backoff(_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)
        # The first retry is immediate: after a stale connection or a moved slot it usually succeeds.
        wait = 0.0
        if failure is None and limits.deadline <= now():
            raise StoreUnavailable("timeout", "no time is left", sent=False)
        while True:
            if self._closed:
                raise failure or StoreUnavailable("closed", sent=False)
            if failure is not None:
                self.topology.on_error(failure)
                if not failure.worth_retrying or now() + wait >= limits.deadline:
                    raise failure
                await asyncio.sleep(wait)
                wait = backoff.next()
            try:
                return await self._attempt(packed, key, limits, failure)
            except StoreUnavailable as error:
                failure = error

    async def _attempt(self, packed: bytes, key: bytes, limits: _Limits, failure: StoreUnavailable | None) -> Reply:
        redirect = failure if isinstance(failure, Redirected) else None
        try:
            async with asyncio.timeout_at(limits.deadline):
                link = await self.topology.link(key, redirect)
        except TimeoutError:
            # The previous failure says more than a time-out.
            raise failure or StoreUnavailable("timeout", "no connection in time", sent=False) from None
        if redirect is not None and redirect.asking:
            # Sent in the same write as the command. If it fails, so does the command.
            link.send(_ASKING, limits.deadline, limits.overdue).add_done_callback(asyncio.Future.exception)
        return await link.send(packed, limits.deadline, limits.overdue)


def _key_of(command: Sequence[Argument]) -> bytes:
    if len(command) < 2:
        return b""
    if str(command[0]).upper() in _SCRIPT_CALLS:
        return _bytes(command[3]) if int(command[2]) else b""
    return _bytes(command[1])


def _bytes(value: Argument) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
