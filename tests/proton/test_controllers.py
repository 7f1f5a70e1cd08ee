"""GET /controllers: who is alive, for administrators."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gluon.proton.identity import Identity
from proton.serving import TENANT, Api, serving
from servers.etcd import EtcdServer


class Member:
    """Everybody is a member of one tenant."""

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        return Identity(user_id="someone", tenant_id=TENANT, roles=frozenset({"member"}))


async def test_controllers_are_listed_while_their_leases_live(api: Api) -> None:
    assert await api.get("/controllers") == {"controllers": []}
    says = {
        "name": "lab-1",
        "hosts": ["*"],
        "services": ["net-l3vpn"],
        "handlers": {"net-l3vpn": "lab"},
        "version": "0.3.0",
        "started_at": "2026-11-22T04:00:00Z",
        "host": "node-1",
        "pid": 17,
        "started": "4711",
    }
    lease = await api.etcd.grant(60)
    await api.etcd.put(api.keys.controller("lab-1"), json.dumps(says).encode(), lease=lease)
    await api.etcd.put(api.keys.controller("awkward"), b"?")
    shown = {
        "name": "lab-1",
        "hosts": ["*"],
        "services": {"net-l3vpn": "lab"},
        "started": "2026-11-22T04:00:00Z",
        "host": "node-1",
        "version": "0.3.0",
        "alive": True,
    }
    unknown = {"name": "awkward", "hosts": [], "services": {}, "alive": True}
    unknown |= dict.fromkeys(("started", "host", "version"))
    assert await api.get("/controllers") == {"controllers": [unknown, shown]}
    await api.etcd.revoke(lease)
    assert [c["name"] for c in (await api.get("/controllers"))["controllers"]] == ["awkward"]
    await api.get("/controllers", 400, limit="1")


async def test_members_of_a_tenant_are_not_told(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with serving(tmp_path, etcd_server.url, etcd_prefix, Member()) as api:
        await api.get("/controllers", 403)


async def test_without_etcd_nobody_knows(tmp_path: Path, own_etcd_server: EtcdServer) -> None:
    async with serving(tmp_path, own_etcd_server.url, "") as api:
        own_etcd_server.kill()
        await api.get("/controllers", 503)
