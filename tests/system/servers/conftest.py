from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.etcd import EtcdServer
from servers.postgresql import PostgresqlServer
from system.servers.cluster import Shared


@pytest.fixture
def shared(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, postgresql_server: PostgresqlServer
) -> Iterator[Shared]:
    """An etcd below a prefix of the test's own, and an empty database."""
    with postgresql_server.fresh_database() as url:
        yield Shared(tmp_path, etcd_server, etcd_prefix, url)
