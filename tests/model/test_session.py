"""The session in Redis against the model, over any sequence of commands: service and store, without a transport."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, ClassVar, Final, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.redis_client.client import RedisClient
from app.sessions.access import Access
from app.sessions.admission import Client
from app.sessions.codes import CodeSpace
from app.sessions.errors import SessionError
from app.sessions.head import Head
from app.sessions.model import Session
from app.sessions.payloads import (
    AddMovies,
    CreateSession,
    Decide,
    KickParticipant,
    MovieDetails,
    MovieReference,
    NoArguments,
    RenameParticipant,
    Reopen,
    TransferHost,
    UpdateSession,
    Vote,
    parse,
)
from app.sessions.permissions import Action
from app.sessions.rules import Rules
from app.sessions.service import SessionService
from app.sessions.steps import Extended, NewPasscode, Person, SessionSettings, Swept
from app.sessions.tokens import Credential, TokenSigner
from app.store import replies
from app.store.budgets import RedisBudgets
from app.store.creators import RedisCreators
from app.store.reads import SessionReads
from app.store.scripts import SESSION_SCRIPTS
from app.store.session_hash import StoredSession
from app.store.sessions import RedisSessions
from app.store.steps import StepRunner
from app.store.watermarks import Watermarks
from tests.harness.keys import KEYS
from tests.harness.redis import RedisServer
from tests.model.follower import Follower
from tests.model.session import Caller, Film, ModelSession, Refused

T = TypeVar("T")

MAX_MOVIES: Final = 3
# A session that has ended has little left to tell.
EARLIEST_END: Final = 30
MOVIES: Final = ("m1", "m2", "a:b", "ü")
CONNECTIONS: Final = ("a.1", "a.2", "b.1", "b.2", "b.3")
BRIEF: Final = 0.001
LONG: Final = 3600.0
HOST: Final[Caller] = ("host-token", 1)
CLIENT: Final = Client("model", unlimited=True)


def rules(policy: str, grace: float) -> Rules:
    return Rules(
        decide_delay=3000,
        lifetime=600,
        min_lifetime=60,
        max_lifetime=3600,
        unjoined_lifetime=0,
        code_rest=600,
        capacity=3,
        max_capacity=10,
        max_movies=MAX_MOVIES,
        max_movies_bytes=100_000,
        grace=grace,
        leaver_ratings="keep",
        second_connection=policy,
        miss_budget=20,
        miss_budget_total=6000,
        create_budget=60,
        max_sessions=1000,
        max_sessions_per_address=1000,
    )


class Store:
    """The real thing, driven from code that knows no event loop."""

    def __init__(self, runner: asyncio.Runner, server: RedisServer) -> None:
        self._runner = runner
        self.connection = runner.run(self._connect(server.url()))
        self.sessions = RedisSessions(self.connection, KEYS, quarantine=60, max_listed=200)
        self.follower = Follower(self.connection)
        self._numbers = itertools.count()
        self.last_id = ""

    async def claim_to_have_seen(self, code: str, head: Head) -> None:
        """As a replica that has seen a session at this head, which starts a new epoch where it stands below that."""
        watermarks = Watermarks()
        watermarks.watch(code)
        watermarks.note(code, head)
        steps = StepRunner(self.connection, KEYS, watermarks, remembered=1, tracing=None)
        await steps.run(SESSION_SCRIPTS.new_epoch, code, {}, replies.nothing)
        await steps.close()

    def service(self, policy: str, grace: float) -> SessionService:
        def secret() -> bytes:
            return b"secret"

        budgets = RedisBudgets(self.connection, KEYS, secret)
        creators = RedisCreators(self.connection, KEYS, secret, longest=3600, plan_memory=60)
        codes = CodeSpace("0123456789", 6)
        return SessionService(
            self.sessions, budgets, creators, codes, TokenSigner(secret), rules(policy, grace), new_id=self.new_id
        )

    def new_id(self) -> str:
        # Ids sort in the order in which they were made, or a command that is repeated could choose somebody else.
        self.last_id = f"id{next(self._numbers):08}"
        return self.last_id

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self.run(self.follower.close())
        self.run(self.sessions.close())
        self.run(self.connection.close())

    async def _connect(self, url: str) -> RedisClient:
        # What takes long on a busy machine is not what is tested.
        return RedisClient.connect(url, timeout=30)


class SessionMachine(RuleBasedStateMachine):
    """Does each command to the store and to the model; they must answer alike and look alike."""

    store: ClassVar[Store]

    people = Bundle("people")
    host_tokens = Bundle("host_tokens")
    callers = people | host_tokens
    mids = st.none() | st.sampled_from(["k1", "k2"])

    @initialize(
        target=people,
        capacity=st.integers(3, 4),
        leavers=st.sampled_from(["keep", "drop"]),
        policy=st.sampled_from(["allow", "newest", "reject"]),
        title=st.none() | st.just("Friday"),
        host=st.none() | st.just(HOST),
    )
    def create(self, capacity: int, leavers: Any, policy: Any, title: str | None, host: Caller | None) -> Any:
        """A session with a movie and three people, the first of them perhaps by the host token."""
        self.brief = self.store.service(policy, BRIEF)
        self.long = self.store.service(policy, LONG)
        payload = CreateSession(
            capacity=capacity, leaver_ratings=leavers, title=title, movies=[MovieDetails(id="m1", title="m1")]
        )
        created = self.store.run(self.brief.create(payload, CLIENT))
        self.code, self.instance = created.session.code, created.session.instance
        self.model = ModelSession(capacity, leavers, policy, MAX_MOVIES, title=title)
        self.model.films["m1"] = Film(None)
        self.steps = 0
        self.versions: dict[Head, Session] = {}
        self.store.run(self.store.follower.follow(self.code))
        return multiple(
            self._join(host, None, CONNECTIONS[0], CONNECTIONS[0], recovering=False),
            self._join(None, "Bob", CONNECTIONS[1], CONNECTIONS[1], recovering=False),
            self._join(None, None, CONNECTIONS[2], CONNECTIONS[2], recovering=False),
        )

    @initialize(target=host_tokens)
    def first_host_token(self) -> Caller:
        return HOST

    @rule(
        target=people,
        caller=st.none() | callers,
        name=st.sampled_from([None, None, "Ann", "Žofie"]),
        connection=st.sampled_from(CONNECTIONS),
        recovery=st.none() | st.sampled_from(CONNECTIONS),
        proved=st.sampled_from([None, "one", "other"]),
    )
    def join(
        self, caller: Caller | None, name: str | None, connection: str, recovery: str | None, proved: str | None
    ) -> Any:
        """With another connection's recovery id as a recovered one."""
        recovering = recovery is not None
        return self._join(caller, name, connection, recovery or connection, recovering=recovering, proved=proved)

    @rule(
        caller=st.none() | callers,
        connection=st.sampled_from(CONNECTIONS),
        recovery=st.none() | st.sampled_from(CONNECTIONS),
        proved=st.sampled_from([None, "one", "other"]),
    )
    def observe(self, caller: Caller | None, connection: str, recovery: str | None, proved: str | None) -> None:
        real = self._do(
            self.brief.attach(
                self.code,
                None if caller is None else self._credential(caller),
                connection=connection,
                recovery=recovery or connection,
                recovering=recovery is not None,
                observing=True,
                proved=proved,
            )
        )
        recovering = recovery is not None
        expected = _outcome(
            lambda: self.model.observe(caller, connection, recovery or connection, recovering=recovering, proved=proved)
        )
        assert (real if isinstance(real, str) else real.attached.participant) == expected
        if not isinstance(real, str):
            assert (real.token, real.attached.head.version) == ("", self.model.version)

    @rule(connection=st.sampled_from(CONNECTIONS), away=st.sampled_from(["briefly", "long"]))
    def detach(self, connection: str, away: Any) -> None:
        service = self.brief if away == "briefly" else self.long
        real = self._do(service.detach(self.code, {connection: None}))
        self._pass_time()
        self._same(None if isinstance(real, int) else real, lambda: self.model.detach(connection, away))

    @rule(replica=st.sampled_from("ab"), away=st.sampled_from(["briefly", "long"]))
    def reap(self, replica: str, away: Any) -> None:
        grace = BRIEF if away == "briefly" else LONG
        real = self._do(self.store.sessions.reap(self.code, replica, grace=round(1000 * grace)))
        self._pass_time()
        self._same(None if isinstance(real, int) else real, lambda: self.model.reap(replica, away))

    @rule()
    def sweep(self) -> None:
        self._pass_time()
        real = self._do(self.store.sessions.sweep(self.code, grace=round(1000 * LONG)))
        self._same(None if isinstance(real, Swept) else real, self.model.sweep)

    @rule(
        data=st.data(),
        swept=st.booleans(),
        recovered=st.booleans(),
        name=st.sampled_from([None, "Ann"]),
        connection=st.sampled_from(CONNECTIONS),
    )
    def come_back(self, data: st.DataObject, swept: bool, recovered: bool, name: str | None, connection: str) -> None:
        """Somebody loses a connection and comes back by it or by token, perhaps too late."""
        if not self.model.connections:
            return
        lost, person = data.draw(st.sampled_from(sorted(self.model.connections.items())))
        self.detach(lost, "briefly")
        if swept:
            self.sweep()
        if recovered:
            self._join(("person", person), name, connection, lost, recovering=True)
        else:
            self._join(("person", person), name, connection, connection, recovering=False)

    @rule(data=st.data(), connection=st.sampled_from(CONNECTIONS), mid=mids)
    def hand_over(self, data: st.DataObject, connection: str, mid: str | None) -> None:
        """The host hands over, and the new host token is used."""
        if self.model.host is None:
            return
        heir = data.draw(st.sampled_from(sorted(self.model.people)))
        self.transfer_host(("person", self.model.host), ("person", heir), mid)
        self._join(("host-token", self.model.generation), None, connection, connection, recovering=False)

    @rule(data=st.data(), away=st.booleans(), mid=mids)
    def host_goes(self, data: st.DataObject, away: bool, mid: str | None) -> None:
        """The host leaves; the one after is perhaps just away."""
        if self.model.host is None:
            return
        others = sorted(name for name, person in self.model.connections.items() if person != self.model.host)
        if away and others:
            self.detach(data.draw(st.sampled_from(others)), "long")
        self.remove_self(("person", self.model.host), mid)

    @rule(data=st.data(), second=st.sampled_from(CONNECTIONS), replica=st.none() | st.sampled_from("ab"))
    def be_in_two_places(self, data: st.DataObject, second: str, replica: str | None) -> None:
        """Somebody connects a second time, and then that connection or a whole replica goes."""
        if not self.model.connections:
            return
        _, person = data.draw(st.sampled_from(sorted(self.model.connections.items())))
        self._join(("person", person), None, second, second, recovering=False)
        if replica is None:
            self.detach(second, "long")
        else:
            self.reap(replica, "briefly")

    @rule(data=st.data(), connection=st.sampled_from(CONNECTIONS), mid=mids)
    def leave_by_one_of_two(self, data: st.DataObject, connection: str, mid: str | None) -> None:
        """Somebody who lost one connection leaves by another, and tries to come back by the first."""
        if not self.model.connections:
            return
        lost, person = data.draw(st.sampled_from(sorted(self.model.connections.items())))
        self.detach(lost, "long")
        self._join(("person", person), None, connection, connection, recovering=False)
        self.leave(connection, mid)
        self._join(("person", person), None, lost, lost, recovering=True)

    @rule(movie=st.sampled_from(MOVIES), rating=st.integers(1, 5), connection=st.sampled_from(CONNECTIONS))
    def pass_by(self, movie: str, rating: int, connection: str) -> None:
        """Somebody new joins, rates and is gone for longer than the grace time."""
        proved = self.model.passcode or None
        joined = self._join(None, None, connection, connection, recovering=False, proved=proved)
        if isinstance(joined, tuple):
            self.vote(joined, movie, [rating], None)
            self.detach(connection, "briefly")
            self.sweep()

    @rule()
    def touch(self) -> None:
        real = self._do(self.store.sessions.touch(self.code, least=0))
        assert real == "session-not-found" if self.model.ended else isinstance(real, Extended)

    @rule(caller=callers, movies=st.lists(st.sampled_from(MOVIES), min_size=1, max_size=MAX_MOVIES), mid=mids)
    def add_movies(self, caller: Caller, movies: list[str], mid: str | None) -> None:
        payload = parse(AddMovies, {"movies": [{"id": name, "title": name} for name in movies], "mid": mid})
        unique = list(dict.fromkeys(movies))
        self._change(caller, Action.ADD_MOVIES, {"movies": unique}, mid, self.brief.add_movies, payload)

    @rule(caller=callers, movie=st.sampled_from(MOVIES), mid=mids)
    def remove_movie(self, caller: Caller, movie: str, mid: str | None) -> None:
        payload = MovieReference(movie_id=movie, mid=mid)
        self._change(caller, Action.REMOVE_MOVIE, {"movie": movie}, mid, self.brief.remove_movie, payload)

    @rule(
        caller=callers,
        movie=st.sampled_from(MOVIES),
        ratings=st.lists(st.integers(1, 5), min_size=1, max_size=3),
        mid=mids,
    )
    def vote(self, caller: Caller, movie: str, ratings: list[int], mid: str | None) -> None:
        for rating in ratings:
            payload = Vote(movie_id=movie, rating=rating, mid=mid)
            self._change(caller, Action.VOTE, {"movie": movie, "rating": rating}, mid, self.brief.vote, payload)

    @rule(caller=callers, movie=st.sampled_from(MOVIES), mid=mids)
    def withdraw_vote(self, caller: Caller, movie: str, mid: str | None) -> None:
        payload = MovieReference(movie_id=movie, mid=mid)
        arguments = {"movie": movie, "rating": 0}
        self._change(caller, Action.WITHDRAW_VOTE, arguments, mid, self.brief.withdraw_vote, payload)

    @rule(caller=callers, whom=st.none() | people, name=st.sampled_from(["Ann", "Bob", "A|b", "Žofie"]), mid=mids)
    def rename(self, caller: Caller, whom: Caller | None, name: str, mid: str | None) -> None:
        payload = RenameParticipant(name=name, participant_id=None if whom is None else whom[1], mid=mid)
        oneself = caller[1] if caller[0] == "person" else None
        arguments = {"target": oneself if whom is None else whom[1], "name": name}
        self._change(caller, Action.RENAME_PARTICIPANT, arguments, mid, self.brief.rename_participant, payload)

    @rule(data=st.data(), name=st.sampled_from(["Ann", "Žofie"]), connection=st.sampled_from(CONNECTIONS), mid=mids)
    def rename_and_come_back(self, data: st.DataObject, name: str, connection: str, mid: str | None) -> None:
        """Somebody takes another name, is gone for longer than the grace time, and comes back without one."""
        if not self.model.connections:
            return
        lost, person = data.draw(st.sampled_from(sorted(self.model.connections.items())))
        self.rename(("person", person), None, name, mid)
        self.detach(lost, "briefly")
        self.sweep()
        self._join(("person", person), None, connection, connection, recovering=False)

    @rule(
        caller=callers,
        fields=st.fixed_dictionaries(
            {},
            optional={
                "title": st.sampled_from([None, "Film night"]),
                "capacity": st.integers(1, 5),
                "locked": st.booleans(),
                "decide_in_seconds": st.sampled_from([None, 1000]),
                "decide_when": st.sampled_from(["host", "all-rated"]),
                "reveal": st.sampled_from(["live", "decided"]),
            },
        ).filter(bool),
        mid=mids,
    )
    def update_session(self, caller: Caller, fields: dict[str, Any], mid: str | None) -> None:
        payload = UpdateSession(**fields, mid=mid)
        asked = dict(fields)
        if "decide_in_seconds" in asked:
            asked["timer"] = asked.pop("decide_in_seconds") is not None
        self._change(caller, Action.UPDATE_SESSION, asked, mid, self.brief.update_session, payload)

    @rule(mid=mids, ratings=st.lists(st.integers(1, 5), min_size=1, max_size=4))
    def all_rate_all(self, mid: str | None, ratings: list[int]) -> None:
        """Everybody rates every movie, and that brings the decision."""
        self.update_session(("host-token", self.model.generation), {"decide_when": "all-rated"}, None)
        people, movies = list(self.model.people), list(self.model.films)
        for number, (person, movie) in enumerate(itertools.product(people, movies)):
            self.vote(("person", person), movie, [ratings[number % len(ratings)]], None)

    @rule(caller=callers, movie=st.none() | st.sampled_from(MOVIES), mid=mids)
    def decide(self, caller: Caller, movie: str | None, mid: str | None) -> None:
        access = Access(self.code, self._credential(caller))
        real: Any = self._do(self.brief.decide(access, Decide(movie_id=movie, mid=mid)))
        self.model.drawn = real.pop("decision")["movieID"] if isinstance(real, dict) else None
        self._same(real, lambda: self.model.change(caller, Action.DECIDE, {"movie": movie}, mid))

    @rule(caller=callers, clear=st.sampled_from([None, "ratings", "movies"]), mid=mids)
    def reopen(self, caller: Caller, clear: Any, mid: str | None) -> None:
        self._change(caller, Action.REOPEN, {"clear": clear}, mid, self.brief.reopen, Reopen(clear=clear, mid=mid))

    @rule(caller=callers, passcode=st.sampled_from(["", "one", "other"]), mid=mids)
    def set_passcode(self, caller: Caller, passcode: str, mid: str | None) -> None:
        """Past the service, which would hash it."""
        person = Person(self._credential(caller), Action.UPDATE_SESSION, mid)
        settings = SessionSettings(passcode=NewPasscode(passcode, [f"digest of {passcode}"]))
        commit = self._do(self.store.sessions.update_session(self.code, person, settings))
        self._same(
            commit if isinstance(commit, str) else commit.done,
            lambda: self.model.change(caller, Action.UPDATE_SESSION, {"passcode": passcode}, mid),
        )

    @rule(caller=callers, whom=people, ban=st.booleans(), mid=mids)
    def kick(self, caller: Caller, whom: Caller, ban: bool, mid: str | None) -> None:
        payload = KickParticipant(participant_id=whom[1], ban=ban, mid=mid)
        arguments = {"target": whom[1], "ban": ban}
        self._change(caller, Action.KICK, arguments, mid, self.brief.kick, payload)

    @rule(caller=callers, whom=people, mid=mids)
    def transfer_host(self, caller: Caller, whom: Caller, mid: str | None) -> None:
        payload = TransferHost(participant_id=whom[1], mid=mid)
        self._change(caller, Action.TRANSFER_HOST, {"target": whom[1]}, mid, self.brief.transfer_host, payload)

    @rule(caller=callers, mid=mids)
    def rotate_host_token(self, caller: Caller, mid: str | None) -> None:
        done: Any = self._do(
            self.brief.rotate_host_token(Access(self.code, self._credential(caller)), NoArguments(mid=mid))
        )
        if isinstance(done, dict):
            done["generation"] = int(done.pop("hostToken").split(".")[2])
        self._same(done, lambda: self.model.change(caller, Action.ROTATE_HOST_TOKEN, {}, mid))

    @rule(connection=st.sampled_from(CONNECTIONS), mid=mids)
    def leave(self, connection: str, mid: str | None) -> None:
        """As sockets do it, in the name of the participant whose connection it is."""
        caller: Caller = ("person", self.model.connections.get(connection, "nobody"))
        arguments = {"connection": connection, "recovery": connection}
        access = Access(self.code, self._credential(caller))
        real = self._do(self.brief.leave(access, connection, connection, mid))
        self._same(real, lambda: self.model.change(caller, Action.LEAVE, arguments, mid, sent={}))

    @rule(person=people, mid=mids)
    def remove_self(self, person: Caller, mid: str | None) -> None:
        access = Access(self.code, self._credential(person))
        real = self._do(self.brief.remove_self(access, person[1], mid))
        self._same(real, lambda: self.model.change(person, Action.LEAVE, {}, mid, sent={"all": True}))

    @precondition(lambda self: self.steps > EARLIEST_END)
    @rule(caller=callers, mid=mids)
    def end_session(self, caller: Caller, mid: str | None) -> None:
        access = Access(self.code, self._credential(caller))
        real = self._do(self.brief.end_session(access, NoArguments(mid=mid)))
        self._same(real, lambda: self.model.change(caller, Action.END_SESSION, {}, mid))

    @rule(target=host_tokens)
    def newer_host_token(self) -> Caller:
        return ("host-token", self.model.generation)

    @rule(ahead=st.integers(0, 3))
    def lose(self, ahead: int) -> None:
        """A replica claims to have seen a version ahead of Redis: a new epoch where that is so, without connections."""
        session = self.store.run(self.store.sessions.read(self.code))
        if session is None:
            return
        seen = self.model.version + ahead
        self.store.run(self.store.claim_to_have_seen(self.code, Head(session.head.epoch, seen)))
        if ahead > 0:
            self.model.lose()

    @rule(
        arrivals=st.lists(st.sampled_from(["in time", "lost", "doubled", "late"]), max_size=6),
        reading=st.booleans(),
    )
    def announce(self, arrivals: list[str], reading: bool) -> None:
        """What was announced arrives at a replica, more or less, which may read the session before."""
        follower = self.store.follower
        self.store.run(follower.catch_up())
        if reading and (stored := self.store.run(self._stored())) is not None:
            follower.read(stored)
        arriving, late = [], []
        for announcement, arrival in itertools.zip_longest(follower.heard, arrivals[: len(follower.heard)]):
            if arrival == "late":
                late.append(announcement)
            elif arrival != "lost":
                arriving += [announcement] * (2 if arrival == "doubled" else 1)
        follower.heard.clear()
        for announcement in arriving + late:
            follower.take(announcement)

    @invariant()
    def a_replica_is_right_or_in_doubt(self) -> None:
        if not hasattr(self, "model"):
            return
        if (session := self.store.run(self.store.sessions.read(self.code))) is not None:
            self.versions[session.head] = session
        known = self.store.follower.certain
        if known is not None and known.head in self.versions:
            right = replace(self.versions[known.head], expires_at=known.expires_at)
            assert known == right
            assert known.data == right.data

    @invariant()
    def looks_alike(self) -> None:
        if not hasattr(self, "model"):
            return
        self.steps += 1
        session = self.store.run(self.store.sessions.read(self.code))
        assert (session is None) == self.model.ended
        if session is None:
            return
        data: Any = orjson.loads(session.data)
        decision: Any = None if session.decision is None else dict(session.decision.shown)
        if decision is not None:
            del decision["decidedAt"]
            assert not decision["tied"] or decision["movieID"] in decision["tied"]
        shown = ("id", "name", "role", "connected", "rated")
        figures = ("id", "addedBy", "count", "vetoes", "score", "compatibility", "rank")
        assert {
            "version": session.head.version,
            "title": session.title,
            "locked": session.locked,
            "capacity": session.capacity,
            "observers": session.observers,
            "counts down": session.decide_at is not None,
            "decideWhen": session.decide_when,
            "reveal": session.reveal,
            "decision": decision,
            "participants": [tuple(person[key] for key in shown) for person in data["participants"]],
            "movies": [{key: entry[key] for key in figures} for entry in data["movies"]],
        } == self.model.seen()
        assert [person["role"] for person in data["participants"]].count("host") == bool(data["participants"])

    @invariant()
    def has_a_lifetime(self) -> None:
        if not hasattr(self, "model"):
            return
        commands = [("PTTL", key) for key in KEYS.session_keys(self.code)]
        left = self.store.run(self.store.connection.batch(commands))
        assert all(isinstance(each, int) and (each > 0 or each == -2) for each in left), left
        if self.model.ended:
            there = [
                key for key, milliseconds in zip(KEYS.session_keys(self.code), left, strict=True) if milliseconds != -2
            ]
            assert there == [KEYS.reservation(self.code)]

    def _join(
        self,
        caller: Caller | None,
        name: str | None,
        connection: str,
        recovery: str,
        *,
        recovering: bool,
        proved: str | None = None,
    ) -> Any:
        real = self._do(
            self.brief.attach(
                self.code,
                None if caller is None else self._credential(caller),
                name,
                connection=connection,
                recovery=recovery,
                recovering=recovering,
                proved=proved,
            )
        )
        newcomer = self.store.last_id
        expected = _outcome(
            lambda: self.model.join(caller, name, connection, recovery, newcomer, recovering=recovering, proved=proved)
        )
        if isinstance(real, str):
            assert real == expected
            return multiple()
        attached = real.attached
        assert attached.participant == expected
        assert attached.head.version == self.model.version
        assert attached.votes == self.model.votes_of(attached.participant)
        return ("person", attached.participant)

    async def _stored(self) -> StoredSession | None:
        reads = SessionReads(self.store.connection, KEYS)
        stored = await reads.alone(self.code)
        await reads.close()
        return stored

    def _pass_time(self) -> None:
        """So that of two moments the store's clock knows which was first."""
        self.store.run(asyncio.sleep(2 * BRIEF))

    def _credential(self, caller: Caller) -> Credential:
        kind, subject = caller
        if kind == "host-token":
            return Credential("host", self.instance, str(subject))
        return Credential("participant", self.instance, subject)

    def _change(
        self,
        caller: Caller,
        action: Action,
        arguments: dict[str, Any],
        mid: str | None,
        method: Callable[[Access, Any], Coroutine[Any, Any, Any]],
        payload: Any,
    ) -> None:
        real = self._do(method(Access(self.code, self._credential(caller)), payload))
        self._same(real, lambda: self.model.change(caller, action, arguments, mid))

    def _do(self, work: Coroutine[Any, Any, T]) -> T | str:
        """The result, or the code of the error."""
        try:
            return self.store.run(work)
        except SessionError as error:
            return error.code

    def _same(self, real: Any, expected: Callable[[], Any]) -> None:
        if isinstance(real, dict):
            real.pop("now", None)
        assert real == _outcome(expected)


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Refused as refused:
        return refused.code


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with asyncio.Runner() as runner:
        server = RedisServer(unix=True)
        runner.run(server.start())
        store = Store(runner, server)
        yield store
        store.close()
        runner.run(server.stop())


@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        pytest.param(25, 40, id="short"),
        pytest.param(200, 50, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_after_any_commands_the_store_and_the_model_agree(store: Store, examples: int, steps: int) -> None:
    SessionMachine.store = store
    run_state_machine_as_test(
        SessionMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
