"""A server's key in etcd: there while it lives, and telling what it serves."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.proton.presence import Presence
from servers.etcd import EtcdServer

DIGESTS = {"net-l3vpn": {"1.0": "abc"}}


async def present(etcd: Etcd, keys: Keys, presence: Presence) -> dict[str, Any] | None:
    found = await etcd.get(keys.server(presence.id))
    return json.loads(found.value) if found is not None else None


async def until_serving(etcd: Etcd, keys: Keys, presence: Presence, models: object) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while True:
            value = await present(etcd, keys, presence)
            if value is not None and value["models"] == models:
                return value
            await asyncio.sleep(0.01)


async def test_a_server_is_listed_while_it_runs_and_gone_when_it_stops(etcd: Etcd, etcd_prefix: str) -> None:
    keys = Keys(etcd_prefix)
    presence = Presence(etcd, keys, DIGESTS)
    task = asyncio.create_task(presence.run())
    value = await until_serving(etcd, keys, presence, DIGESTS)
    assert value["pid"] == os.getpid()
    assert value["started"].endswith("Z")
    assert set(value) == {"models", "started", "host", "pid", "version", "bind_timeout"}
    found = await etcd.get(keys.server(presence.id))
    assert found is not None and found.lease != 0
    presence.stop()
    await task
    assert await present(etcd, keys, presence) is None


async def test_it_tells_of_other_models_as_soon_as_they_are_served(etcd: Etcd, etcd_prefix: str) -> None:
    keys = Keys(etcd_prefix)
    presence = Presence(etcd, keys, {})
    task = asyncio.create_task(presence.run())
    await until_serving(etcd, keys, presence, {})
    presence.publish(DIGESTS)
    await until_serving(etcd, keys, presence, DIGESTS)
    presence.stop()
    await task


async def test_it_comes_back_after_etcd_was_wiped(own_etcd_server: EtcdServer) -> None:
    etcd, keys = Etcd([own_etcd_server.url], timeout=2.0), Keys()
    presence = Presence(etcd, keys, DIGESTS, lease=2)
    task = asyncio.create_task(presence.run())
    await until_serving(etcd, keys, presence, DIGESTS)
    own_etcd_server.kill()
    own_etcd_server.wipe()
    own_etcd_server.start()
    await own_etcd_server.ready()
    # To a client that has not known the old one it is an etcd like any other.
    other = Etcd([own_etcd_server.url])
    await until_serving(other, keys, presence, DIGESTS)
    await other.close()
    presence.stop()
    await task
    await etcd.close()


def test_each_start_is_a_server_of_its_own() -> None:
    etcd = Etcd(["http://127.0.0.1:1"])
    assert Presence(etcd, Keys(), {}).id != Presence(etcd, Keys(), {}).id
