"""What operators' commands work on: the database and the etcd that a server's configuration names.

They work beside the servers: as guests of the database, with clients of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from oslo_config import cfg

from gluon import __version__
from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.ops.errors import CommandFailed
from gluon.proton.options import Settings, load
from gluon.store.database import Database, open_database
from gluon.store.outbox import Outbox


@dataclass(frozen=True)
class Site:
    """An installation, opened for the length of a command."""

    settings: Settings
    database: Database
    outbox: Outbox
    etcd: Etcd
    keys: Keys

    @property
    def public_url(self) -> str:
        """The URL that its server publishes."""
        settings = self.settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return settings.public_url or f"http://{host}:{settings.port}"


def read_settings(config_file: Path | None) -> Settings:
    """From `proton.conf`, or from where `proton-server` finds its configuration; raises CommandFailed."""
    try:
        return load(["--config-file", str(config_file)] if config_file is not None else [], __version__)[1]
    except (cfg.Error, ValueError) as error:
        raise CommandFailed(str(error)) from error


@asynccontextmanager
async def opened(settings: Settings, *, with_database: bool = True) -> AsyncIterator[Site]:
    """The installation of these settings. Raises CommandFailed, DatabaseError."""
    try:
        etcd = settings.etcd.connect()
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    database = open_database(settings.database_url, options=settings.database, guest=True)
    try:
        if with_database:
            await database.start()
        yield Site(settings, database, Outbox(database.dialect), etcd, Keys(settings.etcd.prefix))
    finally:
        if with_database:
            await database.close()
        await etcd.close()
