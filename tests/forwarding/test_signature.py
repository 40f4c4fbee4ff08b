"""What a replica says of requests that it passes on, and the ids by which it knows whose they are."""

from __future__ import annotations

from app.forwarding.sender import new_engine_sid
from app.forwarding.signature import RequestSigner


def test_a_signature_is_worth_nothing_after_a_while() -> None:
    clock = [0]
    signer = RequestSigner(lambda: b"secret", lambda: clock[0])
    headers = signer.sign("0123456789ab", "GET", b"sid=1", "192.0.2.7")
    for milliseconds, client in ((0, "192.0.2.7"), (10_000, "192.0.2.7"), (10_001, None)):
        clock[0] = milliseconds
        assert signer.verify("0123456789ab", "GET", b"sid=1", headers) == client


def test_no_id_can_be_guessed_from_another() -> None:
    made = [new_engine_sid("0123456789ab").partition(".")[2] for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {len(random) for random in made} == {20}
