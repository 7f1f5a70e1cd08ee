from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from servers.etcd import EtcdServer
from shim.relaying import Relaying
from shim.running import Shims


@pytest.fixture
async def relay(etcd: Etcd, etcd_prefix: str) -> Relaying:
    """Writes what the Proton Server would, with the model of net-l3vpn there already."""
    relaying = Relaying(etcd, Keys(etcd_prefix))
    await relaying.publish()
    return relaying


@pytest.fixture
async def shims(etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Shims]:
    """Shim servers in this process, on the shared etcd; they end with the test."""
    running = Shims(etcd_server.url, etcd_prefix)
    yield running
    await running.stop()
