"""A controller without a shim: sees ports in etcd, and answers their binds as a test wants it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from proton.serving import Api

DETAILS = {"port_filter": False, "bridge_name": "br-gluon"}


class Controller:
    """Stands where a shim does: sees ports in etcd and, when told to, answers their binds."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.seen: list[dict[str, Any]] = []
        self.answering = True
        self.refusing: str | None = None

    async def answer(self, document: dict[str, Any], host: str | None = None, **changes: Any) -> None:
        """Answer the active bind of a port, or that of its inactive binding on a host."""
        key = self.api.keys.answer("net-l3vpn", "Port", document["id"], host)
        bind_id = next((b["bind_id"] for b in document["bindings"] if b["host"] == host), document["bind_id"])
        value = {"controller": "test", "bind_id": bind_id}
        value |= {"rejected": self.refusing} if self.refusing else {"vif_type": "ovs", "vif_details": DETAILS}
        await self.api.etcd.put(key, json.dumps(value | changes).encode())

    async def asked(self, port_id: str) -> dict[str, Any]:
        """The port as it stood in etcd when it first asked for a bind; waits up to ten seconds for it."""
        async with asyncio.timeout(10):
            while True:
                for document in self.seen:
                    if document["id"] == port_id and document["bind_id"]:
                        return document
                await asyncio.sleep(0.02)

    async def run(self, revision: int) -> None:
        async for batch in self.api.etcd.watch(self.api.keys.objects("net-l3vpn", "Port"), revision):
            for event in batch.events:
                if event.value is None:
                    continue
                document = json.loads(event.value)
                bound = {bind_id for seen in self.seen for bind_id in _binds(seen)}
                self.seen.append(document)
                for bind_id, host in _binds(document).items():
                    if bind_id not in bound and self.answering:
                        await self.answer(document, host)


def _binds(port: dict[str, Any]) -> dict[str, str | None]:
    """The binds that a port asks for; with a host those of its inactive bindings."""
    active = {port["bind_id"]: None} if port["bind_id"] else {}
    return active | {binding["bind_id"]: binding["host"] for binding in port["bindings"]}


@asynccontextmanager
async def controller_on(api: Api) -> AsyncIterator[Controller]:
    controller = Controller(api)
    listing = await api.etcd.list(api.keys.objects())
    task = asyncio.create_task(controller.run(listing.revision + 1))
    try:
        yield controller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
