# /// script
# requires-python = ">=3.9"
# dependencies = ["python-socketio[client]>=5.11"]
# ///
"""A bot that joins a session, adds the movies of a list and announces the decision, until the session ends."""

import argparse
import sys
import threading
import uuid

import socketio

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("code", help="the code of the session")
parser.add_argument(
    "movies", nargs="?", type=argparse.FileType(), help="a file with a title a line, - for standard input"
)
parser.add_argument("--service", default="http://localhost:8080", metavar="URL")
parser.add_argument("--name", default="Movie bot")
options = parser.parse_args()

# A title has the same id each time, so a movie that is added again is there once.
movies = [
    {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, title)), "title": title}
    for title in (line.strip() for line in options.movies or ())
    if title
]
me = {"sessionID": options.code, "name": options.name}
socket = socketio.Client()
over = threading.Event()
announced = None


def say(text, to=sys.stdout):
    print(text, file=to, flush=True)


def join():
    """Join, also after each reconnect: without it the new connection would be in no session."""
    socket.emit("join-session", me, callback=joined)


def joined(ack):
    if ack["ok"]:
        me["token"] = ack["token"]
        if movies:
            socket.emit("add-movie", {"movies": movies}, callback=added)
    elif ack.get("retryable"):
        threading.Timer(ack.get("retryAfter", 1), join).start()
    else:
        say(ack["message"], sys.stderr)
        over.set()


def added(ack):
    if ack["ok"]:
        say(f"Added {len(ack['added'])} movies, {len(ack['present'])} were there.")
    else:
        say(ack["message"], sys.stderr)


def updated(data, meta, _offset):
    """Announce a decision once. Each update is whole, so none is missed by a client that was away."""
    global announced
    decision = meta["decision"]
    if decision is not None and decision["decidedAt"] != announced:
        announced = decision["decidedAt"]
        titles = {movie["id"]: movie["title"] for movie in data["movies"]}
        say(f"Decided: {titles[decision['movieID']]}")


def ended(event):
    say(f"The session is over: {event['reason']}")
    over.set()


socket.on("connect", join)
socket.on("session-update", updated)
socket.on("session-ended", ended)
socket.connect(options.service)
over.wait()
socket.disconnect()
