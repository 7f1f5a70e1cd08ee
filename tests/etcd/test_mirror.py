from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from etcd.eventually import eventually, patiently, running
from gluon.etcd.client import Etcd, EtcdUnavailable, Op
from gluon.etcd.mirror import Change, Mirror
from servers.etcd import EtcdServer


class Told:
    """A listener that keeps its own copy from what it is told, and holds the mirror to its promises."""

    def __init__(self) -> None:
        self.copy: dict[str, bytes] = {}
        self.changes: list[Change] = []
        self.went_back: list[Change] = []
        self._revisions: dict[str, int] = {}

    def __call__(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self.changes.append(change)
            if change.mod_revision <= self._revisions.get(change.key, 0):
                self.went_back.append(change)
            self._revisions[change.key] = change.mod_revision
            assert change.previous == self.copy.get(change.key)
            if change.value is None:
                del self.copy[change.key]
            else:
                self.copy[change.key] = change.value


@pytest.fixture
async def own_etcd(own_etcd_server: EtcdServer) -> AsyncIterator[Etcd]:
    client = Etcd([own_etcd_server.url], timeout=0.5)
    yield client
    await client.close()


async def test_the_mirror_has_what_was_there_and_follows(etcd: Etcd, etcd_prefix: str) -> None:
    told = Told()
    mirror = Mirror(etcd, f"{etcd_prefix}/", told)
    old = await etcd.put(f"{etcd_prefix}/old", b"1")

    async with running(mirror.run()):
        await mirror.synced.wait()
        assert mirror.get(f"{etcd_prefix}/old") == b"1"
        new = await etcd.put(f"{etcd_prefix}/new", b"2")
        await etcd.put(f"{etcd_prefix}/old", b"3")
        await etcd.delete(f"{etcd_prefix}/old")
        await eventually(lambda: f"{etcd_prefix}/old" not in mirror)

    assert told.changes == [
        Change(f"{etcd_prefix}/old", b"1", old, None),
        Change(f"{etcd_prefix}/new", b"2", new, None),
        Change(f"{etcd_prefix}/old", b"3", new + 1, b"1"),
        Change(f"{etcd_prefix}/old", None, new + 2, b"3"),
    ]
    assert dict(mirror.items()) == {f"{etcd_prefix}/new": b"2"}
    assert mirror.mod_revision(f"{etcd_prefix}/new") == new
    assert mirror.revision == new + 2
    assert len(mirror) == 1


async def test_items_are_those_below_a_prefix(etcd: Etcd, etcd_prefix: str) -> None:
    for name in ("a/1", "a/2", "b/1"):
        await etcd.put(f"{etcd_prefix}/{name}", name.encode())
    mirror = Mirror(etcd, f"{etcd_prefix}/", Told())

    async with running(mirror.run()):
        await mirror.synced.wait()

    assert sorted(value for _, value in mirror.items(f"{etcd_prefix}/a/")) == [b"a/1", b"a/2"]
    assert sorted(mirror.keys(f"{etcd_prefix}/b/")) == [f"{etcd_prefix}/b/1"]


async def test_a_mirror_without_values_tells_them_all_the_same(etcd: Etcd, etcd_prefix: str) -> None:
    changes: list[Change] = []
    mirror = Mirror(etcd, f"{etcd_prefix}/", changes.extend, keep_values=False)
    key = f"{etcd_prefix}/a"
    await etcd.put(key, b"1")

    async with running(mirror.run()):
        await mirror.synced.wait()
        await etcd.put(key, b"2")
        await etcd.delete(key)
        await eventually(lambda: key not in mirror)

    assert [(change.value, change.previous) for change in changes] == [
        (b"1", None),
        (b"2", None),
        (None, None),
    ]
    with pytest.raises(RuntimeError, match="keeps no values"):
        mirror.get(key)


async def test_thousands_of_keys_come_in_pages(etcd: Etcd, etcd_prefix: str) -> None:
    for start in range(0, 2_500, 100):
        await etcd.transact([], [Op.put(f"{etcd_prefix}/{n}", b"x") for n in range(start, start + 100)])
    told = Told()
    mirror = Mirror(etcd, f"{etcd_prefix}/", told)

    async with running(mirror.run()):
        await mirror.synced.wait()

    assert len(told.copy) == 2_500


async def test_stopping_ends_the_run_and_keeps_the_copy(etcd: Etcd, etcd_prefix: str) -> None:
    await etcd.put(f"{etcd_prefix}/a", b"1")
    mirror = Mirror(etcd, f"{etcd_prefix}/", Told())
    task = asyncio.ensure_future(mirror.run())
    await mirror.synced.wait()

    mirror.stop()
    async with asyncio.timeout(1):
        await task

    assert mirror.get(f"{etcd_prefix}/a") == b"1"
    assert not mirror.synced.is_set()


async def test_what_the_listener_raises_ends_the_run(etcd: Etcd, etcd_prefix: str) -> None:
    def broken(changes: Sequence[Change]) -> None:
        raise ValueError("a mistake")

    await etcd.put(f"{etcd_prefix}/a", b"1")

    with pytest.raises(ValueError, match="a mistake"):
        await Mirror(etcd, f"{etcd_prefix}/", broken).run()


async def test_after_a_restart_it_resumes_and_tells_each_change_once(
    own_etcd_server: EtcdServer, own_etcd: Etcd
) -> None:
    told = Told()
    mirror = Mirror(own_etcd, "/", told)
    await own_etcd.put("/a", b"1")
    async with running(mirror.run()):
        await mirror.synced.wait()
        own_etcd_server.kill()
        await eventually(lambda: not mirror.synced.is_set())
        own_etcd_server.start()
        await own_etcd_server.ready()
        await patiently(lambda: own_etcd.put("/a", b"2"))
        await eventually(lambda: mirror.get("/a") == b"2")

    assert (mirror.counters.lists, mirror.counters.resumes) == (1, 1)
    assert [change.value for change in told.changes] == [b"1", b"2"]


async def test_a_paused_etcd_is_noticed_and_followed_again(
    own_etcd_server: EtcdServer, own_etcd: Etcd
) -> None:
    mirror = Mirror(own_etcd, "/", Told())
    await own_etcd.put("/a", b"1")
    async with running(mirror.run()):
        await mirror.synced.wait()
        own_etcd_server.pause()
        await eventually(lambda: not mirror.synced.is_set())
        own_etcd_server.resume()
        await patiently(lambda: own_etcd.put("/a", b"2"))
        await eventually(lambda: mirror.get("/a") == b"2")

    assert mirror.counters.failures > 0
    assert mirror.counters.last_error is not None


async def test_deletions_and_changes_behind_a_compaction_are_found(etcd: Etcd, etcd_prefix: str) -> None:
    told = Told()
    mirror = Mirror(etcd, f"{etcd_prefix}/", told)
    for name in ("gone", "changed", "same"):
        await etcd.put(f"{etcd_prefix}/{name}", b"1")
    async with running(mirror.run()):
        await mirror.synced.wait()

    await etcd.put(f"{etcd_prefix}/changed", b"2")
    await etcd.delete(f"{etcd_prefix}/gone")
    await etcd.compact(await etcd.put(f"{etcd_prefix}/new", b"3"))
    async with running(mirror.run()):
        await mirror.synced.wait()

    expected = {"changed": b"2", "same": b"1", "new": b"3"}
    assert told.copy == {f"{etcd_prefix}/{name}": value for name, value in expected.items()}
    assert len(told.changes) == 3 + 3
    assert told.went_back == []
    assert mirror.counters.compactions == 1


async def test_a_run_after_a_run_goes_on_where_the_first_one_ended(etcd: Etcd, etcd_prefix: str) -> None:
    told = Told()
    mirror = Mirror(etcd, f"{etcd_prefix}/", told)
    await etcd.put(f"{etcd_prefix}/a", b"1")
    await etcd.put(f"{etcd_prefix}/b", b"1")
    async with running(mirror.run()):
        await mirror.synced.wait()

    await etcd.delete(f"{etcd_prefix}/a")
    async with running(mirror.run()):
        await eventually(lambda: told.copy == {f"{etcd_prefix}/b": b"1"})

    assert (mirror.counters.lists, mirror.counters.resumes) == (1, 1)


async def test_an_etcd_that_was_wiped_is_told_as_the_difference(
    own_etcd_server: EtcdServer, own_etcd: Etcd
) -> None:
    told = Told()
    mirror = Mirror(own_etcd, "/", told)
    for name in ("a", "b", "c"):
        await own_etcd.put(f"/{name}", b"1")
    async with running(mirror.run()):
        await mirror.synced.wait()
        own_etcd_server.kill()
        own_etcd_server.wipe()
        own_etcd_server.start()
        await own_etcd_server.ready()
        await patiently(lambda: own_etcd.put("/b", b"2"))
        await eventually(lambda: told.copy == {"/b": b"2"})
        await eventually(mirror.synced.is_set)
        await own_etcd.put("/c", b"3")
        await eventually(lambda: told.copy == {"/b": b"2", "/c": b"3"})


@pytest.mark.parametrize("keep_values", [True, False])
async def test_a_wiped_etcd_that_was_filled_up_again_is_recognised(
    own_etcd_server: EtcdServer, own_etcd: Etcd, keep_values: bool
) -> None:
    copy: dict[str, bytes | None] = {}
    mirror = Mirror(
        own_etcd, "/", lambda changes: copy.update((c.key, c.value) for c in changes), keep_values=keep_values
    )
    for name in ("a", "b", "c"):
        await own_etcd.put(f"/{name}", b"1")
    async with running(mirror.run()):
        await mirror.synced.wait()
        own_etcd_server.pause()
        await eventually(lambda: not mirror.synced.is_set())
        own_etcd_server.kill()
        own_etcd_server.wipe()
        own_etcd_server.start()
        await own_etcd_server.ready()
        # In the same revision as before, but of another history; then on, beyond what the mirror knows.
        await patiently(lambda: own_etcd.put("/a", b"2"))
        for number in range(20):
            await patiently(lambda number=number: own_etcd.put("/d", str(number).encode()))  # type: ignore[misc]
        await eventually(lambda: copy == {"/a": b"2", "/b": None, "/c": None, "/d": b"19"})


async def test_through_kills_and_pauses_it_ends_equal_and_never_goes_back(
    own_etcd_server: EtcdServer, own_etcd: Etcd
) -> None:
    told = Told()
    mirror = Mirror(own_etcd, "/", told)
    dice = random.Random(7)
    writing = True

    async def write() -> None:
        while writing:
            key = f"/{dice.randrange(50)}"
            try:
                if dice.random() < 0.3:
                    await own_etcd.delete(key)
                else:
                    revision = await own_etcd.put(key, str(dice.random()).encode())
                    if revision % 40 == 0:
                        await own_etcd.compact(revision)
            except EtcdUnavailable:
                await asyncio.sleep(0.02)

    async with running(mirror.run()):
        writer = asyncio.ensure_future(write())
        for round_number in range(4):
            count = len(told.changes)
            await eventually(lambda count=count: len(told.changes) > count + 100)  # type: ignore[misc]
            if round_number % 2:
                own_etcd_server.pause()
                await eventually(lambda: not mirror.synced.is_set())
                own_etcd_server.resume()
            else:
                own_etcd_server.kill()
                own_etcd_server.start()
                await own_etcd_server.ready()
        writing = False
        await writer
        await patiently(lambda: own_etcd.put("/end", b""))
        await eventually(lambda: "/end" in told.copy)
        there = {item.key: item.value for item in (await own_etcd.list("/")).items}

    assert told.copy == there == dict(mirror.items())
    assert told.went_back == []
    assert mirror.counters.histories_lost == 0


async def test_silence_lasts_from_what_etcd_said_last(
    own_etcd: Etcd, own_etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    mirror = Mirror(own_etcd, f"{etcd_prefix}/", Told())
    assert mirror.silence is None

    async with running(mirror.run()):
        await mirror.synced.wait()
        own_etcd_server.pause()
        await eventually(lambda: not mirror.synced.is_set())
        # Silent for the client's timeout, asked, and silent for as long again.
        assert mirror.silence is not None
        assert mirror.silence > 0.9
        own_etcd_server.resume()
        await eventually(lambda: mirror.synced.is_set())
        await eventually(lambda: (mirror.silence or 0.0) < 0.9)
