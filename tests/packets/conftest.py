from __future__ import annotations

from collections.abc import Iterator

import pytest

from packets.lab import Lab


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The site that all tests of packets share: each makes VPNs of its own, and hurts what it then heals."""
    made = Lab(tmp_path_factory.mktemp("site"))
    try:
        made.start()
        yield made
    finally:
        made.close()
        made.print_logs()
