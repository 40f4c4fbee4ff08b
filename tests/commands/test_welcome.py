"""What `make run` prints for who tries the service."""

from __future__ import annotations

import sys

import pytest

from app.commands.welcome import welcome


async def test_a_phone_in_the_network_finds_the_session(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    await welcome("192.0.2.7", 8080, "123456", demo=True)
    printed = capsys.readouterr().out
    assert "On a phone in the same network: http://192.0.2.7:8080/#123456" in printed
    drawn = [line for line in printed.splitlines() if line and set(line) <= set("█▀▄ ")]
    assert len(drawn) > 10
    assert len({len(line) for line in drawn}) == 1


async def test_where_nothing_is_drawn_the_address_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    await welcome("192.0.2.7", 8080, "123456", demo=True)
    printed = capsys.readouterr().out
    assert "http://192.0.2.7:8080/#123456" in printed
    assert "█" not in printed


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_what_only_this_machine_reaches_is_no_address_for_phones(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await welcome(host, 8080, "123456", demo=True)
    assert "phone" not in capsys.readouterr().out


async def test_without_the_page_there_is_nothing_to_open(capsys: pytest.CaptureFixture[str]) -> None:
    await welcome("192.0.2.7", 8080, "123456", demo=False)
    assert "#123456" not in capsys.readouterr().out
