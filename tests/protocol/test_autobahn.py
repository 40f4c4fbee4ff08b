"""Cases of the Autobahn test suite; `make autobahn` runs all, also the other 168 of compression."""

from __future__ import annotations

import asyncio

import pytest

from .autobahn import PROTOCOL, TOO_MANY_FRAGMENTS, passed

# Small and large, text and binary, in one frame and in many; each of the offers that are accepted.
COMPRESSED = (
    *("12.1.1", "12.1.5", "12.1.11", "12.2.4", "12.3.6", "12.4.11", "12.5.12"),
    *("13.1.1", "13.2.4", "13.4.5", "13.6.2", "13.7.6"),
)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_websocket_protocol_passes_the_cases_of_autobahn() -> None:
    async with asyncio.timeout(280):
        assert await passed(PROTOCOL, TOO_MANY_FRAGMENTS) == 295


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # kosoku does not close its files.
async def test_compressed_messages_pass_cases_of_autobahn() -> None:
    async with asyncio.timeout(280):
        assert await passed(COMPRESSED) == len(COMPRESSED)
