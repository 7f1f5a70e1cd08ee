"""The relay, on a real database and a real etcd: in order, exactly once, whoever dies when."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gluon.proton.relay import Relay
from gluon.proton.relay_record import RelayRecord
from gluon.store.etcd_memory import EtcdMemory
from proton.relaying import LateEtcd, LateOutbox, Site, eventually, running, site, writes
from servers.etcd import EtcdServer
from servers.postgresql import PostgresqlServer


@contextmanager
def child(database_url: str, etcd_url: str, prefix: str, stop_at: str) -> Iterator[subprocess.Popen[str]]:
    """A relay in a process of its own."""
    process = subprocess.Popen(
        [
            sys.executable,
            str(Path(__file__).with_name("relaying.py")),
            database_url,
            etcd_url,
            prefix,
            stop_at,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin:/bin"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def says(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == line


# -- the way of a row ---------------------------------------------------------------------------------------


async def test_rows_reach_etcd_and_leave_the_outbox(here: Site) -> None:
    await here.commit(("a", b"1"), ("b", b"2"))
    async with running(here.relay()) as relay:
        await here.drained()
        await here.commit(("a", None), ("c", b"3"))
        await here.drained()
        assert relay.counters.rows == 4
    assert await here.stored() == {"b": b"2", "c": b"3"}


async def test_a_transaction_is_one_revision_in_etcd(here: Site) -> None:
    async with running(here.relay()):
        await here.commit(*[(i, b"v") for i in range(100)])
        await here.drained()
    events = await writes(here.etcd, here.keys.objects())
    assert len({event.mod_revision for event in events}) == 1


async def test_a_commit_wakes_the_relay(here: Site) -> None:
    async with running(here.relay()) as relay:
        await eventually(lambda: relay.is_leader)
        await here.commit(("warm", b"1"))
        await here.drained()
        times = []
        for i in range(20):
            before = time.perf_counter()
            await here.commit(("a", b"%d" % i))
            while (await here.stored()).get("a") != b"%d" % i:
                pass
            times.append(time.perf_counter() - before)
    # Far below the poll, with room for a machine that is busy with other tests.
    assert sorted(times)[len(times) // 2] < 0.3


async def test_five_thousand_rows_drain_in_order_and_each_is_written_once(here: Site) -> None:
    for start in range(0, 5000, 100):
        await here.commit(*[(i, b"%d" % i) for i in range(start, start + 100)])
    async with running(here.relay()) as relay:
        await here.drained()
        assert relay.counters.rows == 5000
        assert relay.counters.batches <= 60
    events = await writes(here.etcd, here.keys.objects())
    assert [int(event.value or b"") for event in events] == list(range(5000))


async def test_a_key_that_is_deleted_and_made_anew_is_seen_to_be(here: Site) -> None:
    async with running(here.relay()):
        await here.commit(("a", b"old"))
        await here.drained()
        await here.commit(("a", None))
        await here.commit(("a", b"new"))
        await here.drained()
    assert await here.stored() == {"a": b"new"}
    # A deletion of what etcd never had is no event; what counts is that the new one was created afresh.
    found = await here.etcd.get(here.key("a"))
    assert found is not None and found.version == 1


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    data=st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=8), min_size=1, max_size=25
    )
)
def test_no_watcher_sees_a_revision_go_back(
    data: list[list[tuple[int, bool]]],
    tmp_path_factory: pytest.TempPathFactory,
    etcd_server: EtcdServer,
) -> None:
    async def scenario() -> None:
        folder = tmp_path_factory.mktemp("relay")
        async with site(
            f"sqlite:///{folder}/gluon.sqlite", etcd_server.url, f"/{folder.name}-{id(folder)}"
        ) as here:
            revisions: Counter[int] = Counter()
            expected: dict[str, bytes] = {}
            relay = here.relay()
            async with running(relay):
                for transaction in data:
                    changes: dict[int, bytes | None] = {}
                    for key, deleted in transaction:
                        revisions[key] += 1
                        changes[key] = None if deleted else b"%d" % revisions[key]
                    await here.commit(*changes.items())
                    expected.update({str(k): v for k, v in changes.items() if v is not None})
                    for key, value in changes.items():
                        if value is None:
                            expected.pop(str(key), None)
                await here.drained()
            assert await here.stored() == expected
            last: defaultdict[str, int] = defaultdict(int)
            for event in await writes(here.etcd, here.keys.objects()):
                if event.value is not None:
                    assert int(event.value) > last[event.key]
                    last[event.key] = int(event.value)

    asyncio.run(scenario())


# -- death --------------------------------------------------------------------------------------------------


async def test_a_relay_killed_between_etcd_and_the_database_writes_no_row_twice(
    database_url: str, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with site(database_url, etcd_server.url, etcd_prefix) as here:
        await here.commit(*[(i, b"first") for i in range(10)])
    with child(database_url, etcd_server.url, etcd_prefix, "removal") as process:
        await asyncio.to_thread(says, process, "etcd has the batch")
        process.send_signal(signal.SIGKILL)
        process.wait()
    async with site(database_url, etcd_server.url, etcd_prefix) as here:
        assert await here.depth() == 10
        await here.commit(("last", b"second"))
        async with running(here.relay()) as relay:
            await here.drained()
            assert (relay.counters.recovered, relay.counters.rows) == (10, 1)
        events = await writes(here.etcd, here.keys.objects())
    assert Counter(event.key for event in events).most_common(1)[0][1] == 1
    assert len(events) == 11


async def test_rows_that_etcd_has_are_found_however_large_they_are(here: Site) -> None:
    large = b"x" * (512 * 1024)
    for number in range(24):
        await here.commit(("large", b"%d" % number + large))
    rows = await here.database.read(lambda tx: here.outbox.pending(tx, 100, 1 << 30))
    # As a relay leaves it that dies while two batches, one on its way and one being removed, are with etcd.
    await here.etcd.put(here.key("large"), rows[-1].value or b"")
    await here.etcd.put(here.keys.relay(), RelayRecord.of(rows).encode())
    await here.commit(("last", b"1"))
    async with running(here.relay()) as relay:
        await here.drained()
        assert (relay.counters.recovered, relay.counters.rows) == (24, 1)


async def test_a_leader_that_was_paused_writes_nothing_when_it_goes_on(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    with child(f"sqlite:///{tmp_path}/paused.sqlite", etcd_server.url, etcd_prefix, "never") as process:
        await asyncio.to_thread(says, process, "leader")
        async with site(f"sqlite:///{tmp_path}/other.sqlite", etcd_server.url, etcd_prefix) as here:
            process.send_signal(signal.SIGSTOP)
            async with running(here.relay(lease=2)) as relay:
                await here.commit(("mine", b"1"))
                await here.drained()
                assert relay.is_leader
                since = (await here.etcd.list(here.keys.objects())).revision
                process.send_signal(signal.SIGCONT)
                # It has rows that it would write at once; what it is told instead takes a moment.
                for i in range(100):
                    await here.commit(("mine", b"%d" % i))
                    await asyncio.sleep(0.01)
                await here.drained()
                late = [e for e in await writes(here.etcd, here.keys.objects()) if e.mod_revision > since]
                assert {event.key for event in late} == {here.key("mine")}
                assert relay.is_leader


async def test_a_batch_that_is_late_until_another_is_elected_changes_nothing(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with (
        site(f"sqlite:///{tmp_path}/old.sqlite", etcd_server.url, etcd_prefix) as old,
        site(f"sqlite:///{tmp_path}/new.sqlite", etcd_server.url, etcd_prefix) as new,
    ):
        await old.etcd.close()
        old.etcd = late = LateEtcd(etcd_server.url)
        await old.commit(("old", b"1"))
        async with running(old.relay(lease=30)):
            await eventually(lambda: late.batch is not None)
            leader = await new.etcd.get(new.keys.relay_election())
            assert leader is not None
            # The first one will notice that only when it is to renew its lease.
            await new.etcd.revoke(leader.lease)
            async with running(new.relay()) as second:
                await eventually(lambda: second.is_leader)
                # The second one has written nothing: that it is elected is all that stands against the batch.
                assert not (await late.arrives()).succeeded
        assert await new.stored() == {}


async def test_a_clean_stop_hands_over_at_once(here: Site) -> None:
    async with running(here.relay(lease=60)) as first:
        await eventually(lambda: first.is_leader)
    async with running(here.relay(lease=60)) as second:
        await eventually(lambda: second.is_leader, within=10)


async def test_a_database_made_anew_loses_nothing_to_the_record_of_the_old_one(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    for name in ("old", "new"):
        async with site(f"sqlite:///{tmp_path}/{name}.sqlite", etcd_server.url, etcd_prefix) as here:
            await here.commit((name, b"1"))
            async with running(here.relay()):
                await here.drained()
            assert name in await here.stored()


async def test_what_a_leader_removes_late_leaves_the_memory_as_the_next_one_has_it(
    postgresql_server: PostgresqlServer, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    with postgresql_server.fresh_database() as url:
        async with site(url, etcd_server.url, etcd_prefix) as here:
            outbox, memory = LateOutbox(here.database.dialect), EtcdMemory(here.database.dialect)
            old, new = (
                Relay(here.database, box, here.etcd, here.keys, lease=2, memory=memory)
                for box in (outbox, here.outbox)
            )
            async with running(old):
                await here.commit(("a", b"0"))
                await here.drained()
                outbox.armed = True
                await here.commit(("a", b"1"))
                await outbox.reached.wait()
                await here.etcd.delete(here.keys.relay_election())
                async with running(new):
                    # It has removed what it found in the record, and has written itself.
                    await here.commit(("a", b"2"))
                    await here.drained()
                    noted = await here.database.read(memory.recall)
                    old.stop()
                    outbox.go_on.set()
                    # Completed, once nobody waits for the old one any more.
                    await here.database.close()
            async with site(url, etcd_server.url, etcd_prefix) as again:
                assert noted is not None
                assert await again.database.read(memory.recall) == noted


async def test_batches_sent_during_a_removal_are_removed_after_it_or_by_the_next_leader(
    postgresql_server: PostgresqlServer, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    with postgresql_server.fresh_database() as url:
        async with site(url, etcd_server.url, etcd_prefix) as here:
            outbox = LateOutbox(here.database.dialect)
            outbox.armed = True
            old = Relay(here.database, outbox, here.etcd, here.keys, lease=2)
            dying = asyncio.create_task(old.run())
            for number in range(5):
                await here.commit((f"before {number}", b"1"), ("all", b"%d" % number))
                # One by one, so that each is a batch.
                await eventually(lambda number=number: old.counters.batches == number + 1)
            assert outbox.reached.is_set()
            assert await here.depth() == 10
            dying.cancel()
            await asyncio.wait((dying,))
            async with running(here.relay()) as new:
                await here.drained()
            # What the old one began goes on to its end, and finds nothing left to do.
            outbox.go_on.set()
            assert (new.counters.recovered, new.counters.rows) == (10, 0)
            names = Counter(event.key for event in await writes(here.etcd, here.keys.objects("test")))
            assert names == {here.key("all"): 5, **{here.key(f"before {n}"): 1 for n in range(5)}}


async def test_traces_that_nobody_exports_are_taken_away_by_the_leader(here: Site) -> None:
    traces = [f"{here.keys.traces()}{number:03}" for number in range(300)]
    for key in traces:
        await here.etcd.put(key, b"trace")
    async with running(here.relay()):
        await here.commit(("a", b"1"))
        await here.drained()
    assert (await here.etcd.list(here.keys.traces())).items == []


# -- conditions ---------------------------------------------------------------------------------------------


async def test_a_conditional_change_is_dropped_when_its_key_was_written_since(here: Site) -> None:
    async with running(here.relay()) as relay:
        await here.commit(*[(name, b"1") for name in ("same", "changed", "gone", "doomed")])
        await here.drained()
        seen = {item.key: item.mod_revision for item in (await here.etcd.list(here.keys.objects())).items}
        await here.commit(("changed", b"2"), ("gone", None))
        await here.drained()
        changes: list[tuple[object, bytes | None]] = [
            *((name, b"resynced") for name in ("same", "changed", "gone", "new")),
            ("doomed", None),
            ("same", b"too late"),
        ]
        conditional = [(here.key(n), value, seen.get(here.key(n), 0)) for n, value in changes]
        await here.database.write(lambda tx: here.outbox.add_if_unchanged(tx, conditional))
        await here.drained()
        assert relay.counters.overtaken == 3
    assert await here.stored() == {"same": b"resynced", "changed": b"2", "new": b"resynced"}


async def test_a_batch_may_be_all_conditions(here: Site) -> None:
    changes = [(here.key(number), b"1", 0) for number in range(300)]
    await here.database.write(lambda tx: here.outbox.add_if_unchanged(tx, changes))
    async with running(here.relay()):
        await here.drained()
    assert len(await here.stored()) == 300
