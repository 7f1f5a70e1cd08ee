"""The databases that scenarios run on: `BENCH_DATABASES` names some of them, else it is all three."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from servers.databases import DATABASES
from servers.mariadb import MariadbServer
from servers.postgresql import PostgresqlServer

from .bare import BarePool

CONNECTIONS = 10
"""Of the floors, and of a server of the product by default."""

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}


@dataclass(frozen=True)
class BenchDatabase:
    """One kind of database, durable; its server runs for the length of a scenario."""

    kind: str
    folder: Path
    server: PostgresqlServer | MariadbServer | None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def name(self) -> str:
        return NAMES[self.kind]

    @contextmanager
    def arguments(self) -> Iterator[tuple[str, ...]]:
        """What has `gluon up` use an empty database of this kind."""
        if self.server is None:
            yield ()
            return
        with self.server.fresh_database() as url:
            yield ("--database", url)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """An empty database for a floor; for SQLite the path of a file."""
        if self.server is None:
            yield str(self.folder / f"floor-{next(self._numbers)}.sqlite")
            return
        with self.server.fresh_database() as url:
            yield url

    @contextmanager
    def url(self) -> Iterator[str]:
        """The same for the product."""
        with self.empty() as found:
            yield found if self.server is not None else f"sqlite:///{found}"

    async def bare(self, url: str) -> BarePool:
        """The bare driver on it."""
        return await BarePool.open(self.kind, url, CONNECTIONS)


def databases(folder: Path) -> Iterator[BenchDatabase]:
    """Each of them, one after another."""
    chosen = os.environ.get("BENCH_DATABASES", " ".join(DATABASES)).split()
    for kind in chosen:
        if kind == "sqlite":
            yield BenchDatabase(kind, folder, None)
            continue
        make = PostgresqlServer if kind == "postgresql" else MariadbServer
        server = make(folder / kind, durable=True)
        server.start()
        try:
            server.wait_ready()
            yield BenchDatabase(kind, folder, server)
        finally:
            server.stop()
