from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gluon.store.database import Database, Transaction, open_database
from gluon.store.schema import Schema
from gluon.store.sqlite import SqliteDatabase
from servers.mariadb import MariadbServer
from servers.postgresql import PostgresqlServer
from store.family import CREATE, CREATE_CHILD
from store.networked import NETWORKED


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database of each kind, with the system's tables."""
    opened = open_database(database_url)
    await opened.start()
    await Schema(opened).prepare()
    yield opened
    await opened.close()


@pytest.fixture(params=NETWORKED)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of each kind behind a network; files about one kind have a `url` of their own."""
    server: PostgresqlServer | MariadbServer = request.getfixturevalue(f"{request.param}_server")
    with server.fresh_database() as fresh:
        yield fresh


@pytest.fixture
async def family(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """An open SQLite file with the tables of `store.family`."""
    opened = SqliteDatabase(tmp_path / "gluon.sqlite")
    await opened.start()

    async def work(tx: Transaction) -> None:
        await tx.execute(CREATE)
        await tx.execute(CREATE_CHILD)

    await opened.write(work)
    yield opened
    await opened.close()
