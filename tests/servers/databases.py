"""The databases that tests run on: each test gets an empty one, of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.mariadb import MariadbServer
from servers.postgresql import PostgresqlServer

DATABASES = ("sqlite", "postgresql", "mariadb")


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    """The PostgreSQL that all tests share: use it by `fresh_database`, and don't hurt it."""
    server = PostgresqlServer(tmp_path_factory.mktemp("postgresql"))
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    """The MariaDB that all tests share: use it by `fresh_database`, and don't hurt it."""
    server = MariadbServer(tmp_path_factory.mktemp("mariadb"))
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.kill()


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of the test's own; a test that asks for it runs on every kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'gluon.sqlite'}"
        return
    server: PostgresqlServer | MariadbServer = request.getfixturevalue(f"{request.param}_server")
    with server.fresh_database() as url:
        yield url
