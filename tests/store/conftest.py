from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gluon.store.schema import Schema
from gluon.store.sqlite import SqliteDatabase


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """An empty database with the system's tables."""
    opened = SqliteDatabase(tmp_path / "gluon.sqlite")
    await opened.start()
    await Schema(opened).prepare()
    yield opened
    await opened.close()
