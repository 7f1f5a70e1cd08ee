"""The rows of ports by the bare driver of each database: what floors are measured with.

As durable as the product's own, statements prepared once, one transaction a port.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import asyncpg
from asyncmy.connection import Connection as Asyncmy

from .stack import TENANT, port_body

_NOW = "2026-01-01T00:00:00.000000Z"
_TEXTS = ("tenant_id", "name", "mac_address", "status", "vnic_type", "profile", "device_id", "device_owner")
_MORE_TEXTS = ("host_id", "vif_details", "vif_type", "created_at", "updated_at", "bind_id", "bind_state")


def _schema(numbered: str, blob: str, suffix: str = "") -> list[str]:
    texts = ", ".join(f"{name} varchar(255)" for name in (*_TEXTS, *_MORE_TEXTS, "owner"))
    return [
        f"create table ports(id varchar(36) primary key, service varchar(64) not null){suffix}",
        f"create table port(id varchar(36) primary key, {texts}, admin_state_up boolean, mtu bigint, "
        f"vlan_transparency boolean, revision_number bigint){suffix}",
        "create index port_owner on port(owner, id)",
        "create table interface(id varchar(36) primary key, tenant_id varchar(64), name varchar(255), "
        "port_id varchar(36), segmentation_type varchar(32), segmentation_id bigint, created_at varchar(32), "
        "updated_at varchar(32), revision_number bigint, owner varchar(64), "
        f"foreign key(port_id) references port(id)){suffix}",
        "create index interface_port on interface(port_id, id)",
        "create index interface_owner on interface(owner, id)",
        f"create table outbox({numbered}, txn bigint, changed varchar(512), value {blob}, "
        f"created double precision){suffix}",
    ]


PORT_COLUMNS = ("id", *_TEXTS, *_MORE_TEXTS, "owner", "admin_state_up", "mtu", "vlan_transparency")
INSERTS = (
    ("ports(id, service)", 2),
    (f"port({', '.join(PORT_COLUMNS)}, revision_number)", len(PORT_COLUMNS) + 1),
    (
        "interface(id, tenant_id, name, port_id, segmentation_type, segmentation_id, created_at, updated_at, "
        "revision_number, owner)",
        10,
    ),
)
OUTBOX = ("outbox(txn, changed, value, created)", 4)
LIST = "select * from port order by id limit 1000"


def rows_of_port(number: int) -> tuple[str, list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """A port's id, its rows for `INSERTS`, and its three for `OUTBOX`."""
    port_id = str(uuid.uuid4())
    body = port_body(number)
    document = json.dumps(body | {"id": port_id, "created_at": _NOW}).encode()
    values = {**dict.fromkeys(PORT_COLUMNS), **body, "id": port_id, "owner": TENANT}
    values |= {"created_at": _NOW, "updated_at": _NOW}
    name = f"{body['name']}_default"
    rows = [
        (port_id, "net-l3vpn"),
        (*[values[column] for column in PORT_COLUMNS], 1),
        (port_id, TENANT, name, port_id, "none", 0, _NOW, _NOW, 1, TENANT),
    ]
    outbox = [
        (1, f"/proton/net-l3vpn/Port/{port_id}", document, 0.0),
        (1, f"/gluon/port/{port_id}", b'{"tenant_id":"a868a466bca84df18404a77db0ecac72","service":"n"}', 0.0),
        (1, f"/proton/net-l3vpn/Interface/{port_id}", document[:300], 0.0),
    ]
    return port_id, rows, outbox


class BareConnection(Protocol):
    """One connection of a driver."""

    async def insert_port(self, number: int) -> str:
        """Insert a port's six rows and commit them; the port's id."""

    async def change_port(self, port_id: str, status: str, value: bytes) -> None:
        """Update a port, insert an outbox row, and commit."""

    async def list_ports(self) -> list[dict[str, Any]]:
        """A thousand ports as dicts."""

    async def close(self) -> None:
        """Close it."""


class BareSqlite:
    """sqlite3 in this thread."""

    def __init__(self, path: Path) -> None:
        self._connection = connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("pragma foreign_keys=on")
        if not connection.execute("select 1 from sqlite_master where name = 'port'").fetchall():
            for statement in _schema("id integer primary key autoincrement", "blob"):
                connection.execute(statement)
        self._inserts = [f"insert into {into} values({','.join('?' * n)})" for into, n in INSERTS]
        self._outbox = f"insert into {OUTBOX[0]} values(?,?,?,?)"

    async def insert_port(self, number: int) -> str:
        port_id, rows, outbox = rows_of_port(number)
        execute = self._connection.execute
        execute("begin immediate")
        for text, row in zip(self._inserts, rows, strict=True):
            execute(text, row)
        self._connection.executemany(self._outbox, outbox)
        execute("commit")
        return port_id

    async def change_port(self, port_id: str, status: str, value: bytes) -> None:
        execute = self._connection.execute
        execute("begin immediate")
        execute("update port set status = ?, host_id = 'h' where id = ?", (status, port_id))
        execute(self._outbox, (1, port_id, value, 0.0))
        execute("commit")

    async def list_ports(self) -> list[dict[str, Any]]:
        cursor = self._connection.execute(LIST)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    async def close(self) -> None:
        self._connection.close()


class BarePostgresql:
    """asyncpg."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self._inserts = [f"insert into {into} values({_numbered(n)})" for into, n in INSERTS]
        self._outbox = f"insert into {OUTBOX[0]} values({_numbered(4)})"

    @classmethod
    async def open(cls, url: str) -> BarePostgresql:
        connection = await asyncpg.connect(url)
        if await connection.fetchval("select to_regclass('port')") is None:
            for statement in _schema("id bigint generated always as identity primary key", "bytea"):
                await connection.execute(statement)
        return cls(connection)

    async def insert_port(self, number: int) -> str:
        port_id, rows, outbox = rows_of_port(number)
        await self._connection.execute("begin")
        for text, row in zip(self._inserts, rows, strict=True):
            await self._connection.execute(text, *row)
        await self._connection.executemany(self._outbox, outbox)
        await self._connection.execute("commit")
        return port_id

    async def change_port(self, port_id: str, status: str, value: bytes) -> None:
        await self._connection.execute("begin")
        changed = "update port set status = $1, host_id = 'h' where id = $2"
        await self._connection.execute(changed, status, port_id)
        await self._connection.execute(self._outbox, 1, port_id, value, 0.0)
        await self._connection.execute("commit")

    async def list_ports(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._connection.fetch(LIST)]

    async def close(self) -> None:
        await self._connection.close()


class BareMariadb:
    """asyncmy."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._inserts = [f"insert into {into} values({','.join('?' * n)})" for into, n in INSERTS]
        self._outbox = f"insert into {OUTBOX[0]} values(?,?,?,?)"
        self._prepared: dict[str, Any] = {}

    @classmethod
    async def open(cls, url: str) -> BareMariadb:
        parts = urlsplit(url)
        connection: Any = Asyncmy(  # type: ignore[no-untyped-call]  # it has no types
            host=parts.hostname,
            port=parts.port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or "").encode(),
            database=parts.path.strip("/"),
            charset="utf8mb4",
        )
        await connection.connect()
        self = cls(connection)
        if not await self._rows("show tables like 'port'"):
            numbered = "id bigint auto_increment primary key"
            for statement in _schema(numbered, "mediumblob", " character set ascii"):
                await self._say(statement)
        return self

    async def insert_port(self, number: int) -> str:
        port_id, rows, outbox = rows_of_port(number)
        await self._say("begin")
        for text, row in zip(self._inserts, rows, strict=True):
            await self._run(text, row)
        await (await self._statement(self._outbox)).execute_bulk(outbox)
        await self._say("commit")
        return port_id

    async def change_port(self, port_id: str, status: str, value: bytes) -> None:
        await self._say("begin")
        await self._run("update port set status = ?, host_id = 'h' where id = ?", (status, port_id))
        await self._run(self._outbox, (1, port_id, value, 0.0))
        await self._say("commit")

    async def list_ports(self) -> list[dict[str, Any]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(LIST)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def close(self) -> None:
        await self._connection.ensure_closed()

    async def _say(self, text: str) -> None:
        async with self._connection.cursor() as cursor:
            await cursor.execute(text)

    async def _rows(self, text: str) -> list[Any]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(text)
            return list(await cursor.fetchall())

    async def _run(self, text: str, values: tuple[Any, ...]) -> None:
        await (await self._statement(text)).execute(values)

    async def _statement(self, text: str) -> Any:
        if text not in self._prepared:
            self._prepared[text] = await self._connection.prepare(text)
        return self._prepared[text]


def _numbered(count: int) -> str:
    return ", ".join(f"${number}" for number in range(1, count + 1))


class BarePool:
    """Connections that take turns, as many as the product has; SQLite has one."""

    def __init__(self, connections: list[BareConnection]) -> None:
        self._all = connections
        self._idle: asyncio.LifoQueue[BareConnection] = asyncio.LifoQueue()
        for connection in connections:
            self._idle.put_nowait(connection)

    @classmethod
    async def open(cls, kind: str, url: str, size: int) -> BarePool:
        """`url` of an empty database of that kind; for SQLite the path of a file."""
        if kind == "sqlite":
            return cls([BareSqlite(Path(url))])
        opener = {"postgresql": BarePostgresql.open, "mariadb": BareMariadb.open}[kind]
        return cls([await opener(url) for _ in range(size)])

    async def insert_port(self, number: int) -> str:
        connection = await self._idle.get()
        try:
            return await connection.insert_port(number)
        finally:
            self._idle.put_nowait(connection)

    async def change_port(self, port_id: str, status: str, value: bytes) -> None:
        connection = await self._idle.get()
        try:
            await connection.change_port(port_id, status, value)
        finally:
            self._idle.put_nowait(connection)

    async def list_ports(self) -> list[dict[str, Any]]:
        connection = await self._idle.get()
        try:
            return await connection.list_ports()
        finally:
            self._idle.put_nowait(connection)

    async def close(self) -> None:
        for connection in self._all:
            await connection.close()
