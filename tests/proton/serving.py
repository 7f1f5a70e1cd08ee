"""A Proton Server inside the test: real TCP, a real database, real etcd, and an HTTP client for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.etcd.options import EtcdSettings
from gluon.proton.identity import AuthStrategy
from gluon.proton.options import Settings, load
from gluon.proton.server import ProtonServer
from gluon.proton.web.connection import Connection

TENANT = "a868a466bca84df18404a77db0ecac72"


@dataclass
class Api:
    """What a test has of a server: a client whose paths start at a service's version, and its etcd."""

    http: httpx.AsyncClient
    etcd: Etcd
    keys: Keys
    server: ProtonServer
    settings: Settings
    created: list[str] = field(default_factory=list)
    hurry: bool = False
    """Whether the server, when it ends, leaves requests under way unanswered."""

    async def request(
        self, method: str, path: str, expect: int | None = None, **further: Any
    ) -> httpx.Response:
        """Send a request; with `expect`, fail with the answer's text if its status is another."""
        if path.startswith("/"):
            path = str(self.http.base_url.join(path))
        answer = await self.http.request(method, path, **further)
        if expect is not None:
            assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def create(self, path: str, **body: Any) -> dict[str, Any]:
        return (await self.request("POST", path, 201, json=body)).json()

    async def get(self, path: str, expect: int = 200, **params: Any) -> dict[str, Any]:
        return (await self.request("GET", path, expect, params=params)).json()

    async def put(self, path: str, expect: int = 200, **body: Any) -> dict[str, Any]:
        return (await self.request("PUT", path, expect, json=body)).json()

    async def delete(self, path: str, expect: int = 204) -> httpx.Response:
        return await self.request("DELETE", path, expect)


def settings_for(folder: Path, etcd_endpoint: str, prefix: str, **changes: Any) -> tuple[Any, Settings]:
    conf, settings = load([], "test")
    settings = replace(
        settings,
        port=0,
        etcd=EtcdSettings(endpoints=(etcd_endpoint,), prefix=prefix),
        database_url=f"sqlite:///{folder / 'gluon.sqlite'}",
        bind_timeout=2.0,
    )
    return conf, replace(settings, **changes)


@asynccontextmanager
async def serving(
    folder: Path, etcd_endpoint: str, prefix: str, auth: AuthStrategy | None = None, **changes: Any
) -> AsyncIterator[Api]:
    """Serve until the block ends, on a free port; on SQLite in `folder` if `changes` have no other URL."""
    conf, settings = settings_for(folder, etcd_endpoint, prefix, **changes)
    listening = socket.create_server(("127.0.0.1", 0))
    # asyncio, unlike uvloop, does not set it on what such a socket accepts: each answer would wait 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    proton = ProtonServer(conf, settings, default_url=url, auth=auth)
    await proton.start()
    config = uvicorn.Config(proton.app, http=Connection, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve(sockets=[listening]))
    etcd = Etcd([etcd_endpoint])
    try:
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            api = Api(http, etcd, Keys(prefix), proton, settings)
            yield api
            server.force_exit = api.hurry
    finally:
        server.should_exit = True
        await task
        await proton.stop()
        await etcd.close()
        listening.close()


class _no_signals:
    """Signals are the test runner's."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def port(**changes: Any) -> dict[str, Any]:
    """The body of a port as the user guide creates it."""
    return {
        "tenant_id": TENANT,
        "name": "TestVPNPort",
        "mac_address": "c8:2a:14:04:43:80",
        "mtu": 1500,
        "admin_state_up": True,
        "vlan_transparency": True,
        "vnic_type": "normal",
        "status": "ACTIVE",
    } | changes
