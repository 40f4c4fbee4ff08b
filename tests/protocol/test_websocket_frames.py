"""Frames of clients, as the `websockets` library writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as LibraryFrame
from websockets.frames import Opcode

from app.socketio_server.websocket_frames import Frame, FrameError, check_close, read_frame

LIMIT = 70_000


def frames() -> st.SearchStrategy[LibraryFrame]:
    sizes = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, LIMIT])
    payloads = st.one_of(st.binary(max_size=20), sizes.map(lambda size: b"\xa5" * size))
    messages = st.builds(
        LibraryFrame, st.sampled_from([Opcode.CONT, Opcode.TEXT, Opcode.BINARY]), payloads, st.booleans()
    )
    control = st.builds(
        LibraryFrame, st.sampled_from([Opcode.CLOSE, Opcode.PING, Opcode.PONG]), st.binary(max_size=125)
    )
    return st.one_of(messages, control)


@given(st.lists(frames(), max_size=5), st.randoms(use_true_random=False))
def test_frames_are_read_as_they_were_written_however_they_arrive(written: list[LibraryFrame], chance: object) -> None:
    stream = b"".join(frame.serialize(mask=True) for frame in written)
    read: list[Frame] = []
    at = end = 0
    while at < len(stream):
        frame = read_frame(stream[:end], at, LIMIT)
        if frame is None:
            end = chance.randint(end + 1, len(stream))  # type: ignore[attr-defined]
        else:
            read.append(frame)
            at = frame.end
    assert [(frame.opcode, frame.is_last, frame.payload) for frame in read] == [
        (frame.opcode, frame.fin, frame.data) for frame in written
    ]


MASK = b"\0\0\0\0"


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"\x81\x00", 1002),
        (b"\xc1\x80" + MASK, 1002),
        (b"\xa1\x80" + MASK, 1002),
        (b"\x91\x80" + MASK, 1002),
        (b"\x83\x80" + MASK, 1002),
        (b"\x8b\x80" + MASK, 1002),
        (b"\x09\x80" + MASK, 1002),
        (b"\x89\xfe\x00\x7e" + MASK, 1002),
        (b"\x81\xfe\x00\x7d" + MASK, 1002),
        (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff" + MASK, 1002),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" + MASK, 1009),
        (b"\x81\xff\x00\x00\x00\x00\x00\x01\x11\x71" + MASK, 1009),
    ],
    ids=[
        *("not masked", "first reserved bit", "second reserved bit", "third reserved bit", "unknown message"),
        *("unknown control", "fragment of a ping", "long ping", "long form of 125", "long form of 65535"),
        *("endless", "one too many"),
    ],
)
def test_a_head_that_breaks_the_protocol_fails_before_its_payload(head: bytes, code: int) -> None:
    with pytest.raises(FrameError) as failed:
        read_frame(head, 0, LIMIT)
    assert failed.value.code == code


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_a_peer_may_close_with_a_code_and_a_reason(code: int) -> None:
    check_close(code.to_bytes(2, "big") + "grüß".encode())
    check_close(b"")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        *(((code).to_bytes(2, "big"), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)),
        ((1000).to_bytes(2, "big") + b"\xff", 1007),
    ],
)
def test_a_close_frame_that_is_none_fails(payload: bytes, code: int) -> None:
    with pytest.raises(FrameError) as failed:
        check_close(payload)
    assert failed.value.code == code
