from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proton.relaying import Site, site
from proton.serving import Api, serving
from servers.etcd import EtcdServer


@pytest.fixture
async def api(
    tmp_path: Path, database_url: str, etcd_server: EtcdServer, etcd_prefix: str
) -> AsyncIterator[Api]:
    """A server with the bundled models, its paths starting at net-l3vpn; on every kind of database."""
    async with serving(tmp_path, etcd_server.url, etcd_prefix, database_url=database_url) as running:
        running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
        yield running


@pytest.fixture
async def api_on_sqlite(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Api]:
    """The same on SQLite alone, for tests that don't reach the database, or don't care."""
    async with serving(tmp_path, etcd_server.url, etcd_prefix) as running:
        running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
        yield running


@pytest.fixture
async def here(database_url: str, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Site]:
    """What a relay works on, on every kind of database; files about another loop have one of their own."""
    async with site(database_url, etcd_server.url, etcd_prefix) as opened:
        yield opened
