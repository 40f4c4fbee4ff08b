"""A client that takes patches and applies them by an implementation of RFC 6902 that is not ours."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch

from tests.harness.conformance import check_event
from tests.harness.sockets import Socket

__all__ = ["PatchedSocket"]

_PATCH = '42["session-patch",'


class PatchedSocket(Socket):
    """`update` and `meta` are of the newest state, patched or whole. `patches` has the texts of those received."""

    patches: list[str]

    async def _take(self, packet: str) -> None:
        if not packet.startswith(_PATCH):
            await super()._take(packet)
            return
        event, *args = json.loads(packet[2:])
        check_event(event, args)
        operations, meta, offset = args
        start = meta.pop("from")
        assert (meta["epoch"], start) == (self.meta["epoch"], self.meta["version"]), "a patch starts at another state"
        data: Any = jsonpatch.apply_patch(self.update, operations)
        self.patches = [*getattr(self, "patches", []), packet]
        self.counts[event] += 1
        self._newest = f'42["session-update",{json.dumps(data)},{json.dumps(self.meta | meta)},"{offset}"]'
        self._changed.set()
