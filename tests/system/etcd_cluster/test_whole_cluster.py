"""A cluster that asks for TLS, certificates and users, and what comes of it when it is restored, or wiped.

In the end etcd agrees with the database, whatever etcd has forgotten, and shims have not been told otherwise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servers.certificates import Certificates
from servers.etcd_cluster import EtcdCluster
from system.etcd_cluster.recovery import works_again
from system.faults.agreement import agreed
from system.faults.clients import clients_at_work
from system.faults.stack import Stack, running

PREFIX = "/site-a"
USER, PASSWORD = "gluon", "of-gluon"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    cluster = EtcdCluster(tmp_path / "etcd", certificates=Certificates(tmp_path / "certificates"))
    try:
        cluster.start()
        cluster.enable_users(PREFIX, USER, PASSWORD)
        yield cluster
    finally:
        cluster.close()


@asynccontextmanager
async def stack_of(cluster: EtcdCluster, folder: Path) -> AsyncIterator[Stack]:
    settings = cluster.settings(prefix=PREFIX, user=USER, password=PASSWORD)
    async with running(folder, bind_timeout=1.0, lease_ttl=5, etcd=settings) as stack:
        yield stack


async def restarted(cluster: EtcdCluster, stack: Stack) -> None:
    for member in cluster.members:
        member.start()
    for member in cluster.members:
        await member.ready()


async def test_a_secured_cluster_is_restored_from_a_snapshot_and_then_wiped(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    async with stack_of(cluster, tmp_path) as stack:
        async with clients_at_work(stack, 4, seed=1) as load:
            await load.goes_on(60)
            # It knows no tokens when it comes back.
            cluster.members[0].kill()
            cluster.members[0].start()
            await load.goes_on(30)
        load.ledger.compare(await agreed(stack))
        everything = cluster.control("get", "", "--prefix", "--keys-only").split()
        assert everything
        assert [key for key in everything if not key.startswith(f"{PREFIX}/")] == []

        file = tmp_path / "snapshot"
        await asyncio.to_thread(cluster.save, file)
        forgotten = await stack.create_port("forgotten")
        await stack.bind(forgotten["id"], "compute-1")
        before = await agreed(stack)
        deletions = stack.shim.calls("delete_port")

        cluster.close()
        await asyncio.to_thread(cluster.restore, file)
        await restarted(cluster, stack)
        await recovered(stack, "restored from a snapshot", before)

        cluster.close()
        cluster.wipe()
        await restarted(cluster, stack)
        await recovered(stack, "wiped", before)
        assert stack.shim.calls("delete_port") == deletions


async def recovered(stack: Stack, what: str, before: dict[str, list[dict[str, object]]]) -> None:
    began = time.monotonic()
    after = await agreed(stack, within=30)
    print(f"{what}: etcd, database and shim agree after {time.monotonic() - began:.1f} s")
    assert {p["id"] for p in after["ports"]} == {p["id"] for p in before["ports"]}
    await stack.shim_ready()
    [server] = (await stack.etcd.list(stack.keys.servers())).items
    assert server.lease
    assert (await stack.etcd.get(stack.keys.relay_election())) is not None
    assert await works_again(stack, what, 20) < 20
