from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from etcd.eventually import patiently
from gluon.etcd.client import (
    Compacted,
    Compare,
    Etcd,
    EtcdUnavailable,
    HistoryLost,
    LeaseNotFound,
    NoSpace,
    Op,
    RequestTooLarge,
    prefix_end,
)
from servers.etcd import EtcdServer, free_ports


async def test_what_was_put_is_got_with_its_revisions(etcd: Etcd, etcd_prefix: str) -> None:
    first = await etcd.put(f"{etcd_prefix}/a", b"1")
    second = await etcd.put(f"{etcd_prefix}/a", b"2")

    found = await etcd.get(f"{etcd_prefix}/a")

    assert found is not None
    assert (found.key, found.value, found.lease) == (f"{etcd_prefix}/a", b"2", 0)
    assert (found.create_revision, found.mod_revision, found.version) == (first, second, 2)


async def test_a_key_is_read_as_it_was_at_a_revision(etcd: Etcd, etcd_prefix: str) -> None:
    past = await etcd.put(f"{etcd_prefix}/a", b"then")
    await etcd.put(f"{etcd_prefix}/a", b"now")

    found = await etcd.get(f"{etcd_prefix}/a", revision=past)

    assert found is not None
    assert found.value == b"then"


async def test_a_key_that_is_not_there_is_none(etcd: Etcd, etcd_prefix: str) -> None:
    assert await etcd.get(f"{etcd_prefix}/a") is None


@pytest.mark.parametrize("name", ["ä/☃", "100%", "a b", "\x7f"])
async def test_keys_are_text_of_any_kind(etcd: Etcd, etcd_prefix: str, name: str) -> None:
    await etcd.put(f"{etcd_prefix}/{name}", b"x")

    listing = await etcd.list(f"{etcd_prefix}/")

    assert [item.key for item in listing.items] == [f"{etcd_prefix}/{name}"]


async def test_deleting_tells_whether_there_was_anything(etcd: Etcd, etcd_prefix: str) -> None:
    await etcd.put(f"{etcd_prefix}/a", b"1")

    assert await etcd.delete(f"{etcd_prefix}/a") is True
    assert await etcd.delete(f"{etcd_prefix}/a") is False


async def test_a_listing_has_all_keys_below_the_prefix_in_order(etcd: Etcd, etcd_prefix: str) -> None:
    for name in ("b", "a", "c"):
        await etcd.put(f"{etcd_prefix}/x/{name}", name.encode())
    last = await etcd.put(f"{etcd_prefix}/y", b"beside")

    listing = await etcd.list(f"{etcd_prefix}/x/", page=2)

    assert [item.value for item in listing.items] == [b"a", b"b", b"c"]
    assert listing.revision >= last
    assert listing.cluster_id == (await etcd.status()).cluster_id


async def test_the_pages_of_a_listing_are_of_one_revision(etcd: Etcd, etcd_prefix: str) -> None:
    for number in range(4):
        await etcd.put(f"{etcd_prefix}/{number}", b"before")

    values = []
    async for page in etcd.pages(f"{etcd_prefix}/", page=2):
        values += [item.value for item in page.items]
        await etcd.put(f"{etcd_prefix}/3", b"meanwhile")

    assert values == [b"before"] * 4


async def test_a_listing_of_a_compacted_revision_is_refused(etcd: Etcd, etcd_prefix: str) -> None:
    past = await etcd.put(f"{etcd_prefix}/a", b"1")
    await etcd.compact(await etcd.put(f"{etcd_prefix}/a", b"2"))

    with pytest.raises(Compacted):
        await etcd.list(f"{etcd_prefix}/", revision=past)


async def test_a_prefix_of_thousands_of_keys_is_deleted(etcd: Etcd, etcd_prefix: str) -> None:
    for start in range(0, 2_500, 100):
        await etcd.transact([], [Op.put(f"{etcd_prefix}/x/{n}", b"") for n in range(start, start + 100)])
    await etcd.put(f"{etcd_prefix}/y", b"")

    assert await etcd.delete_prefix(f"{etcd_prefix}/x/") == 2_500

    assert [item.key for item in (await etcd.list(etcd_prefix)).items] == [f"{etcd_prefix}/y"]


async def test_a_transaction_whose_conditions_hold_is_one_revision(etcd: Etcd, etcd_prefix: str) -> None:
    a, b = f"{etcd_prefix}/a", f"{etcd_prefix}/b"
    created = await etcd.put(a, b"1")

    outcome = await etcd.transact(
        [
            Compare.create_revision(a, "=", created),
            Compare.mod_revision(a, "<", created + 1),
            Compare.version(a, "=", 1),
            Compare.value(a, "!=", b"2"),
            Compare.lease(a, "=", 0),
            Compare.create_revision(b, "=", 0),
        ],
        [Op.put(b, b"2"), Op.delete(a), Op.get(b), Op.get(f"{etcd_prefix}/c")],
        [Op.put(f"{etcd_prefix}/c", b"")],
    )

    put, deleted, got, missing = outcome.results
    assert outcome.succeeded
    assert (put, deleted, missing) == (None, 1, None)
    assert got == await etcd.get(b)
    assert (await etcd.get(b)).mod_revision == outcome.revision  # type: ignore[union-attr]


async def test_a_transaction_whose_conditions_fail_does_the_rest(etcd: Etcd, etcd_prefix: str) -> None:
    key = f"{etcd_prefix}/a"
    await etcd.put(key, b"1")

    outcome = await etcd.transact([Compare.version(key, ">", 1)], [Op.delete(key)], [Op.put(key, b"2")])

    assert not outcome.succeeded
    assert (await etcd.get(key)).value == b"2"  # type: ignore[union-attr]


def test_an_operator_that_etcd_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="'>='"):
        Compare.version("/a", ">=", 1).message()


async def test_128_operations_are_a_transaction_and_129_are_too_many(etcd: Etcd, etcd_prefix: str) -> None:
    ops = [Op.put(f"{etcd_prefix}/{n}", b"x") for n in range(129)]

    assert (await etcd.transact([], ops[:128])).succeeded
    with pytest.raises(RequestTooLarge):
        await etcd.transact([], ops)


async def test_a_value_beyond_etcds_limit_is_too_large(etcd: Etcd, etcd_prefix: str) -> None:
    with pytest.raises(RequestTooLarge):
        await etcd.put(f"{etcd_prefix}/a", b"x" * 2 * 1024**2)


async def test_an_answer_of_many_megabytes_is_read(etcd: Etcd, etcd_prefix: str) -> None:
    for number in range(8):
        await etcd.put(f"{etcd_prefix}/{number}", b"x" * 1024**2)

    assert sum(len(item.value) for item in (await etcd.list(etcd_prefix)).items) == 8 * 1024**2


async def test_a_lease_holds_keys_until_it_is_revoked(etcd: Etcd, etcd_prefix: str) -> None:
    lease = await etcd.grant(60)
    await etcd.put(f"{etcd_prefix}/a", b"", lease=lease)

    assert 0 < await etcd.keep_alive(lease) <= 60
    await etcd.revoke(lease)

    assert await etcd.get(f"{etcd_prefix}/a") is None


async def test_a_lease_that_is_gone_is_told_by_name(etcd: Etcd, etcd_prefix: str) -> None:
    lease = await etcd.grant(60)
    await etcd.revoke(lease)

    with pytest.raises(LeaseNotFound):
        await etcd.keep_alive(lease)
    with pytest.raises(LeaseNotFound):
        await etcd.revoke(lease)
    with pytest.raises(LeaseNotFound):
        await etcd.put(f"{etcd_prefix}/a", b"", lease=lease)


async def test_the_status_names_version_and_size(etcd: Etcd) -> None:
    status = await etcd.status()

    assert status.version.startswith("3.")
    assert status.db_size >= status.db_size_in_use > 0
    assert status.alarms == ()


async def test_a_full_etcd_says_so_and_can_be_read(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path, options=["--quota-backend-bytes", str(512 * 1024)])
    server.start()
    client = Etcd([server.url])
    try:
        await server.ready()
        with pytest.raises(NoSpace):
            for _ in range(100):
                await client.put("/a", b"x" * 64 * 1024)
        assert await client.get("/a") is not None
        assert "NOSPACE" in "".join((await client.status()).alarms)
    finally:
        await client.close()
        server.kill()


async def test_without_a_server_calls_fail_at_once_and_say_where() -> None:
    [port] = free_ports(1)
    client = Etcd([f"http://127.0.0.1:{port}"])

    async with asyncio.timeout(2):
        with pytest.raises(EtcdUnavailable, match=f"127.0.0.1:{port}"):
            await client.put("/a", b"")
    await client.close()


@pytest.mark.parametrize(
    "url", ["127.0.0.1:2379", "ftp://127.0.0.1:2379", "http://", "http://h/path", "http://h:x"]
)
def test_an_endpoint_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Etcd([url])


async def test_a_killed_etcd_is_found_again_soon_after_its_restart(own_etcd_server: EtcdServer) -> None:
    client = Etcd([own_etcd_server.url])
    await client.put("/a", b"1")
    own_etcd_server.kill()
    with pytest.raises(EtcdUnavailable):
        await client.get("/a")

    own_etcd_server.start()
    await own_etcd_server.ready()

    async with asyncio.timeout(1.5):
        found = await patiently(lambda: client.get("/a"))
        assert found is not None
        assert found.value == b"1"
    await client.close()


async def test_a_silent_etcd_is_unavailable_at_the_deadline(own_etcd_server: EtcdServer) -> None:
    client = Etcd([own_etcd_server.url], timeout=0.5)
    await client.put("/a", b"1")
    own_etcd_server.pause()

    async with asyncio.timeout(1.5):
        with pytest.raises(EtcdUnavailable):
            await client.get("/a")
    own_etcd_server.resume()
    assert await client.get("/a") is not None
    await client.close()


async def test_with_several_endpoints_the_ones_that_are_away_do_not_matter(
    etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    away = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
    client = Etcd([away[0], etcd_server.url, away[1]])

    await client.put(f"{etcd_prefix}/a", b"1")

    assert await client.get(f"{etcd_prefix}/a") is not None
    assert client.endpoint == etcd_server.url
    await client.close()


async def test_an_endpoint_that_falls_silent_is_left_and_a_stranger_is_recognised(
    own_etcd_server: EtcdServer, etcd_server: EtcdServer
) -> None:
    client = Etcd([own_etcd_server.url, etcd_server.url], timeout=0.5)
    await client.put("/a", b"1")
    own_etcd_server.pause()

    with pytest.raises(EtcdUnavailable):
        await client.put("/a", b"2")
    with pytest.raises(HistoryLost, match="cluster id changed"):
        await client.get("/a")

    assert client.endpoint == etcd_server.url
    assert await client.get("/a") is None
    await client.close()


async def test_a_wiped_etcd_is_noticed_once(own_etcd_server: EtcdServer) -> None:
    client = Etcd([own_etcd_server.url])
    for _ in range(5):
        await client.put("/a", b"1")
    own_etcd_server.kill()
    own_etcd_server.wipe()
    own_etcd_server.start()
    await own_etcd_server.ready()

    async with asyncio.timeout(5):
        with pytest.raises(HistoryLost, match="went back"):
            while True:
                try:
                    await client.get("/a")
                except EtcdUnavailable:
                    await asyncio.sleep(0.05)

    assert await client.get("/a") is None
    assert await client.put("/a", b"2") > 0
    assert client.history.losses == 1
    await client.close()


async def test_concurrent_answers_in_any_order_are_no_lost_history(etcd: Etcd, etcd_prefix: str) -> None:
    async def work(name: int) -> None:
        for _ in range(20):
            await etcd.put(f"{etcd_prefix}/{name}", b"")
            await etcd.get(f"{etcd_prefix}/{name}")

    await asyncio.gather(*(work(name) for name in range(30)))

    assert etcd.history.losses == 0


@pytest.mark.parametrize(
    ("prefix", "end"), [("/a", b"/b"), ("", b"\0"), ("a\udcff", b"b"), ("\udcff", b"\0")]
)
def test_the_range_of_a_prefix_ends_behind_its_last_possible_key(prefix: str, end: bytes) -> None:
    assert prefix_end(prefix) == end


async def test_an_observer_is_told_of_each_call_and_of_what_it_failed_with() -> None:
    port, closed = free_ports(2)
    calls: list[tuple[str, str | None]] = []
    client = Etcd([f"http://127.0.0.1:{port}", f"http://127.0.0.1:{closed}"], timeout=0.5)
    client.observe_calls(lambda method, seconds, error: calls.append((method, type(error).__name__)))
    try:
        with pytest.raises(EtcdUnavailable):
            await client.get("/a")
    finally:
        await client.close()
    assert client.endpoints == (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{closed}")
    assert calls == [("Range", "EtcdUnavailable")] * 2
