"""Who gets a session: origins, caps, drain, and sessions of other servers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from app.socketio_server import Observer
from app.socketio_server.admission import header
from tests.harness.waiting import until

from .harness import closed, receive, recorder, soon


@pytest.mark.parametrize(
    ("allowed", "origin", "host", "status"),
    [
        ((), None, "example.org", 200),
        ((), "https://example.org", "example.org", 200),
        ((), "http://example.org", "example.org", 200),
        ((), "https://EXAMPLE.org", "example.ORG", 200),
        ((), "https://example.org", "example.org:443", 200),
        ((), "http://example.org:8080", "example.org:8080", 200),
        ((), "https://example.org:8443", "example.org", 403),
        ((), "https://evil.example", "example.org", 403),
        ((), "https://example.org.evil.example", "example.org", 403),
        ((), "null", "example.org", 403),
        ((), "", "example.org", 403),
        ((), "https://[", "example.org", 403),
        (["https://app.example"], "https://app.example", "example.org", 200),
        (["https://app.example"], "http://app.example", "example.org", 403),
        (["https://app.example"], "https://example.org", "example.org", 200),
        (["https://app.example"], "http://example.org", "example.org:80", 200),
        (["https://app.example"], "https://evil.example", "example.org", 403),
        (["https://app.example"], "https://app.example", "app.example", 200),
        (["https://app.example"], None, "example.org", 200),
        ([], "https://example.org", "example.org", 200),
        ([], "https://evil.example", "example.org", 403),
        ("*", "https://evil.example", "example.org", 200),
    ],
)
async def test_an_origin_passes_or_not(allowed: Any, origin: str | None, host: str, status: int) -> None:
    headers = {"Host": host, "X-Forwarded-Host": "evil.example"} | ({} if origin is None else {"Origin": origin})
    async with recorder(allowed_origins=allowed) as record:
        response = await record.client.request("GET", "EIO=4&transport=polling", headers=headers)
        assert response.status_code == status
        cors = response.headers.get("access-control-allow-origin")
        listed = origin is not None and origin in (allowed or ())
        assert cors == ("*" if allowed == "*" and origin is not None else origin if listed else None)
        if status == 403:
            assert response.json() == {"code": 4, "message": "Forbidden"}
            with pytest.raises(websockets.InvalidStatus, match="403"):
                await record.client.websocket(additional_headers={"Origin": origin or ""})
            assert record.server.open_count == 0


async def test_credentials_go_to_listed_origins_only() -> None:
    async with recorder(allowed_origins=["https://app.example"]) as record:
        query = "EIO=4&transport=polling"
        asked = {"Origin": "https://app.example", "Access-Control-Request-Headers": "x-one"}
        answer = await record.client.request("OPTIONS", query, headers=asked)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-allow-headers"] == "x-one"
        assert answer.headers["vary"] == "Origin"
    async with recorder(allowed_origins="*") as record:
        answer = await record.client.request("GET", query, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-credentials" not in answer.headers


async def test_errors_have_the_bodies_of_the_reference_implementation() -> None:
    async with recorder() as record:
        for method, query, body in (
            ("GET", "EIO=4", {"code": 0, "message": "Transport unknown"}),
            ("GET", "EIO=4&transport=polling&sid=gone", {"code": 1, "message": "Session ID unknown"}),
            ("POST", "EIO=4&transport=polling", {"code": 2, "message": "Bad handshake method"}),
            ("GET", "EIO=4&transport=websocket", {"code": 3, "message": "Bad request"}),
            ("GET", "EIO=3&transport=polling", {"code": 5, "message": "Unsupported protocol version"}),
            ("GET", "&".join(["a=b"] * 100), {"code": 3, "message": "Bad request"}),
        ):
            response = await record.client.request(method, query)
            assert (response.status_code, response.json()) == (400, body)


async def test_the_cap_of_a_server_counts_open_sessions() -> None:
    async with recorder(max_connections=2) as record:
        await record.client.handshake()
        async with record.client.joined():
            refused = await record.client.request("GET", "EIO=4&transport=polling")
            assert refused.status_code == 503
            assert 1 <= int(refused.headers["retry-after"]) <= 30
            with pytest.raises(websockets.InvalidStatus, match="503"):
                await record.client.websocket()
        await until(lambda: record.server.open_count == 1)
        async with record.client.joined():
            assert record.server.open_count == 2


async def test_the_cap_of_an_address_is_by_the_address_function() -> None:
    def address(scope: Any) -> str:
        return header(scope, b"x-client") or ""

    async with recorder(max_connections_per_address=1, address=address, unlimited=lambda it: it == "trusted") as record:

        async def status(name: str) -> int:
            answer = await record.client.request("GET", "EIO=4&transport=polling", headers={"X-Client": name})
            return answer.status_code

        assert [await status(name) for name in ("a", "a", "b", "b", "trusted", "trusted")] == [
            *(200, 429),
            *(200, 429),
            *(200, 200),
        ]


async def test_a_draining_server_refuses_handshakes_and_keeps_its_sessions() -> None:
    async with recorder() as record:
        client = record.client
        polling = await client.connect()
        async with client.joined() as websocket:
            record.server.stop_accepting(headers=[(b"retry-after", b"1"), (b"set-cookie", b"route=; Max-Age=0")])
            refused = await client.request("GET", "EIO=4&transport=polling")
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["set-cookie"] == "route=; Max-Age=0"
            with pytest.raises(websockets.InvalidStatus) as refusal:
                await client.websocket()
            assert refusal.value.response.status_code == 503
            assert refusal.value.response.headers["Retry-After"] == "1"
            await websocket.send('421["hello"]')
            assert await receive(websocket) == "431[]"
            async with client.websocket(f"EIO=4&transport=websocket&sid={polling}") as upgraded:
                await client.upgrade(polling, upgraded)
                await upgraded.send('422["hello"]')
                assert await receive(upgraded) == "432[]"
                assert record.server.open_count == 2


async def test_a_server_that_closes_handles_every_disconnect_first() -> None:
    async with recorder() as record:
        await record.client.connect()
        async with record.client.joined() as websocket, record.client.opened() as unconnected:

            async def slow(sid: str, reason: str) -> None:
                await asyncio.sleep(0.05)
                record.calls.append(("gone", reason))

            record.server.on("disconnect", slow)
            await record.server.close()
            assert record.count("gone") == 2
            assert record.server.open_count == 0
            await soon(closed(websocket))
            await soon(closed(unconnected))
            assert websocket.close_code == 1012


async def test_sessions_of_other_servers_are_passed_on_before_anything_is_read() -> None:
    seen: list[tuple[str, str, str]] = []

    async def foreign(sid: str, scope: Any, receive: Any, send: Any) -> bool:
        seen.append((scope["type"], scope.get("method", ""), sid))
        if sid != "theirs":
            return False
        first = await receive()
        if scope["type"] == "websocket":
            assert first["type"] == "websocket.connect"
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "theirs"})
            await send({"type": "websocket.close"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": first["body"] or b"theirs"})
        return True

    async with recorder(foreign_session=foreign) as record:
        assert (await record.client.poll("theirs")).text == "theirs"
        assert (await record.client.post("theirs", "4body")).text == "4body"
        async with record.client.websocket("EIO=4&transport=websocket&sid=theirs") as websocket:
            assert await soon(closed(websocket)) == ["theirs"]
        assert (await record.client.poll("nobody's")).status_code == 400
        with pytest.raises(websockets.InvalidStatus, match="400"):
            await record.client.websocket("EIO=4&transport=websocket&sid=nobodys")
        ours = await record.client.connect()
        assert ours not in {sid for _, _, sid in seen}
    assert seen[:3] == [("http", "GET", "theirs"), ("http", "POST", "theirs"), ("websocket", "", "theirs")]


async def test_session_ids_are_made_by_the_application_and_never_shown_to_others() -> None:
    ids = iter(["replica-1", "replica-2"])
    async with recorder(new_id=lambda: next(ids)) as record:
        assert await record.client.handshake() == "replica-1"
        async with record.client.websocket() as websocket:
            assert json.loads(str(await websocket.recv())[1:])["sid"] == "replica-2"
            await websocket.send("40")
            assert "replica" not in str(await receive(websocket))


async def test_other_paths_are_not_served() -> None:
    async with recorder(path="/live/") as record:
        assert (await record.client.request("GET", "EIO=4&transport=polling")).status_code == 404
        with pytest.raises(websockets.InvalidStatus):
            await record.client.websocket()
        record.client.path = "/live"
        assert await record.client.handshake()


async def test_everything_countable_is_counted() -> None:
    seen: list[tuple[Any, ...]] = []

    class Everything(Observer):
        def opened(self, transport: str) -> None:
            seen.append(("opened", transport))

        def upgraded(self) -> None:
            seen.append(("upgraded",))

        def closed(self, transport: str, reason: str) -> None:
            seen.append(("closed", transport, reason))

        def refused(self, reason: str) -> None:
            seen.append(("refused", reason))

        def violated(self, reason: str) -> None:
            seen.append(("violated", reason))

        def connected(self, accepted: bool) -> None:
            seen.append(("connected", accepted))

    async with recorder(observer=Everything()) as record:
        sid = await record.client.connect()
        async with record.client.websocket(f"EIO=4&transport=websocket&sid={sid}") as websocket:
            await record.client.upgrade(sid, websocket)
            await websocket.send("42{}")
            await soon(closed(websocket))
        await record.client.poll(sid)
    assert seen == [
        ("opened", "polling"),
        ("connected", True),
        ("upgraded",),
        ("violated", "invalid payload"),
        ("closed", "websocket", "transport error"),
        ("refused", "unknown session"),
    ]


async def test_a_refused_websocket_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with recorder() as record:
        record.server.stop_accepting()
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await record.client.websocket()
    assert not [entry for entry in caplog.records if entry.levelname == "ERROR"]


async def test_a_session_that_is_to_leave_takes_its_messages_along_with_the_next_poll() -> None:
    async with recorder() as record:
        polling = await record.client.connect()
        [session] = record.server.connections()
        await record.server.emit("news")
        assert not session.leave("drained")
        assert (await record.client.poll(polling)).text == '42["news"]\x1e1'
        assert (await record.client.poll(polling)).status_code == 400


async def test_a_session_leaves_once_its_events_are_acknowledged() -> None:
    async with recorder() as record:
        go_on = asyncio.Event()
        record.server.on("slow", lambda _sid: go_on.wait())
        async with record.client.joined() as websocket:
            [session] = record.server.connections()
            await websocket.send('421["slow"]')
            await until(lambda: session.worker is not None)
            assert not session.leave("drained", code=1012)
            go_on.set()
            assert await receive(websocket) == "431[true]"
            assert session.leave("drained", code=1012)
            await closed(websocket)
            assert websocket.close_code == 1012
