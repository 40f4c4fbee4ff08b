"""What waits for a client, or from it, is counted as what it really holds in memory."""

from __future__ import annotations

import gc
import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from app.socketio_server.frames import Encoded, parsed_size
from app.socketio_server.options import Options
from app.socketio_server.packets import Packet, decode
from app.socketio_server.queues import Inbox, Outbox

# How much more may be counted than is held.
FACTOR = 4


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """What other tests have left is not looked at by each of the many collections."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def held_by(make: Callable[[], object]) -> int:
    """Return the memory of what is made. Threads of the test runner add to a measurement now and then."""
    return min(_measured(make) for _ in range(3))


def _measured(make: Callable[[], object]) -> int:
    # Hypothesis is called at each collection, and would be counted, too.
    callbacks = gc.callbacks.copy()
    gc.callbacks.clear()
    try:
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        kept = make()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del kept
        return after - before
    finally:
        gc.callbacks += callbacks


@pytest.mark.parametrize("size", [0, 60, 5000])
@pytest.mark.parametrize("letter", ["a", "😀"])
@pytest.mark.parametrize("keyed", [False, True])
def test_what_waits_for_a_slow_client_is_counted_as_held(size: int, letter: str, keyed: bool) -> None:
    count = max(10, 5000 // (size + 1))

    def filled() -> Outbox:
        outbox = Outbox()
        for number in range(count):
            message = Encoded("4" + letter * size + str(number))
            assert message.polling
            assert message.messages
            outbox.put(message, f"room {number}" if keyed else None)
        return outbox

    real, outbox = held_by(filled), filled()
    assert real <= outbox.size <= FACTOR * real
    outbox.take()
    assert outbox.size == 0


VALUES = {
    "nothing": "",
    "empty lists": ",".join(["[]"] * 5000),
    "empty objects": ",".join(["{}"] * 5000),
    "small objects": ",".join(['{"a":1}'] * 3000),
    "numbers": ",".join(str(number) for number in range(5000)),
    "texts": ",".join(f'"{number}"' for number in range(5000)),
    "one text": '"' + "x" * 50_000 + '"',
    "one wide text": '"' + "x" * 50_000 + '😀"',
    "movies": json.dumps([{"id": f"m{n}", "title": f"Title {n}", "year": 1999, "genres": ["a"]} for n in range(300)]),
}


@pytest.mark.parametrize("name", VALUES)
def test_what_a_client_has_sent_is_counted_as_held(name: str) -> None:
    text = f'2["event",[{VALUES[name]}]]'

    def received() -> list[Packet]:
        return [decode(Packet, text) for _ in range(10)]

    assert held_by(received) <= 10 * parsed_size(text)


def test_random_values_are_counted_as_held() -> None:
    chance = random.Random(1)

    def value(depth: int) -> object:
        kinds = ["number", "text", "list", "object"] if depth else ["number", "text"]
        match chance.choice(kinds):
            case "number":
                return chance.choice([0, 1.5, 10**9, None, True])
            case "text":
                return chance.choice(["", "a", "語" * 3, "x" * chance.randrange(50)])
            case "list":
                return [value(depth - 1) for _ in range(chance.randrange(8))]
        return {f"k{n}": value(depth - 1) for n in range(chance.randrange(12))}

    for _ in range(15):
        text = "2" + json.dumps(["event", value(5)], ensure_ascii=chance.random() < 0.5, separators=(",", ":"))
        assert held_by(partial(decode, Packet, text)) <= parsed_size(text)


def test_an_inbox_is_full_by_what_its_items_hold() -> None:
    inbox = Inbox(Options(max_queued=100, max_payload=1 << 18))
    text = '2["event",[' + ",".join(["{}"] * 2000) + "]]"
    inbox.put(decode(Packet, text), parsed_size(text))
    assert len(text) < 7000
    assert inbox.full
    inbox.take()
    assert not inbox.full
