"""Joins over HTTP, polls, upgrades, and hears what another client does; `helm test` runs it in the service's image.

python join.py http://join-session
python join.py https://movies.example replica
python join.py https://movies.example session

With "replica" it also checks that the ingress keeps a client with cookies on one replica, with "session" that it brings
the people of a session to one.
"""

import json
import os
import sys
import time
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, Request, build_opener

from websockets.sync.client import connect

TIMEOUT = 10
HANDSHAKES = 8


class Polling:
    """A client that polls, with its cookies, as a browser begins."""

    def __init__(self, address, opener=None):
        self.address = address
        self.url = f"{address}/socket.io/?EIO=4&transport=polling"
        self.opener = opener or build_opener(HTTPCookieProcessor(CookieJar()))
        self.sid = json.loads(self.get()[1:])["sid"]
        self.url += f"&sid={self.sid}"

    def get(self):
        with self.opener.open(self.url, timeout=TIMEOUT) as answer:
            return answer.read().decode()

    def post(self, packet):
        with self.opener.open(Request(self.url, packet.encode(), method="POST"), timeout=TIMEOUT) as answer:
            expect(answer.read(), b"ok")

    def replica(self):
        return self.sid.partition(".")[0]

    def cookies(self):
        request = Request(self.url)
        (jar,) = [handler.cookiejar for handler in self.opener.handlers if isinstance(handler, HTTPCookieProcessor)]
        jar.add_cookie_header(request)
        return {"Cookie": request.get_header("Cookie")} if request.has_header("Cookie") else {}


def main(address, together):
    code = create(address)
    answer = call(f"{address}/api/session/join", {"sessionID": code})
    expect(answer["message"], "Session found. You can now connect via WebSocket.")
    say(f"joined over HTTP at {address}")

    client = Polling(address)
    client.post("40")
    expect(client.get()[:3], "40{")
    say("connected by polling")
    if together == "replica":
        keep_replica(client)
        say(f"stayed on one replica in {HANDSHAKES} handshakes")
    if together == "session":
        meet(address, code)
        say(f"{HANDSHAKES} people of a session met on one replica")

    upgrade = socket_url(address) + f"&sid={client.sid}"
    with connect(upgrade, additional_headers=client.cookies(), open_timeout=TIMEOUT) as first:
        first.send("2probe")
        expect(first.recv(TIMEOUT), "3probe")
        first.send("5")
        say("upgraded to WebSocket")
        join(first, code)
        with connect(socket_url(address), open_timeout=TIMEOUT) as second:
            expect(second.recv(TIMEOUT)[:1], "0")
            second.send("40")
            expect(second.recv(TIMEOUT)[:3], "40{")
            join(second, code)
            wait(first, "session-update", lambda data: len(data["participants"]) == 2)
    say("heard the other client join")


def keep_replica(client):
    for _ in range(HANDSHAKES):
        again = Polling(client.address, client.opener)
        again.post("1")
        if again.replica() != client.replica():
            raise AssertionError("a client with cookies came to several replicas: the ingress is not sticky")


def meet(address, code):
    replicas = set()
    for _ in range(HANDSHAKES):
        opener = build_opener(HTTPCookieProcessor(CookieJar()))
        call(f"{address}/api/session/join", {"sessionID": code}, opener=opener)
        client = Polling(address, opener)
        client.post("1")
        replicas.add(client.replica())
    if len(replicas) > 1:
        raise AssertionError("people of a session came to several replicas: the ingress does not hash their cookie")


def create(address):
    key = os.environ.get("CREATE_KEY_FILE")
    headers = {"Authorization": f"Bearer {Path(key).read_text().strip()}"} if key else {}
    return call(f"{address}/api/session/create", {"ttlSeconds": 120}, headers)["sessionID"]


def join(socket, code):
    socket.send("42" + json.dumps(["join-session", code]))
    wait(socket, "joined-session", lambda data: data["sessionID"] == code)


def wait(socket, name, holds):
    deadline = time.monotonic() + TIMEOUT
    while (left := deadline - time.monotonic()) > 0:
        packet = socket.recv(left)
        if packet == "2":
            socket.send("3")
        elif packet.startswith("42"):
            event, *arguments = json.loads(packet[2:])
            if event == name and holds(arguments[0]):
                return
    raise TimeoutError(f"no such {name} within {TIMEOUT} s")


def call(url, body, headers=None, opener=None):
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})
    with (opener or build_opener()).open(request, timeout=TIMEOUT) as answer:
        return json.load(answer)


def socket_url(address):
    return "ws" + address.removeprefix("http") + "/socket.io/?EIO=4&transport=websocket"


def expect(seen, wanted):
    if seen != wanted:
        raise AssertionError(f"{seen!r} instead of {wanted!r}")


def say(text):
    print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if sys.argv[2:] else None)
