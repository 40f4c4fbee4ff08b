"""Lives through a session with the client that openapi-python-client makes of the document: `flow.py ADDRESS`.

It prints the code and is given the token of a participant.
"""

import sys
from typing import Any

from join_session_client import AuthenticatedClient, Client
from join_session_client.api.sessions import (
    add_movies,
    create_session,
    decide,
    end_session,
    join_session,
    read_result,
    read_session,
    vote,
)
from join_session_client.models import (
    AddMoviesBody,
    CreateSession,
    DecideBody,
    Done,
    JoinRequest,
    MovieDetails,
    MoviesAdded,
    Rating,
    SessionFound,
    VoteBody,
)

address = sys.argv[1]


def client(token: str) -> Any:
    return AuthenticatedClient(base_url=address, token=token)


made = create_session.sync(client=Client(base_url=address), body=CreateSession(title="Friday"))
code = made.session_id
print(code, flush=True)
host, member = client(made.host_token), client(input())

assert isinstance(join_session.sync(client=member, body=JoinRequest(session_id=code)), SessionFound)
movies = AddMoviesBody(movies=[MovieDetails(id="m1", title="Alien")])
assert isinstance(add_movies.sync(code, client=member, body=movies), MoviesAdded)
rated = vote.sync(code, "m1", client=member, body=VoteBody(rating=Rating(5)), idempotency_key="key-1")
assert isinstance(rated, Done)
state = read_session.sync(code, client=member)
assert decide.sync(code, client=host, body=DecideBody()).ok
result = read_result.sync(code, client=member)
assert isinstance(end_session.sync(code, client=host), Done)
print(state.session_data.movies[0].compatibility, result.movie_id)
