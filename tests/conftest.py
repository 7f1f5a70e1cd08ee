"""What holds for all tests: a test that fails says how to run it alone; those that need etcd share one."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from gluon.etcd.client import Etcd
from servers.databases import database_url, mariadb_server, postgresql_server
from servers.etcd import EtcdServer

# How long it takes to make an example, or to try it, tells of the machine and of who else is at work there.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

__all__ = ["database_url", "mariadb_server", "postgresql_server"]
"""Fixtures that stand beside what they are about."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.append(("to run it alone", f"make unit TEST='{report.nodeid}'"))
    return report


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """The etcd that all tests share: use it below `etcd_prefix`, and don't hurt it."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd"))
    server.start()
    try:
        server.wait_ready()
        yield server
    finally:
        server.kill()


@pytest.fixture
def etcd_prefix() -> str:
    """A prefix of keys that no other test uses."""
    return f"/test-{uuid.uuid4().hex}"


@pytest.fixture
async def etcd(etcd_server: EtcdServer) -> AsyncIterator[Etcd]:
    """A client of the shared etcd."""
    client = Etcd([etcd_server.url])
    yield client
    await client.close()


@pytest.fixture
def own_etcd_server(tmp_path: Path) -> Iterator[EtcdServer]:
    """An etcd of the test's own, running: to be stopped, killed, paused, wiped."""
    server = EtcdServer(tmp_path / "etcd")
    server.start()
    try:
        server.wait_ready()
        yield server
    finally:
        server.kill()
