"""What a connection costs in memory: the constants of ``app/replica/caps.py``.

    python -m bench.connections [CLIENTS]

Clients join sessions and do nothing, at a server of their own for each kind of client. Printed are the KiB by which the
memory of the server's process grows for each of them, and what it has without any. The kernel takes some 1.5 KiB more
for each TCP connection.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import loads, machine
from bench.prerequisites import prepare_load
from bench.servers import Server, serving, surroundings

CLIENTS = 2000
MOVIES = 12
AT_ONCE = 50
SETTLING = 3.0
VOTES_PER_SECOND = 200


def main(clients: int) -> None:
    prepare_load()
    for name, title, members in (
        ("ours", "WebSocket, sessions of ten", 10),
        ("ours-patches", "the same with patches", 10),
        ("ours", "WebSocket, alone in a session", 1),
    ):
        with fresh(name) as server:
            sessions = clients // members
            codes = server.create(sessions, movies=MOVIES)
            before = machine.unshared_kb(server.pid)
            with loads.connected(server, codes, clients, sessions):
                tell(title, server, before, clients)
    with fresh("ours-patches") as server:
        codes = server.create(clients // 10, movies=MOVIES)
        before = machine.unshared_kb(server.pid)
        loads.paced_votes(
            server, codes, clients=clients, rooms=clients // 10, movies=MOVIES, seconds=10, rate=VOTES_PER_SECOND
        )
        tell("the same with patches, after votes", server, before, clients)
    with fresh("ours") as server:
        asyncio.run(poll(server, server.create(clients // 10, movies=MOVIES).read_text().split(), clients))


@contextmanager
def fresh(name: str) -> Iterator[Server]:
    """A server that has served before."""
    with tempfile.TemporaryDirectory() as folder, surroundings(Path(folder)) as around, serving(name, around) as server:
        loads.joins(server, server.create(50, movies=MOVIES), 300)
        time.sleep(SETTLING)
        yield server


def tell(title: str, server: Server, before: int, clients: int) -> None:
    time.sleep(SETTLING)
    each = (machine.unshared_kb(server.pid) - before) / clients
    print(f"{title}: {each:.1f} KiB each, {before / 1024:.0f} MiB without them", flush=True)


async def poll(server: Server, codes: list[str], clients: int) -> None:
    """Clients that wait in a poll, with another connection, on which they have sent."""
    before, turns, joined = machine.unshared_kb(server.pid), asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(0)

    async def live(number: int) -> None:
        async with turns:
            receiving, sending = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
            sid = (await ask(receiving)).partition('"sid":"')[2].partition('"')[0]
            await ask(sending, sid, "40")
            await ask(receiving, sid)
            await ask(sending, sid, f'42["join-session","{codes[number % len(codes)]}"]')
            while "joined-session" not in await ask(receiving, sid):
                pass
        joined.release()
        while True:
            if (await ask(receiving, sid)).startswith("2"):
                await ask(sending, sid, "3")

    living = [asyncio.create_task(live(number)) for number in range(clients)]
    for _ in living:
        await joined.acquire()
    tell("long-polling, sessions of ten", server, before, clients)
    for task in living:
        task.cancel()


async def ask(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], sid: str = "", packet: str | None = None
) -> str:
    reader, writer = connection
    body = "" if packet is None else f"Content-Length: {len(packet)}\r\n\r\n{packet}"
    query = f"EIO=4&transport=polling{sid and f'&sid={sid}'}"
    method = "GET" if packet is None else "POST"
    writer.write(f"{method} /socket.io/?{query} HTTP/1.1\r\nHost: x\r\n{body or chr(13) + chr(10)}".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return (await reader.readexactly(size)).decode()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CLIENTS)
