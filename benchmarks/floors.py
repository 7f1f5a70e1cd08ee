"""Raw floors: the same work by the bare driver, with nothing of Gluon in between."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
import uuid
from pathlib import Path

from gluon.etcd.client import Etcd
from gluon.etcd.transaction import Op

from .http_load import percentile
from .stack import TENANT, port_body

_SCHEMA = """
create table ports(id text primary key, service text not null);
create table port(id text primary key, tenant_id text, name text, mac_address text, admin_state_up boolean,
  status text, vnic_type text, mtu bigint, vlan_transparency boolean, profile text, device_id text,
  device_owner text, host_id text, vif_details text, vif_type text, created_at text, updated_at text,
  revision_number bigint, bind_id text, bind_state text, owner text);
create index port_owner on port(owner, id);
create table interface(id text primary key, tenant_id text, name text, port_id text references port(id),
  segmentation_type text, segmentation_id bigint, created_at text, updated_at text, revision_number bigint,
  owner text);
create index interface_port on interface(port_id, id);
create index interface_owner on interface(owner, id);
create table outbox(id integer primary key autoincrement, txn bigint, key text, value blob, created double);
"""


def open_sqlite(path: Path) -> sqlite3.Connection:
    """A database with the rows that a port needs, as durable as the product's own."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("pragma foreign_keys=on")
    connection.executescript(_SCHEMA)
    return connection


def insert_port(connection: sqlite3.Connection, number: int) -> str:
    """The rows of one port with its default interface and three outbox rows, not committed."""
    port_id = str(uuid.uuid4())
    body = port_body(number)
    now = "2026-01-01T00:00:00.000000Z"
    document = json.dumps(body | {"id": port_id, "created_at": now}).encode()
    execute = connection.execute
    execute("insert into ports values(?,?)", (port_id, "net-l3vpn"))
    execute(
        f"insert into port values({','.join('?' * 21)})",
        (port_id, TENANT, body["name"], body["mac_address"], True, "ACTIVE", "normal", 1500, True, None, None,
         None, None, None, None, now, now, 1, None, None, TENANT),
    )  # fmt: skip
    execute(
        f"insert into interface values({','.join('?' * 10)})",
        (port_id, TENANT, f"{body['name']}_default", port_id, "none", 0, now, now, 1, TENANT),
    )
    rows = [
        (1, f"/proton/net-l3vpn/Port/{port_id}", document, 0.0),
        (1, f"/gluon/port/{port_id}", b'{"tenant_id":"a868a466bca84df18404a77db0ecac72","service":"n"}', 0.0),
        (1, f"/proton/net-l3vpn/Interface/{port_id}", document[:300], 0.0),
    ]
    connection.executemany("insert into outbox(txn,key,value,created) values(?,?,?,?)", rows)
    return port_id


def sqlite_port_rate(folder: Path, count: int = 1500) -> float:
    """Ports a second, one commit each."""
    folder.mkdir(exist_ok=True)
    connection = open_sqlite(folder / "floor.sqlite")
    start = time.perf_counter()
    for number in range(count):
        connection.execute("begin immediate")
        insert_port(connection, number)
        connection.execute("commit")
    rate = count / (time.perf_counter() - start)
    connection.close()
    return rate


def sqlite_list_rate(folder: Path, rows: int = 1000, rounds: int = 30) -> float:
    """Reads of a list of that many ports a second: one statement, dicts, JSON text."""
    connection = open_sqlite(folder / "list.sqlite")
    connection.execute("begin")
    for number in range(rows):
        insert_port(connection, number)
    connection.execute("commit")
    start = time.perf_counter()
    for _ in range(rounds):
        cursor = connection.execute("select * from port order by id limit 1000")
        names = [column[0] for column in cursor.description]
        json.dumps({"ports": [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]})
    rate = rounds / (time.perf_counter() - start)
    connection.close()
    return rate


async def etcd_put_latency(endpoint: str, count: int = 500) -> tuple[float, float]:
    """From the start of a bare put to its event at a watcher: p50 and p99 in seconds."""
    etcd = Etcd([endpoint])
    prefix = f"/floor/{uuid.uuid4()}/"
    seen: dict[str, asyncio.Future[float]] = {}
    start_revision = (await etcd.list(prefix)).revision + 1

    async def watch() -> None:
        async for batch in etcd.watch(prefix, start_revision):
            for event in batch.events:
                seen[event.key].set_result(time.perf_counter())

    watcher = asyncio.create_task(watch())
    latencies = []
    value = json.dumps(port_body(1)).encode()
    for number in range(count):
        key = f"{prefix}{number}"
        seen[key] = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        await etcd.put(key, value)
        latencies.append(await asyncio.wait_for(seen[key], 10) - start)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    await etcd.delete_prefix(prefix)
    await etcd.close()
    return percentile(latencies, 0.5), percentile(latencies, 0.99)


async def etcd_batched_rate(endpoint: str, count: int = 20_000) -> float:
    """Keys a second, put in transactions of 127 by the bare client, one after another."""
    etcd = Etcd([endpoint])
    prefix = f"/floor/{uuid.uuid4()}/"
    value = json.dumps(port_body(1)).encode()
    start = time.perf_counter()
    for first in range(0, count, 127):
        numbers = range(first, min(first + 127, count))
        await etcd.transact([], [Op.put(f"{prefix}{number}", value) for number in numbers])
    rate = count / (time.perf_counter() - start)
    await etcd.delete_prefix(prefix)
    await etcd.close()
    return rate


async def bind_by_hand(endpoint: str, folder: Path, in_flight: int, count: int) -> list[float]:
    """A bind's steps done by hand, one commit and one put each; the latency of each, in seconds.

    Commit the port and its outbox row, put its key; another process sees it and puts the answer; a watch
    sees that, and the port is committed again and put.
    """
    etcd = Etcd([endpoint])
    run = str(uuid.uuid4())
    answers = f"/floor-answers/{run}/"
    shim = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.hand_shim", endpoint, run, stdout=asyncio.subprocess.PIPE
    )
    assert shim.stdout is not None
    await shim.stdout.readline()
    connection = open_sqlite(folder / f"bind-{in_flight}.sqlite")
    waits: dict[str, asyncio.Future[None]] = {}
    start_revision = (await etcd.list(answers)).revision + 1

    async def watch() -> None:
        async for batch in etcd.watch(answers, start_revision):
            for event in batch.events:
                waits[event.key].set_result(None)

    watcher = asyncio.create_task(watch())
    ports = []
    for number in range(count):
        connection.execute("begin immediate")
        ports.append(insert_port(connection, number))
        connection.execute("commit")
    value = json.dumps(port_body(1)).encode()

    def commit(port_id: str, status: str) -> None:
        connection.execute("begin immediate")
        connection.execute("update port set status=?, host_id='h' where id=?", (status, port_id))
        connection.execute("insert into outbox(txn,key,value,created) values(1,?,?,0)", (port_id, value))
        connection.execute("commit")

    latencies = []
    waiting = iter(ports)

    async def work() -> None:
        for port_id in waiting:
            start = time.perf_counter()
            waits[answers + port_id] = asyncio.get_running_loop().create_future()
            commit(port_id, "DOWN")
            await etcd.put(f"/floor-ports/{run}/{port_id}", value)
            await asyncio.wait_for(waits[answers + port_id], 30)
            commit(port_id, "ACTIVE")
            latencies.append(time.perf_counter() - start)

    await asyncio.gather(*[work() for _ in range(in_flight)])
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    shim.terminate()
    await shim.wait()
    connection.close()
    await etcd.close()
    return latencies
