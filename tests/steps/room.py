"""A session in Redis that a test changes by its atomic steps alone, without a service or a transport."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Final

from app.redis_client.client import RedisClient
from app.redis_client.reply import array, integer, mapping
from app.sessions.answer_fields import Clearing
from app.sessions.decision import DecisionEntry
from app.sessions.model import Session
from app.sessions.permissions import Action
from app.sessions.steps import (
    Attached,
    Attachment,
    ContinuedMembership,
    NewMovie,
    NewSession,
    Operator,
    Person,
    Removal,
    SessionSettings,
)
from app.sessions.tokens import Credential
from app.store.sessions import RedisSessions
from tests.harness.keys import KEYS

__all__ = ["DAY", "GRACE", "LIFETIME", "MAX_MOVIES", "REST", "SURPLUS", "Room", "details", "new_session"]

LIFETIME: Final = 600_000
DAY: Final = 86_400_000
REST: Final = 30_000
# By how much what is kept of a session may outlive it.
SURPLUS: Final = 2000
GRACE: Final = 60_000
MAX_MOVIES: Final = 3
MAX_BYTES: Final = 1000

_numbers: Final = itertools.count()


def details(movie: str) -> NewMovie:
    """A movie, described in twenty bytes."""
    return NewMovie(movie, f'{{"title":"{movie:8}"}}')


def new_session(**changed: Any) -> NewSession:
    given: dict[str, Any] = {
        "epoch": "first",
        "lifetime": LIFETIME,
        "unjoined": None,
        "max_lifetime": DAY,
        "quarantine": REST,
        "capacity": 5,
        "departed_ratings": "keep",
        "title": None,
        "movies": [details("m1"), details("m2")],
    }
    return NewSession(**given | changed)


@dataclass
class Room:
    """Participants are named by their ids; each connects as ``a.<id>``, with a recovery id of the same name."""

    redis: RedisClient
    sessions: RedisSessions
    code: str = field(default_factory=lambda: f"code{next(_numbers)}")

    @property
    def instance(self) -> str:
        return f"of{self.code}"

    async def create(self, **changed: Any) -> Room:
        assert await self.sessions.create({self.code: self.instance}, new_session(**changed)) == self.code
        return self

    # What is there

    async def seen(self) -> Session:
        session = await self.sessions.read(self.code)
        assert session is not None
        return session

    async def version(self) -> int:
        return (await self.seen()).head.version

    async def people(self) -> list[str]:
        return list((await self.seen()).participants)

    async def host(self) -> str | None:
        return (await self.seen()).host

    async def tally(self, movie: str) -> tuple[int, int, int]:
        counted = (await self.seen()).movies[movie].tally
        assert counted is not None
        return counted.count, counted.vetoes, counted.points

    async def fields(self, kept: str = "") -> dict[str, str]:
        """The hash of the session, or another one beside it."""
        found = await self.redis.execute("HGETALL", KEYS.session(self.code) + (f":{kept}" if kept else ""))
        return {name.decode(): value.decode() for name, value in mapping(found).items()}

    async def connections(self) -> dict[str, str]:
        """Participants by their connections."""
        found = await self.fields("connections")
        return {name[2:]: participant for name, participant in found.items() if name.startswith("c:")}

    async def recoveries(self) -> set[str]:
        """The recovery ids that are good."""
        return {name[2:] for name in await self.fields("connections") if name.startswith("r:")}

    async def lives(self, kept: str = "") -> int:
        """When the session expires, or another key beside it."""
        key = KEYS.session(self.code) + (f":{kept}" if kept else "")
        return integer(await self.redis.execute("PEXPIRETIME", key))

    async def keeps(self, kept: str) -> bool:
        """Whether another key lives as long as the session, and no more than a little longer."""
        return 0 <= await self.lives(kept) - await self.lives() <= SURPLUS

    async def put(self, **fields: Any) -> None:
        """Writes into the hash of the session, past all steps."""
        await self.redis.execute("HSET", KEYS.session(self.code), *itertools.chain(*fields.items()))

    async def now(self) -> int:
        seconds, micros = map(integer, array(await self.redis.execute("TIME")))
        return seconds * 1000 + micros // 1000

    # Coming and going

    def token(self, participant: str) -> Credential:
        return Credential("participant", self.instance, participant)

    def host_token(self, generation: int = 1) -> Credential:
        return Credential("host", self.instance, str(generation))

    async def join(
        self,
        participant: str,
        connection: str | None = None,
        *,
        credential: Credential | None = None,
        policy: str = "allow",
        recovery: str | None = None,
        **more: Any,
    ) -> Attached:
        connection = connection or f"a.{participant}"
        return await self.sessions.attach(
            self.code,
            Attachment(
                connection=connection,
                recovery=recovery or connection,
                newcomer=participant,
                second_connection=policy,
                credential=credential,
                **more,
            ),
        )

    async def come_back(self, participant: str, connection: str | None = None, **more: Any) -> Attached:
        """By the participant's token."""
        return await self.join("stranger", connection or f"a.{participant}", credential=self.token(participant), **more)

    async def continue_(self, attached: Attached, connection: str | None = None, **more: Any) -> Attached:
        """As a replica that knows the membership attaches a connection again."""
        membership = ContinuedMembership(attached.membership_id, attached.head.epoch, attached.name)
        return await self.come_back(attached.participant, connection, continued=membership, **more)

    async def detach(self, *connections: str, grace: int = GRACE, void: bool = False) -> int:
        gone = {connection: connection if void else None for connection in connections}
        return await self.sessions.detach(self.code, gone, grace=grace)

    async def lose(self, *participants: str) -> int:
        """They lose their connections and their grace time is over at once; how many a sweep then removes."""
        await self.detach(*(f"a.{participant}" for participant in participants), grace=0)
        return (await self.sessions.sweep(self.code, grace=GRACE)).removed

    async def leave(self, participant: str, connection: str | None = None, key: str | None = None) -> int:
        connection = connection or f"a.{participant}"
        person = self.person(participant, Action.LEAVE, key)
        return (await self.sessions.leave(self.code, person, connection=connection, recovery=connection)).version

    # What people ask for

    def person(self, who: str | Credential, action: Action, key: str | None = None) -> Person:
        return Person(self.token(who) if isinstance(who, str) else who, action, key)

    def operator(self, action: Action) -> Operator:
        return Operator(self.instance, action)

    async def add(self, who: str | Credential, *movies: str, key: str | None = None, **limits: int) -> Any:
        given = {"max_movies": MAX_MOVIES, "max_bytes": MAX_BYTES} | limits
        person = self.person(who, Action.ADD_MOVIES, key)
        return await self.sessions.add_movies(self.code, person, [details(movie) for movie in movies], **given)

    async def take_off(self, who: str | Credential, movie: str) -> int:
        return (await self.sessions.remove_movie(self.code, self.person(who, Action.REMOVE_MOVIE), movie)).version

    async def vote(self, who: str | Credential, movie: str, rating: int, key: str | None = None) -> int:
        person = self.person(who, Action.VOTE, key)
        connection = f"a.{person.credential.subject}"
        commit = await self.sessions.vote(
            self.code, person, movie, rating, max_movies=MAX_MOVIES, connection=connection
        )
        return commit.version

    async def decide(self, who: str | Credential, movie: str | None = None, key: str | None = None) -> DecisionEntry:
        person = self.person(who, Action.DECIDE, key)
        return (await self.sessions.decide(self.code, person, movie)).decision

    async def reopen(self, who: str | Credential, clear: Clearing | None = None) -> int:
        return (await self.sessions.reopen(self.code, self.person(who, Action.REOPEN), clear)).version

    async def remove(self, who: str | Credential | Operator, target: str, reason: Removal = "kicked") -> int:
        author = (
            who if isinstance(who, Operator) else self.person(who, Action.LEAVE if reason == "left" else Action.KICK)
        )
        return (await self.sessions.remove_participant(self.code, author, target, reason)).version

    async def rename(self, who: str | Credential, name: str, target: str | None = None, key: str | None = None) -> int:
        person = self.person(who, Action.RENAME_PARTICIPANT, key)
        return (await self.sessions.rename_participant(self.code, person, target, name)).version

    async def update(self, who: str | Credential, key: str | None = None, **settings: Any) -> int:
        person = self.person(who, Action.UPDATE_SESSION, key)
        return (await self.sessions.update_session(self.code, person, SessionSettings(**settings))).version

    async def hand_over(self, who: str | Credential, target: str) -> int:
        return (await self.sessions.transfer_host(self.code, self.person(who, Action.TRANSFER_HOST), target)).version

    async def rotate(self, who: str | Credential, key: str | None = None) -> int:
        person = self.person(who, Action.ROTATE_HOST_TOKEN, key)
        return (await self.sessions.rotate_host_token(self.code, person)).generation

    async def end(self, who: str | Credential | Operator, key: str | None = None) -> int:
        author = who if isinstance(who, Operator) else self.person(who, Action.END_SESSION, key)
        return (await self.sessions.end_session(self.code, author)).version
