"""TLS, client certificates, and users with passwords, against an etcd that asks for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etcd.eventually import eventually, patiently, running
from gluon.etcd.client import Etcd
from gluon.etcd.errors import AccessRefused, EtcdUnavailable
from gluon.etcd.lease import LeaseKeeper
from gluon.etcd.mirror import Mirror
from gluon.etcd.options import EtcdSettings
from servers.certificates import Certificates
from servers.etcd_cluster import EtcdCluster

PREFIX = "/site-a"
PASSWORD = "of-gluon"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[EtcdCluster]:
    """One member, with TLS, client certificates and users; tokens are known for a second only."""
    cluster = EtcdCluster(
        tmp_path_factory.mktemp("secured"),
        size=1,
        certificates=certificates,
        options=("--auth-token-ttl", "1"),
    )
    try:
        cluster.start()
        cluster.enable_users(PREFIX, "gluon", PASSWORD)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def settings(cluster: EtcdCluster) -> EtcdSettings:
    return cluster.settings(user="gluon", password=PASSWORD)


@contextlib.asynccontextmanager
async def connected(settings: EtcdSettings) -> AsyncIterator[Etcd]:
    client = settings.connect()
    try:
        yield client
    finally:
        await client.close()


def calls_of(client: Etcd) -> list[str]:
    """The names of all calls that the client makes from now on."""
    made: list[str] = []
    client.observe_calls(lambda name, seconds, failure: made.append(name))
    return made


async def test_a_user_works_below_the_prefix_and_nowhere_else(settings: EtcdSettings) -> None:
    async with connected(settings) as client:
        await client.put(f"{PREFIX}/a", b"1")
        assert (await client.get(f"{PREFIX}/a")) is not None
        with pytest.raises(AccessRefused, match="permission denied"):
            await client.put("/site-b/a", b"1")
        with pytest.raises(AccessRefused, match="permission denied"):
            async for _ in client.watch("/site-b/", 0):
                pass


async def test_calls_at_the_same_time_share_one_token(settings: EtcdSettings) -> None:
    async with connected(settings) as client:
        made = calls_of(client)
        await asyncio.gather(*(client.put(f"{PREFIX}/{number}", b"") for number in range(50)))
        assert made.count("Authenticate") == 1


async def test_a_token_whose_time_is_up_is_renewed(settings: EtcdSettings) -> None:
    async with connected(settings) as client:
        made = calls_of(client)
        await client.put(f"{PREFIX}/a", b"1")
        # etcd gives a token one second in this test, and looks each second whether it is over.
        await asyncio.sleep(2.5)
        await asyncio.gather(*(client.put(f"{PREFIX}/{number}", b"") for number in range(10)))
        assert made.count("Authenticate") == 2


async def test_a_watch_and_a_lease_outlive_their_token(settings: EtcdSettings) -> None:
    async with connected(settings) as client:
        mirror = Mirror(client, f"{PREFIX}/", lambda changes: None)
        keeper = LeaseKeeper(client, 3)
        async with running(mirror.run()), running(keeper.run()):
            await mirror.synced.wait()
            lease = await keeper.granted()
            await asyncio.sleep(2.5)
            await client.put(f"{PREFIX}/a", b"later", lease=lease)
            await eventually(lambda: mirror.get(f"{PREFIX}/a") == b"later")
            assert (keeper.id, keeper.alive) == (lease, True)


async def test_a_watch_that_comes_with_an_old_token_gets_in_by_itself(settings: EtcdSettings) -> None:
    async with connected(settings) as client:
        await client.put(f"{PREFIX}/a", b"1")
        await asyncio.sleep(2.5)
        mirror = Mirror(client, f"{PREFIX}/", lambda changes: None)
        async with running(mirror.run()):
            async with asyncio.timeout(10):
                await mirror.synced.wait()


async def test_a_member_that_was_restarted_knows_no_token_and_gets_another(
    cluster: EtcdCluster, settings: EtcdSettings
) -> None:
    async with connected(settings) as client:
        mirror = Mirror(client, f"{PREFIX}/", lambda changes: None)
        async with running(mirror.run()):
            await mirror.synced.wait()
            cluster.members[0].kill()
            cluster.members[0].start()
            await cluster.members[0].ready()
            await patiently(lambda: client.put(f"{PREFIX}/a", b"again"))
            await eventually(lambda: mirror.get(f"{PREFIX}/a") == b"again")


async def test_a_wrong_password_is_said_and_not_tried_all_the_time(settings: EtcdSettings) -> None:
    async with connected(replace(settings, password="wrong")) as client:
        made = calls_of(client)
        for _ in range(20):
            with pytest.raises(AccessRefused, match=r"authentication failed.*user 'gluon'"):
                await client.get(f"{PREFIX}/a")
            await asyncio.sleep(0.02)
        assert made == ["Authenticate"]


async def test_a_certificate_can_stand_for_a_user(settings: EtcdSettings, certificates: Certificates) -> None:
    certificate, key = certificates.client("gluon")
    of_user = replace(settings, user=None, password=None, cert_file=certificate, key_file=key)
    async with connected(of_user) as client:
        await client.put(f"{PREFIX}/a", b"1")
        with pytest.raises(AccessRefused, match="permission denied"):
            await client.put("/site-b/a", b"1")


async def test_an_etcd_that_the_authority_does_not_vouch_for_is_not_trusted(
    settings: EtcdSettings, tmp_path: Path
) -> None:
    async with connected(replace(settings, ca_file=Certificates(tmp_path).ca)) as client:
        with pytest.raises(EtcdUnavailable, match=r"(?i)certificate"):
            await client.get(f"{PREFIX}/a")


async def test_who_shows_no_certificate_is_not_let_in(settings: EtcdSettings) -> None:
    async with connected(replace(settings, cert_file=None, key_file=None)) as client:
        with pytest.raises(EtcdUnavailable):
            await client.get(f"{PREFIX}/a")


async def test_without_users_in_etcd_a_name_and_password_do_no_harm(
    etcd_server: Any, etcd_prefix: str
) -> None:
    settings = EtcdSettings(endpoints=(etcd_server.url,), user="gluon", password=PASSWORD)
    async with connected(settings) as client:
        await client.put(f"{etcd_prefix}/a", b"1")


@pytest.mark.parametrize("secured", [False, True])
async def test_who_uses_etcd_when_users_come_to_be_asked_for_gets_in(
    tmp_path: Path, certificates: Certificates, secured: bool
) -> None:
    cluster = EtcdCluster(tmp_path, size=1, certificates=certificates if secured else None)
    try:
        cluster.start()
        async with (
            connected(cluster.settings(user="gluon", password=PASSWORD)) as client,
            connected(cluster.settings()) as nobody,
        ):
            await client.put(f"{PREFIX}/a", b"1")
            await nobody.put(f"{PREFIX}/a", b"1")
            await asyncio.to_thread(cluster.enable_users, PREFIX, "gluon", PASSWORD)
            await patiently(lambda: client.put(f"{PREFIX}/a", b"2"))
            # A certificate makes a user of who shows it.
            with pytest.raises(AccessRefused, match="permission denied" if secured else "user name is empty"):
                await nobody.put(f"{PREFIX}/a", b"3")
    finally:
        cluster.close()
