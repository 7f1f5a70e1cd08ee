from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gluon.store.database import Database, open_database
from gluon.store.schema import Schema


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database of each kind, with the system's tables."""
    opened = open_database(database_url)
    await opened.start()
    await Schema(opened).prepare()
    yield opened
    await opened.close()
