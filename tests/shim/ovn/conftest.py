from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.ovn import OvnDatabases


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[OvnDatabases]:
    """A northbound database of the test's own. Nobody makes flows of it."""
    made = OvnDatabases(tmp_path / "ovn", ["nb"])
    try:
        made.start()
        yield made
    finally:
        made.kill()
