"""A session as the contract describes it, in plain Python: what a command answers and what everybody sees after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from app.sessions.permissions import Action
from tests.harness.reckoning import figures, ranks

__all__ = ["Answer", "Caller", "Film", "ModelSession", "Person", "Refused"]

OBSERVERS: Final = "~"
"""Whose the connections are that only watch."""

Caller = tuple[Literal["person", "host-token"], Any]
"""Who asks: the id of a participant, or the generation of a host token."""

Answer = dict[str, Any]


class Refused(Exception):
    """The command is refused; `code` is that of the contract."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Person:
    order: int
    name: str
    away: Literal["no", "briefly", "long"] = "no"
    owner: str | None = None
    lost: int = 0
    """When the last connection was, among all such moments."""


@dataclass
class Film:
    adder: str | None
    ratings: dict[str, int] = field(default_factory=dict)


class Asker(NamedTuple):
    """Who asks for a change: the participant, if any, and what is allowed."""

    id: str | None
    grant: str
    by_token: bool


@dataclass
class ModelSession:
    capacity: int
    leavers: Literal["keep", "drop"]
    policy: Literal["allow", "newest", "reject"]
    max_movies: int
    title: str | None = None
    locked: bool = False
    passcode: str = ""
    """As it is stored."""
    version: int = 1
    decided: dict[str, Any] | None = None
    drawn: str | None = None
    """What the lot is said to have drawn."""
    decide_when: str = "host"
    reveal: str = "live"
    timer: bool = False
    ready: bool = False
    """Whether the decision comes because everybody has rated everything."""
    generation: int = 1
    host: str | None = None
    token_holder: str | None = None
    ended: bool = False
    guests: int = 0
    stays: int = 0
    losses: int = 0
    peak: int = 0
    absent: list[str] = field(default_factory=list)
    voters: set[str] = field(default_factory=set)
    """Who has rated anything since their ratings were dropped, even a movie that is gone or a rating withdrawn."""
    people: dict[str, Person] = field(default_factory=dict)
    films: dict[str, Film] = field(default_factory=dict)
    banned: set[str] = field(default_factory=set)
    connections: dict[str, str] = field(default_factory=dict)
    recoveries: dict[str, tuple[str, str]] = field(default_factory=dict)
    recovery_ids: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Of each participant those that are known, void ones included, the newest last."""
    lost_names: dict[str, str] = field(default_factory=dict)
    former: dict[str, tuple[bool, int, str]] = field(default_factory=dict)
    """Who has gone and is remembered; who sorts first is forgotten first."""
    replies: dict[tuple[Caller, str], tuple[Any, Answer | str]] = field(default_factory=dict)

    # What is seen

    def seen(self) -> dict[str, Any]:
        shown: dict[str, dict[str, Any]] = self._figures()
        rank: dict[str, int | None] = {**ranks(shown)}
        if self.reveal == "decided" and self.decided is None:
            shown = {name: dict.fromkeys(each) for name, each in shown.items()}
            rank = dict.fromkeys(rank)
        return {
            "decision": self.decided,
            "counts down": self.timer or self.ready,
            "decideWhen": self.decide_when,
            "reveal": self.reveal,
            "version": self.version,
            "title": self.title,
            "locked": self.locked,
            "capacity": self.capacity,
            "observers": self.observers,
            "participants": [
                (
                    id_,
                    person.name,
                    "host" if id_ == self.host else "member",
                    person.away == "no",
                    self._shown_rated(id_),
                )
                for id_, person in sorted(self.people.items(), key=lambda entry: entry[1].order)
            ],
            "movies": [
                {"id": name, "addedBy": film.adder, **shown[name], "rank": rank[name]}
                for name, film in self.films.items()
            ],
        }

    def votes_of(self, person: str) -> dict[str, int]:
        return {name: film.ratings[person] for name, film in self.films.items() if person in film.ratings}

    @property
    def observers(self) -> int:
        return list(self.connections.values()).count(OBSERVERS)

    # Connections

    def observe(
        self, caller: Caller | None, connection: str, recovery: str, *, recovering: bool, proved: str | None
    ) -> str:
        """Attach a connection to nobody."""
        self._must_live()
        id_ = self._known(caller, connection)
        self._must_know(caller, connection, proved, recovering=recovering)
        by_token = caller is not None and caller[0] == "host-token"
        if not by_token and id_ in self.banned:
            raise Refused("forbidden")
        if recovering and recovery not in self.recoveries:
            raise Refused("not-joined")
        before, watching = self.connections.get(connection), self.observers
        if self.locked and before is None and not by_token and id_ not in self.people:
            raise Refused("session-locked")
        if (continued := self._continued(recovery, connection)) is not None:
            self.connections.pop(continued, None)
        changed = self._leave_as(before, connection, recovery) if before != OBSERVERS else False
        self.connections[connection] = OBSERVERS
        self._note_recovery(OBSERVERS, connection, recovery)
        self._commit(changed or self.observers != watching)
        return OBSERVERS

    def _must_know(self, caller: Caller | None, connection: str, proved: str | None, *, recovering: bool) -> None:
        is_stranger = caller is None and not recovering and connection not in self.connections
        if is_stranger and self.passcode not in ("", proved):
            raise Refused("passcode-required")

    def _continued(self, recovery: str, connection: str) -> str | None:
        """The connection that this one continues, which is gone then."""
        continued = self.recoveries.get(recovery, ("", ""))[1]
        return continued if continued not in ("", connection) else None

    def _leave_as(self, before: str | None, connection: str, recovery: str) -> bool:
        """Whoever the connection was leaves, unless there is another one; whether somebody has left."""
        if before is None:
            return False
        del self.connections[connection]
        if before == OBSERVERS or before in self.connections.values():
            return False
        self._disconnect(before, None, recovery)
        self._remove(before)
        return True

    def join(
        self,
        caller: Caller | None,
        name: str | None,
        connection: str,
        recovery: str,
        newcomer: str,
        *,
        recovering: bool,
        proved: str | None = None,
    ) -> str:
        """The participant that the connection is attached to; `newcomer` is the id for one who is new."""
        self._must_live()
        id_ = self._known(caller, connection) or newcomer
        self._must_know(caller, connection, proved, recovering=recovering)
        if id_ in self.banned:
            raise Refused("forbidden")
        if recovering and recovery not in self.recoveries:
            raise Refused("not-joined")
        watching = self.observers
        continued = self._continued(recovery, connection)
        by_token = caller is not None and caller[0] == "host-token"
        before = self.connections.get(connection)
        attached = before == id_
        elsewhere = any(whose == id_ and other != continued for other, whose in self.connections.items())
        changed = self._enter(id_, name, by_token=by_token, elsewhere=elsewhere and not attached)
        if continued is not None:
            self.connections.pop(continued, None)
        if not attached:
            changed |= self._leave_as(before, connection, recovery)
        self.connections[connection] = id_
        changed |= self.observers != watching
        self._note_recovery(id_, connection, recovery)
        person = self.people[id_]
        if person.away != "no":
            person.away = "no"
            changed = True
        if self.policy == "newest":
            changed |= self._replace(id_, connection, recovery)
        if by_token:
            self.token_holder = id_
        if (by_token or self.host is None) and self.host != id_:
            self.host = id_
            changed = True
        self._commit(changed)
        return id_

    def _note_recovery(self, id_: str, connection: str, recovery: str) -> None:
        """Of each participant the newest three recovery ids are known, of observers forty."""
        owner = self.recoveries.get(recovery, (id_, ""))[0]
        if owner != id_ and recovery in self.recovery_ids[owner]:
            self.recovery_ids[owner].remove(recovery)
        self.recoveries[recovery] = (id_, connection)
        ids = self.recovery_ids[id_]
        if recovery in ids:
            ids.remove(recovery)
        ids.append(recovery)
        while len(ids) > (40 if id_ == OBSERVERS else 3):
            oldest = ids.pop(0)
            self._forget_recovery(id_, oldest)
        self._forget_former()

    def _forget_recovery(self, id_: str, recovery: str) -> None:
        if self.recoveries.get(recovery, ("", ""))[0] == id_:
            del self.recoveries[recovery]

    def _forget_former(self) -> None:
        """Of those who have gone, and of recovery ids, no more are remembered than twice the capacity."""
        # A few at a time, as the capacity may have become much lower.
        for _ in range(8):
            ids = sum(len(ids) for whose, ids in self.recovery_ids.items() if whose != OBSERVERS)
            number = max(len(self.former), ids)
            if number <= 2 * self.capacity or not self.former:
                return
            *_, id_ = min(self.former.values())
            del self.former[id_]
            self.lost_names.pop(id_, None)
            for recovery in self.recovery_ids.pop(id_, []):
                self._forget_recovery(id_, recovery)

    def detach(self, connection: str, away: Literal["briefly", "long"]) -> None:
        self._must_live()
        id_ = self.connections.pop(connection, None)
        if id_ == OBSERVERS:
            self._commit()
        elif id_ is not None and id_ not in self.connections.values():
            self._lose([id_], away)
            self._commit()

    def reap(self, replica: str, away: Literal["briefly", "long"]) -> None:
        self._must_live()
        dead = [connection for connection in self.connections if connection.startswith(f"{replica}.")]
        watching = self.observers
        alone = {self.connections.pop(connection) for connection in dead} - {*self.connections.values(), OBSERVERS}
        self._lose(alone, away)
        self._commit(bool(alone) or self.observers != watching)

    def lose(self) -> None:
        self.connections.clear()
        self._commit()

    def sweep(self) -> None:
        self._must_live()
        alone = [id_ for id_ in self.people if self.people[id_].away == "no" and id_ not in self.connections.values()]
        for id_ in alone:
            self.people[id_].away = "long"
        over = [id_ for id_, person in self.people.items() if person.away == "briefly"]
        over.sort(key=lambda id_: (self.people[id_].lost, id_))
        for id_ in over:
            self.lost_names[id_] = self.people[id_].name
        # All are away, so who is promoted in between does not matter.
        for id_ in over:
            self._remove(id_, returns=True)
        self._commit(bool(over or alone))

    # Changes

    def change(
        self,
        caller: Caller,
        action: Action,
        arguments: dict[str, Any],
        mid: str | None,
        sent: dict[str, Any] | None = None,
    ) -> Answer:
        """A change that somebody asks for, with an idempotency key or None; `sent` is what a repeat has to send, too,
        if that is not all `arguments`."""
        request = (action, arguments if sent is None else sent)
        known = self.replies.get((caller, mid)) if mid is not None else None
        # Of a session that has ended only the reply to the one who ended it is left.
        if self.ended and (known is None or known[0][0] != Action.END_SESSION):
            raise Refused("session-not-found")
        if known is not None:
            if known[0] != request:
                raise Refused("idempotency-mismatch")
            if isinstance(known[1], str):
                raise Refused(known[1])
            if self.connections.get(arguments.get("connection", "")) == caller[1]:
                self._leave(Asker(caller[1], "own", by_token=False), **arguments)
            return known[1]
        asker = self._authorized(caller, action)
        answer: Answer | str
        try:
            answer = {"ok": True, **getattr(self, "_" + action.replace("-", "_"))(asker, **arguments)}
            answer["version"] = self.version
        except Refused as refused:
            answer = refused.code
        if mid is not None:
            self.replies[caller, mid] = (request, answer)
        if isinstance(answer, str):
            raise Refused(answer)
        return answer

    def _authorized(self, caller: Caller, action: Action) -> Asker:
        kind, subject = caller
        permission = action.permission
        if kind == "host-token":
            if subject != self.generation:
                raise Refused("unauthorized")
            id_ = self.token_holder if self.token_holder in self.people else None
            grant = permission.host
        else:
            if subject not in self.people:
                raise Refused("forbidden" if subject in self.banned else "not-joined")
            id_ = subject
            grant = permission.host if subject == self.host else permission.member
        if grant == "none":
            raise Refused("forbidden")
        return Asker(id_, grant, kind == "host-token")

    def _add_movies(self, asker: Asker, movies: list[str]) -> Answer:
        if self.decided is not None:
            raise Refused("session-decided")
        unique = list(dict.fromkeys(movies))
        added = [name for name in unique if name not in self.films]
        if len(self.films) + len(added) > self.max_movies:
            raise Refused("limit-reached")
        for name in added:
            self.films[name] = Film(asker.id)
        self._commit(bool(added))
        return {"added": added, "present": [name for name in unique if name not in added]}

    def _remove_movie(self, asker: Asker, movie: str) -> Answer:
        if self.decided is not None:
            raise Refused("session-decided")
        if movie not in self.films:
            raise Refused("movie-not-found")
        if asker.grant == "own" and self.films[movie].adder != asker.id:
            raise Refused("forbidden")
        del self.films[movie]
        self._commit()
        return {}

    def _vote(self, asker: Asker, movie: str, rating: int) -> Answer:
        if asker.id is None:
            raise Refused("not-joined")
        if self.decided is not None:
            raise Refused("session-decided")
        if movie not in self.films:
            raise Refused("movie-not-found")
        ratings = self.films[movie].ratings
        if ratings.get(asker.id, 0) != rating:
            ratings.pop(asker.id, None)
            if rating:
                ratings[asker.id] = rating
            self.voters.add(asker.id)
            self._commit()
        return {}

    _withdraw_vote = _vote

    def _rename_participant(self, asker: Asker, target: str | None, name: str) -> Answer:
        target = target or asker.id
        if target is None:
            raise Refused("not-joined")
        if target not in self.people:
            raise Refused("participant-not-found")
        if target != asker.id:
            raise Refused("forbidden")
        self._commit(self.people[target].name != name)
        self.people[target].name = name
        return {}

    def _update_session(self, asker: Asker, **fields: Any) -> Answer:
        if self.decided is not None and (fields.get("timer") or fields.get("decide_when") == "all-rated"):
            raise Refused("session-decided")
        rated = any(film.ratings for film in self.films.values())
        if fields.get("reveal") == "live" and self.reveal == "decided" and rated:
            raise Refused("limit-reached")
        for name, value in fields.items():
            setattr(self, name, value)
        if self.decide_when == "host":
            self.ready = False
        self._commit()
        return {}

    def _kick(self, asker: Asker, target: str, *, ban: bool) -> Answer:
        if target not in self.people:
            raise Refused("participant-not-found")
        if target in (self.host, self.token_holder) and (asker.id != target or ban or not asker.by_token):
            raise Refused("forbidden")
        self._disconnect(target)
        self._remove(target)
        if ban:
            self.banned.add(target)
        self._commit()
        return {}

    def _transfer_host(self, asker: Asker, target: str) -> Answer:
        if target not in self.people:
            raise Refused("participant-not-found")
        if target != self.host:
            self.host = target
            if asker.by_token or asker.id == self.token_holder:
                self.generation += 1
                self.token_holder = None
            self._commit()
        return {}

    def _rotate_host_token(self, asker: Asker) -> Answer:
        if not asker.by_token and asker.id != self.token_holder:
            raise Refused("forbidden")
        self.generation += 1
        self._commit()
        return {"generation": self.generation}

    def _leave(self, asker: Asker, connection: str | None = None, recovery: str = "") -> Answer:
        """Without a connection with all of them."""
        if connection is not None:
            self.recoveries.pop(recovery, None)
            self.connections.pop(connection, None)
            if asker.id in self.connections.values():
                return {}
        # Nobody leaves by the host token alone.
        assert asker.id is not None
        self._disconnect(asker.id)
        self._remove(asker.id)
        self._commit()
        return {}

    def _end_session(self, asker: Asker) -> Answer:
        self.ended = True
        self._commit()
        return {}

    def _decide(self, asker: Asker, movie: str | None) -> Answer:
        if self.decided is not None:
            raise Refused("session-decided")
        if movie is not None and movie not in self.films:
            raise Refused("movie-not-found")
        leading = self._leading()
        if movie is None and not leading:
            raise Refused("nothing-to-decide")
        by, tied = ("host", []) if movie is not None else ("ranking", []) if len(leading) == 1 else ("lot", leading)
        shown = self._figures()
        self.decided = {
            "movieID": movie or (leading[0] if len(leading) == 1 else self.drawn),
            "by": by,
            "tied": tied,
            "ranking": [
                {"movieID": name, "rank": rank, **shown[name]}
                for name, rank in sorted(ranks(shown).items(), key=lambda entry: entry[1])
            ],
        }
        self.timer = self.ready = False
        self._commit()
        return {}

    def _reopen(self, asker: Asker, clear: str | None) -> Answer:
        if self.decided is None:
            raise Refused("not-decided")
        self.decided, self.decide_when, self.timer, self.ready = None, "host", False, False
        if clear is not None:
            self.voters.clear()
            self.absent.clear()
            for film in self.films.values():
                film.ratings.clear()
        if clear == "movies":
            self.films.clear()
        self._commit()
        return {}

    # Parts of them

    def _commit(self, changed: bool = True) -> None:
        """A step has changed something: everybody may have rated everything by that, or not any more."""
        if not changed:
            return
        self.version += 1
        if self.decide_when != "all-rated" or self.decided is not None:
            return
        enough = len(self.films) >= 2 and len(self.people) >= 2
        if not enough or any(self._rated(id_) < len(self.films) for id_ in self.people):
            self.ready = False
        elif self._leading():
            self.ready = True

    def _role(self, id_: str) -> str:
        return "host" if id_ == self.host else "member"

    def _rated(self, id_: str) -> int:
        return sum(id_ in film.ratings for film in self.films.values())

    def _shown_rated(self, id_: str) -> int:
        rated = self._rated(id_)
        return rated if self.reveal == "decided" or rated == len(self.films) else 0

    def _figures(self) -> dict[str, dict[str, Any]]:
        return {name: figures(film.ratings.values()) for name, film in self.films.items()}

    def _leading(self) -> list[str]:
        """The first of the ranking among the movies with a rating that is no veto, and those equal to it."""
        shown = {name: each for name, each in self._figures().items() if each["count"]}
        keys = ("compatibility", "vetoes", "count")
        first = min(ranks(shown).items(), key=lambda entry: entry[1], default=None)
        if first is None:
            return []
        return [name for name in shown if all(shown[name][key] == shown[first[0]][key] for key in keys)]

    def _must_live(self) -> None:
        if self.ended:
            raise Refused("session-not-found")

    def _known(self, caller: Caller | None, connection: str) -> str | None:
        if caller is None:
            return None
        kind, subject = caller
        if kind == "person":
            return None if subject == OBSERVERS else str(subject)
        if subject != self.generation:
            raise Refused("unauthorized")
        known = self.token_holder or self.connections.get(connection)
        return None if known == OBSERVERS else known

    def _enter(self, id_: str, name: str | None, *, by_token: bool, elsewhere: bool) -> bool:
        if (person := self.people.get(id_)) is not None:
            if self.policy == "reject" and elsewhere:
                raise Refused("limit-reached")
            changed = name is not None and name != person.name
            person.name = name or person.name
            return changed
        if self.locked and not by_token:
            raise Refused("session-locked")
        if len(self.people) >= self.capacity:
            raise Refused("session-full")
        name = name or self.lost_names.get(id_)
        if name is None:
            self.guests += 1
            name = f"Guest {self.guests}"
        self.lost_names.pop(id_, None)
        self.former.pop(id_, None)
        self.stays += 1
        self.people[id_] = Person(self.stays, name)
        self.peak = max(self.peak, len(self.people))
        if id_ in self.absent:
            self.absent.remove(id_)
        return True

    def _replace(self, id_: str, connection: str, recovery: str) -> bool:
        """Only the newest connection of a participant stays."""
        if list(self.connections.values()).count(id_) > 1:
            self._disconnect(id_, connection, recovery)
        person = self.people[id_]
        replaced = person.owner != connection
        person.owner = connection
        return replaced

    def _disconnect(self, id_: str, connection: str | None = None, recovery: str | None = None) -> None:
        """No connection and no recovery id acts for the participant any more, but these."""
        self.connections = {
            name: whose for name, whose in self.connections.items() if whose != id_ or name == connection
        }
        self.recoveries = {
            name: entry for name, entry in self.recoveries.items() if entry[0] != id_ or name == recovery
        }

    def _lose(self, ids: Iterable[str], away: Literal["briefly", "long"]) -> None:
        """Their last connections, all at once."""
        self.losses += 1
        for id_ in ids:
            self.people[id_].away = away
            self.people[id_].lost = self.losses

    def _remove(self, id_: str, *, returns: bool = False) -> None:
        """`returns`: by the end of the grace time."""
        del self.people[id_]
        if not returns and self.leavers == "drop":
            self._drop_ratings(id_)
        elif id_ in self.voters:
            self.absent.append(id_)
            while len(self.absent) > self.peak:
                self._drop_ratings(self.absent.pop(0))
        if self.host == id_:
            waiting = sorted(self.people.items(), key=lambda entry: (entry[1].away != "no", entry[1].order))
            self.host = waiting[0][0] if waiting else None
        self.former[id_] = (returns, self.version, id_)
        self._forget_former()

    def _drop_ratings(self, id_: str) -> None:
        self.voters.discard(id_)
        for film in self.films.values():
            film.ratings.pop(id_, None)
