"""Sessions in Redis.

Fields of a session's hash, all numbers decimal, all times Unix milliseconds by Redis's clock:

- ``instance`` unique over all sessions; ``epoch``, ``version``: the head; ``created``, ``deadline``, ``lifetime``,
  ``unjoined``: the shorter lifetime until somebody has joined, if there is one; ``rest`` of the code; ``listed``: the
  time of expiry that ``js:sessions`` was told last
- ``title``, ``capacity``, ``locked`` (0, 1), ``leavers`` (keep, drop)
- ``host``: the participant; ``generation`` of the host token that is valid; ``tokenholder``: who has used it
- ``order``, ``guests``, ``people``, ``films``, ``bytes``: counters; ``peak``: the most ``people`` there ever were
- ``p:<participant>``: ``<order>|<joined>|<name>``; ``d:<participant>``: disconnected, removed at this time;
  ``o:<participant>``: its only connection; ``k:<participant>``: why it was told to go, for all who are banned,
  ``bans`` in number, and the newest ``told`` of the others; ``l:<participant>``: the name of one whose grace time is
  over, as replicas of an earlier release remember it
- ``lost``: ``<epoch> <order>`` of the newest epochs that have ended: whoever joined later in one of them is not known
- ``m:<movie>``: ``<order>|<added>|<adder>|<details as JSON>``; ``t:<order>``: ``<count> <vetoes> <points>``
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, Final

import orjson

from app.deadline import apart
from app.redis_client.client import RedisClient
from app.redis_client.errors import ScriptFailed, StoreError, StoreUnavailable, UnexpectedReply, reading_reply
from app.sessions.errors import SessionError
from app.sessions.model import Head, Member, MovieEntry, Session, Snapshot
from app.sessions.rating import Tally
from app.store import keys
from app.store.scripts import load_script, load_session_script
from app.store.snapshots import Snapshots
from app.store.watermarks import Watermarks

__all__ = ["RedisSessions", "answering"]

_logger = logging.getLogger(__name__)

_BATCH: Final = 200
_FATES: Final = {"kicked": "kicked", "banned": "kicked", "left": "left"}
_HASH_TAG: Final = re.compile(r"\{[^}]*\}")
_SCRIPTS: Final = (
    "authorize",
    "create",
    "join",
    "detach",
    "leave",
    "remove-participant",
    "transfer-host",
    "rotate-host-token",
    "update-session",
    "end-session",
    "add-movies",
    "remove-movie",
    "vote",
    "sweep",
    "reap",
    "touch",
    "new-epoch",
)


class RedisSessions:
    """The truth about sessions; see ``app.sessions.ports.SessionStore``.

    ``creation_memory``: seconds for which the idempotency key of a ``create`` is known; ``rest``: seconds for which it
    is known why somebody does not come back, as long as codes rest.
    """

    def __init__(self, connection: RedisClient, *, creation_memory: float, rest: float) -> None:
        self._connection = connection
        self._rest = max(1, round(rest * 1000))
        self._creation_memory = round(creation_memory * 1000)
        self._scripts = {name: load_session_script(name) for name in _SCRIPTS}
        self._forget_recovery = load_script("forget-recovery")
        self._seen = Watermarks()
        self._snapshots = Snapshots(monotonic)
        self._background: set[asyncio.Task[None]] = set()

    def watch(self, code: str) -> None:
        """From now on it is noticed if Redis loses changes of a session that this replica has seen."""
        self._seen.watch(code)

    def unwatch(self, code: str) -> None:
        self._seen.unwatch(code)

    async def read(self, code: str) -> Session | None:
        session = await self._read(code)
        if session is not None and self._seen.is_below(code, session.head):
            await self._run("new-epoch", code, {})
            session = await self._read(code)
        if session is not None:
            self._seen.note(code, session.head)
        return session

    async def _read(self, code: str) -> Session | None:
        with answering(changing=False):
            fields, expires_at = await asyncio.gather(
                self._connection.execute("HGETALL", keys.session(code)),
                self._connection.execute("PEXPIRETIME", keys.session(code)),
            )
            with reading_reply():
                return _session(code, _pairs(fields), int(expires_at)) if fields and expires_at > 0 else None

    async def snapshot(self, code: str) -> Snapshot | None:
        """The newest version for reading. One that was read lately is only asked whether it has changed."""
        known = self._snapshots.get(code)
        if known is not None:
            head, expires_at = await asyncio.gather(self.head(code), self._expiry(code))
            if head == known.head and expires_at > 0:
                return known.expiring(expires_at)
        session = await self.read(code)
        snapshot = None if session is None else session.snapshot
        self._snapshots.put(code, snapshot)
        return snapshot

    async def head(self, code: str) -> Head | None:
        """Where one session stands, as `read` would find it."""
        with answering(changing=False):
            reply = await self._connection.execute("HMGET", keys.session(code), "epoch", "version")
            with reading_reply():
                epoch, version = reply
                head = Head(epoch.decode(), int(version)) if epoch else None
        if head is not None and self._seen.is_below(code, head):
            session = await self.read(code)
            return None if session is None else session.head
        return head

    async def _expiry(self, code: str) -> int:
        with answering(changing=False):
            expires_at = await self._connection.execute("PEXPIRETIME", keys.session(code))
            with reading_reply():
                return int(expires_at)

    async def heads(self, codes: Sequence[str]) -> list[Head | None]:
        """Where sessions stand, None for those that are not there."""
        with answering(changing=False):
            replies = await self._connection.batch(
                [("HMGET", keys.session(code), "epoch", "version") for code in codes]
            )
            for reply in replies:
                if isinstance(reply, StoreError):
                    raise reply
            with reading_reply():
                return [Head(epoch.decode(), int(version)) if epoch else None for epoch, version in replies]

    async def fate(self, code: str, instance: str, participant: str = "") -> str:
        """Why a membership is over: its session was ``ended``, has ``expired``, or was ``lost`` by Redis; where the
        session is there its participant was ``kicked`` or has ``left``, if that is known."""
        with answering(changing=False):
            commands = [
                ("GET", keys.reservation(code)),
                ("HMGET", keys.session(code), "instance", f"k:{participant}"),
                ("HGET", keys.connections(code), f"f:{participant}"),
            ]
            replies = await self._connection.batch(commands)
            if failure := next((reply for reply in replies if isinstance(reply, StoreError)), None):
                raise failure
            with reading_reply():
                reservation, (there, told), record = replies
                if there is not None and there.decode() == instance:
                    reason = (told or (record or b"").partition(b"|")[0]).decode()
                    return _FATES.get(reason, "lost")
                if reservation is None:
                    return "lost"
                words = reservation.decode().split(" ")
                return "ended" if words[:2] == ["ended", instance] else "expired"

    async def instance(self, code: str) -> str | None:
        with answering(changing=False):
            instance = await self._connection.execute("HGET", keys.session(code), "instance")
            with reading_reply():
                return instance.decode() if instance else None

    async def create(self, instances: Mapping[str, str], call: Mapping[str, Any]) -> str | None:
        with answering(changing=False):
            holders = await self._connection.batch([("GET", keys.reservation(code)) for code in instances])
            if failure := next((holder for holder in holders if isinstance(holder, StoreError)), None):
                raise failure
        held = {code: holder for code, holder in zip(instances, holders, strict=True) if holder is not None}
        made = [code for code, holder in held.items() if holder == instances[code].encode()]
        for code in made + [code for code in instances if code not in held]:
            status, _ = await self._run("create", code, {**call, "instance": instances[code]})
            if status == "ok":
                return code
        return None

    async def change(self, script: str, code: str, call: Mapping[str, Any]) -> list[Any]:
        status, reply = await self._run(script, code, call)
        if status == "ok":
            return reply
        raise SessionError(status, reply[0].decode() if reply else None)

    async def count(self) -> int:
        with answering(changing=False):
            now = await self._now()
            count = await self._connection.execute("ZCOUNT", keys.SESSIONS, now, "+inf")
            with reading_reply():
                return int(count)

    async def claim_creation(self, digest: str, plan: str) -> str:
        with answering(changing=True):
            earlier = await self._connection.execute(
                "SET", keys.created(digest), plan, "NX", "GET", "PX", self._creation_memory
            )
            with reading_reply():
                return earlier.decode() if earlier else plan

    async def remember_creation(self, digest: str, plan: str) -> None:
        with answering(changing=True):
            await self._connection.execute("SET", keys.created(digest), plan, "XX", "KEEPTTL")

    async def forget_expired(self) -> None:
        """Takes sessions that have expired out of the list of live ones."""
        with answering(changing=True):
            await self._connection.execute("ZREMRANGEBYSCORE", keys.SESSIONS, "-inf", await self._now())

    async def close(self) -> None:
        """Waits for what is still being written."""
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _now(self) -> int:
        time = await self._connection.execute("TIME")
        with reading_reply():
            seconds, _ = time
            return int(seconds) * 1000

    async def _run(self, script: str, code: str, call: Mapping[str, Any]) -> tuple[str, list[Any]]:
        with answering(changing=True):
            answer = await self._step(script, code, call)
            with reading_reply():
                relist, voided, _, said, status, *reply = answer
                status = status.decode()
                head = Head.parse(said.decode()) if said else None
            if head is not None:
                self._seen.note(code, head)
        if relist:
            self._in_background(self._list(code, relist))
        if voided:
            self._in_background(self._forget(code, list(zip(voided[::2], voided[1::2], strict=True))))
        if script == "end-session" and status == "ok":
            self._in_background(self._unlist(code))
        return status, reply

    async def _step(self, script: str, code: str, call: Mapping[str, Any]) -> list[Any]:
        """One atomic step in Redis; its reply as ``scripts/_prelude.lua`` says."""
        argument = orjson.dumps({"seen": self._seen.lowest(code), **call})
        reply: list[Any] = await self._connection.run(self._scripts[script], keys.session_keys(code), [argument])
        return reply

    def _in_background(self, writing: Any) -> None:
        task = asyncio.get_running_loop().create_task(apart(writing))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _list(self, code: str, expires_at: int) -> None:
        await self._best_effort(("ZADD", keys.SESSIONS, expires_at, code))
        names = await self._best_effort(("HKEYS", keys.connections(code)))
        free_at = await self._best_effort(("PEXPIRETIME", keys.reservation(code)))
        good = [name[2:].decode() for name in names or () if name.startswith(b"r:")]
        for start in range(0, len(good) if free_at else 0, _BATCH):
            batch = good[start : start + _BATCH]
            await self._connection.batch([("PEXPIREAT", keys.recovery(recovery), free_at) for recovery in batch])

    async def _forget(self, code: str, recovery_ids: Sequence[tuple[bytes, int]]) -> None:
        for recovery, remembered in recovery_ids:
            arguments: list[str | int] = [code, self._rest if remembered else 0]
            with suppress(StoreError):
                await self._connection.run(self._forget_recovery, [keys.recovery(recovery.decode())], arguments)

    async def _unlist(self, code: str) -> None:
        await self._best_effort(("ZREM", keys.SESSIONS, code))

    async def _best_effort(self, command: tuple[str | int, ...]) -> Any:
        """The lists are corrected by the next change or sweep, so a failure here needs no answer."""
        try:
            return await self._connection.execute(*command)
        except StoreError:
            return None


@contextmanager
def answering(*, changing: bool) -> Iterator[None]:
    """Turns what Redis does wrong into the errors that clients see: away, refusing, or talking nonsense.

    A bug of ours passes: it is no outage, and a repeat would not help.
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
    """What went wrong, without data: some servers repeat the arguments of a command."""
    return _HASH_TAG.sub("{}", str(error).partition(", with args")[0])


def _pairs(reply: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in reply.items()}


def _session(code: str, fields: dict[str, str], expires_at: int) -> Session:
    members, movies, removed = [], [], {}
    for name, value in fields.items():
        match name[:2]:
            case "p:":
                members.append(_member(name[2:], value, fields))
            case "m:":
                movies.append(_movie(name[2:], value, fields))
            case "k:":
                removed[name[2:]] = value
    members.sort(key=lambda member: member.order)
    movies.sort(key=lambda movie: movie.order)
    return Session(
        code=code,
        instance=fields["instance"],
        head=Head(fields["epoch"], int(fields["version"])),
        created_at=int(fields["created"]),
        expires_at=expires_at,
        deadline=int(fields["deadline"]),
        title=fields.get("title"),
        locked=fields["locked"] == "1",
        capacity=int(fields["capacity"]),
        host=fields.get("host"),
        members={member.id: member for member in members},
        movies={movie.id: movie for movie in movies},
        removed=removed,
    )


def _member(participant: str, entry: str, fields: dict[str, str]) -> Member:
    order, joined_at, name = entry.split("|", 2)
    connected = f"d:{participant}" not in fields
    return Member(participant, int(order), int(joined_at), name, connected, fields.get(f"o:{participant}"))


def _movie(movie: str, entry: str, fields: dict[str, str]) -> MovieEntry:
    order, added_at, adder, details = entry.split("|", 3)
    tally = Tally(*(int(number) for number in fields[f"t:{order}"].split(" ")))
    return MovieEntry(movie, int(order), int(added_at), adder or None, orjson.loads(details), tally)
