"""Resync: etcd is made to agree with the database, beside all that goes on, and undoes nothing of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gluon.model.compiler import model_from_document
from gluon.proton import resync as resync_module
from gluon.proton.resync import Counts
from gluon.proton.resync_scope import Scope, UnknownScope
from gluon.store.database import Transaction
from gluon.store.schema import Schema
from gluon.store.statement import Statement
from proton.resyncing import TENANT, Town, network, relaying, town
from servers.etcd import EtcdServer

LOCK_WAITS = Statement(
    "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
    "WHERE VARIABLE_NAME = 'INNODB_ROW_LOCK_CURRENT_WAITS'"
)


@pytest.fixture
async def here(database_url: str, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Town]:
    async with town(database_url, etcd_server.url, etcd_prefix) as opened:
        yield opened


@pytest.fixture
async def on_sqlite(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Town]:
    """For what has nothing to do with the kind of database."""
    async with town(f"sqlite:///{tmp_path / 'gluon.sqlite'}", etcd_server.url, etcd_prefix) as opened:
        yield opened


async def agree(here: Town) -> None:
    expected = {key: msgspec.json.decode(value) for key, value in (await here.rows()).items()}
    assert {key: msgspec.json.decode(value) for key, value in (await here.stored()).items()} == expected
    counts = await here.check()
    assert counts.differences == 0, counts


async def lock_wait(here: Town) -> None:
    """Return when a transaction of MariaDB waits for another's lock."""
    async with asyncio.timeout(20):
        while await here.database.read(lambda tx: tx.fetch(LOCK_WAITS)) == [("0",)]:
            await asyncio.sleep(0.05)


# -- what it finds ------------------------------------------------------------------------------------------


async def test_where_all_is_right_nothing_is_done(here: Town) -> None:
    async with relaying(here):
        await here.create_ports(20)
        await here.create("Vpn")
        await here.drained()
        written = (await here.etcd.list(here.keys.prefix)).revision
        counts = await here.repair()
        # 20 ports, their owners, a service, and the model.
        assert counts.report() == {"correct": 42, "created": 0, "updated": 0, "deleted": 0}
        assert await here.depth() == 0
    assert (await here.etcd.list(here.keys.objects())).items[-1].mod_revision <= written


async def test_every_kind_of_difference_is_found_and_put_right(here: Town) -> None:
    etcd, keys = here.etcd, here.keys
    async with relaying(here):
        missing, changed, reordered, retyped, ownerless = await here.create_ports(5)
        await here.create("Vpn", "5c4a6f0e-0000-4000-8000-000000000001")
        await here.drained()

        await etcd.delete(here.key("Port", missing))
        await etcd.put(here.key("Port", changed), b'{"id": "another"}')
        document = await here.value("Port", reordered)
        backwards = msgspec.json.encode(dict(reversed(document.items())))
        await etcd.put(here.key("Port", reordered), backwards)
        await etcd.put(here.key("Port", retyped), msgspec.json.encode(document | {"mtu": 1500.0}))
        await etcd.delete(keys.port(ownerless))
        await etcd.put(keys.port(changed), b"not JSON")
        await etcd.put(here.key("Vpn", "5c4a6f0e-0000-4000-8000-00000000dead"), b"{}")
        await etcd.put(keys.object("acme", "Gone", "x"), b"{}")
        await etcd.put(keys.port("gone"), b'{"service": "acme"}')
        await etcd.put(keys.answer("acme", "Port", "gone"), b"{}")
        await etcd.put(keys.answer("acme", "Port", "gone", "host"), b"{}")
        await etcd.put(keys.answer("acme", "Port", changed), b"{}")
        await etcd.delete(keys.model("acme", "1.0"))
        await etcd.put(keys.model("acme", "0.9"), b"{}")

        expected = {"correct": 6, "created": 3, "updated": 3, "deleted": 6}
        assert (await here.check()).report() == expected
        assert (await here.repaired()).report() == expected
        await agree(here)
        assert (await here.check()).report() == {"correct": 12, "created": 0, "updated": 0, "deleted": 0}
        # What readers see was right: nothing was written.
        found = await etcd.get(here.key("Port", reordered))
        assert found is not None and found.value == backwards
        assert [i.key for i in (await etcd.list(keys.answers())).items] == [
            keys.answer("acme", "Port", changed)
        ]
        assert [i.key for i in (await etcd.list(keys.models())).items] == [keys.model("acme", "1.0")]


async def test_what_is_not_its_own_is_left_alone(on_sqlite: Town) -> None:
    keys = on_sqlite.keys
    foreign = [
        keys.object("elsewhere", "Port", "p"),
        keys.objects("acme", "Port") + "with/more/below",
        keys.objects("acme") + "short",
        keys.ports() + "one/more",
        keys.model("elsewhere", "1.0"),
        keys.models() + "acme",
        keys.answer("elsewhere", "Port", "p"),
        keys.answer("acme", "Vpn", "p"),
        keys.answers("acme", "Port") + "p/host/more",
        keys.status("acme", "Port", "gone", "shim"),
        keys.claim("acme", "gone", "host"),
        keys.server("s"),
        keys.controller("c"),
        keys.prefix + "/proton",
        keys.prefix + "/something/else",
        keys.objects("acme", "Word") + "not\udcffUTF-8",
    ]
    for key in foreign:
        await on_sqlite.etcd.put(key, b"{}")
    await on_sqlite.etcd.put(keys.port("p"), b'{"service": "elsewhere"}')
    async with relaying(on_sqlite):
        await on_sqlite.drained()
        counts = await on_sqlite.repaired()
    assert counts.differences == 0
    assert {i.key for i in (await on_sqlite.etcd.list(keys.prefix + "/")).items} >= {*foreign, keys.port("p")}


ODD_WORDS = ["a/b", "a-b", "a b", "%41", "A", "é", "日本", "~", "!", "$", "+", "a", "a'\"b", ".", "x" * 200]


async def test_keys_of_any_spelling_and_order(here: Town) -> None:
    numbers = [-(2**63), -1, 0, 9, 10, 100, 2**63 - 1]
    async with relaying(here):
        for word in ODD_WORDS:
            await here.create("Word", word)
        for number in numbers:
            await here.create("Count", number)
        await here.drained()
        assert (await here.repaired()).report()["correct"] == len(ODD_WORDS) + len(numbers) + 1
        # Texts that mean a row's key, and that the relay would spell otherwise; and some that mean none.
        strays = [here.key("Count", text) for text in ("09", "+9", "1e1", "9 ", "9" * 30, "", "-0")]
        strays += [here.keys.objects("acme", "Word") + text for text in ("%61", "%00", "%ff", "a%2fb", "é")]
        for key in strays:
            await here.etcd.put(key, b"{}")
        for word in ODD_WORDS[::2]:
            await here.etcd.delete(here.keys.object("acme", "Word", word))
        counts = await here.repaired()
        assert (counts.deleted, counts.created) == (len(strays), len(ODD_WORDS[::2]))
        await agree(here)


async def test_pages_on_both_sides(here: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync_module, "PAGE", 7)
    monkeypatch.setattr(resync_module, "AT_ONCE", 3)
    monkeypatch.setattr(resync_module, "MOST_WAITING", 5)
    async with relaying(here):
        ids = await here.create_ports(40)
        for number in range(-12, 12):
            await here.create("Count", number)
        await here.drained()
        for port_id in ids[::3]:
            await here.etcd.delete(here.key("Port", port_id))
        progress: list[tuple[int, int]] = []
        counts = await here.resync().repair(progress=lambda done, total: progress.append((done, total)))
        assert (counts.created, counts.correct) == (14, 40 * 2 + 24 + 1 - 14)
        assert progress == sorted(progress)
        assert progress[-1] == (105, 105)
        await here.drained()
        await agree(here)


async def test_a_service_that_is_new_is_part_of_the_next_run(on_sqlite: Town) -> None:
    resync = on_sqlite.resync()
    await resync.check()
    newer = model_from_document({**network().document, "service": "newer"})
    await Schema(on_sqlite.database).install(newer)
    await on_sqlite.etcd.put(on_sqlite.keys.object("newer", "Vpn", "stray"), b"{}")
    counts = await resync.check()
    # Its model, and what etcd has of it; the other one's model is on its way.
    assert counts.report() == {"correct": 1, "created": 1, "updated": 0, "deleted": 1}


async def test_an_etcd_that_is_compacted_meanwhile(on_sqlite: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync_module, "PAGE", 5)
    async with relaying(on_sqlite):
        ids = await on_sqlite.create_ports(20)
        await on_sqlite.drained()

        async def compact() -> None:
            await on_sqlite.change("Port", ids[0], name="new")
            await on_sqlite.drained()
            revision = (await on_sqlite.etcd.list(on_sqlite.keys.prefix)).revision
            await on_sqlite.etcd.compact(revision)

        on_sqlite.etcd.after_page = compact
        assert (await on_sqlite.repair()).report() == {
            "correct": 41,
            "created": 0,
            "updated": 0,
            "deleted": 0,
        }


async def test_a_server_without_a_url_of_its_own_takes_the_others_for_right(on_sqlite: Town) -> None:
    async with relaying(on_sqlite):
        first, second = await on_sqlite.create_ports(2)
        await on_sqlite.drained()
        for port_id, tenant in ((first, TENANT), (second, "stranger")):
            record = {"tenant_id": tenant, "service": "acme", "url": "http://other:2705"}
            await on_sqlite.etcd.put(on_sqlite.keys.port(port_id), msgspec.json.encode(record))
        assert (await on_sqlite.check()).updated == 2
        assert (await on_sqlite.resync(own_url_counts=False).repair()).updated == 1
        await on_sqlite.drained()
        found = await on_sqlite.etcd.get(on_sqlite.keys.port(second))
        assert found is not None
        assert msgspec.json.decode(found.value) == {
            "tenant_id": TENANT,
            "service": "acme",
            "url": "http://other:2705",
        }


# -- a part of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(), {"correct": 0, "created": 7, "updated": 0, "deleted": 0}),
        (Scope(service="acme"), {"correct": 0, "created": 7, "updated": 0, "deleted": 0}),
        (Scope(object="Vpn"), {"correct": 0, "created": 1, "updated": 0, "deleted": 0}),
        (Scope(object="vpns"), {"correct": 0, "created": 1, "updated": 0, "deleted": 0}),
        (Scope(object="port"), {"correct": 0, "created": 4, "updated": 0, "deleted": 0}),
        (Scope("acme", "Port", "{port}"), {"correct": 0, "created": 2, "updated": 0, "deleted": 0}),
        (Scope(id="{port}"), {"correct": 0, "created": 2, "updated": 0, "deleted": 0}),
        (Scope(id="a/b"), {"correct": 0, "created": 1, "updated": 0, "deleted": 0}),
        (Scope(id="nothing"), {"correct": 0, "created": 0, "updated": 0, "deleted": 0}),
    ],
)
async def test_a_scope(on_sqlite: Town, scope: Scope, expected: dict[str, int]) -> None:
    async with relaying(on_sqlite):
        port_id, _ = await on_sqlite.create_ports(2)
        await on_sqlite.create("Vpn")
        await on_sqlite.create("Word", "a/b")
        await on_sqlite.drained()
        await on_sqlite.etcd.delete_prefix(on_sqlite.keys.objects())
        await on_sqlite.etcd.delete_prefix(on_sqlite.keys.ports())
        await on_sqlite.etcd.delete_prefix(on_sqlite.keys.models())
    if scope.id is not None:
        scope = Scope(scope.service, scope.object, scope.id.format(port=port_id))
    assert (await on_sqlite.resync().check(scope)).report() == expected


@pytest.mark.parametrize(
    ("scope", "says"),
    [
        (Scope(service="acmee"), "the database has no service 'acmee'; did you mean acme?"),
        (Scope(service="acme", object="Prot"), "service acme has no object 'Prot'; did you mean Port?"),
        (Scope(object="Prot"), "no service of the database has an object 'Prot'; did you mean Port?"),
    ],
)
async def test_a_scope_that_is_nowhere(on_sqlite: Town, scope: Scope, says: str) -> None:
    with pytest.raises(UnknownScope) as refusal:
        await on_sqlite.resync().check(scope)
    assert str(refusal.value) == says


# -- beside other writes: each test stages the interleaving that would do harm ------------------------------


@pytest.mark.parametrize("what", ["check", "repair"])
async def test_an_object_changed_and_relayed_after_etcd_was_read_is_no_difference(
    here: Town, what: str
) -> None:
    async with relaying(here) as relay:
        (port_id,) = await here.create_ports(1)
        doomed, new = await here.create("Vpn"), "5c4a6f0e-0000-4000-8000-000000000002"
        await here.drained()

        async def overtake() -> None:
            await here.change("Port", port_id, name="fresh")
            await here.delete("Vpn", doomed)
            await here.create("Vpn", new)
            await here.drained()

        here.etcd.after_page = overtake
        counts: Counts = await getattr(here, what)()
        assert counts.differences == 0
        await here.drained()
        assert relay.counters.overtaken == 0
        await agree(here)


async def test_an_object_changed_after_its_difference_was_found_keeps_the_change(here: Town) -> None:
    async with relaying(here):
        (port_id,) = await here.create_ports(1)
        await here.drained()
        await here.etcd.put(here.key("Port", port_id), b"{}")

        async def overtake() -> None:
            await here.change("Port", port_id, name="fresh")
            await here.drained()

        here.etcd.after_second_look = overtake
        await here.repaired()
        assert (await here.value("Port", port_id))["name"] == "fresh"
        found = await here.etcd.get(here.key("Port", port_id))
        # Its creation, the damage, the change: the repair came to nothing.
        assert found is not None and found.version == 3
        await agree(here)


async def test_a_change_after_the_repair_comes_after_it(here: Town) -> None:
    async with relaying(here):
        (port_id,) = await here.create_ports(1)
        await here.drained()
    await here.etcd.delete(here.key("Port", port_id))
    await here.repair()
    await here.change("Port", port_id, name="fresh")
    async with relaying(here):
        await here.drained()
        assert (await here.value("Port", port_id))["name"] == "fresh"
        await agree(here)


async def test_an_object_deleted_after_it_was_found_missing_does_not_come_back(here: Town) -> None:
    async with relaying(here):
        doomed = [await here.create("Vpn") for _ in range(2)]
        await here.drained()
        for key in doomed:
            await here.etcd.delete(here.key("Vpn", key))

        async def overtake() -> None:
            await here.delete("Vpn", doomed[0])
            await here.drained()

        here.etcd.after_second_look = overtake
        assert (await here.repair()).created == 1
        await here.delete("Vpn", doomed[1])
        await here.drained()
        await agree(here)


async def test_a_stray_key_that_an_object_takes_meanwhile_is_the_objects(here: Town) -> None:
    """The creation has its number first, and is committed last."""
    new = "5c4a6f0e-0000-4000-8000-000000000003"
    stray = here.key("Vpn", new)
    async with relaying(here):
        await here.drained()
    await here.etcd.put(stray, b'{"name": "stray"}')
    if here.database.shared:
        inserted, go_on = asyncio.Event(), asyncio.Event()

        async def creation(tx: Transaction) -> None:
            await here._insert(tx, "Vpn", new, {})
            # Rows wait for the next statement that is no INSERT.
            await here.outbox.depth(tx)
            inserted.set()
            await go_on.wait()

        creating = asyncio.create_task(here.database.write(creation))
        await inserted.wait()
        repairing = asyncio.create_task(here.repair())
        if here.database.dialect.name == "postgresql":
            await repairing
        else:
            # MariaDB has a lock on a row that is not committed yet: there the repair waits.
            await lock_wait(here)
        go_on.set()
        await creating
        assert (await repairing).deleted == (here.database.dialect.name == "postgresql")
    else:
        # One writer has no such thing; the outbox as it would be is made by hand.
        found = await here.etcd.get(stray)
        assert found is not None
        await here.create("Vpn", new)
        row = [(stray, None, found.mod_revision)]
        await here.database.write(lambda tx: here.outbox.add_if_unchanged(tx, row))
    async with relaying(here) as relay:
        await here.drained()
        assert relay.counters.batches <= 2
    assert (await here.value("Vpn", new))["name"] == "made"
    await agree(here)


async def test_keys_with_changes_on_their_way_are_skipped(here: Town) -> None:
    async with relaying(here):
        ids = await here.create_ports(3)
        await here.drained()
    await here.change("Port", ids[0], name="fresh")
    await here.delete("Port", ids[1])
    before = await here.depth()
    for counts in (await here.check(), await here.repair()):
        # The port and its owner, twice; all of a port's rows say the same of its owner here.
        assert (counts.waiting, counts.differences) == (3, 0)
    assert await here.depth() == before


async def test_two_repairs_at_once(here: Town) -> None:
    async with relaying(here) as relay:
        await here.create_ports(100)
        await here.drained()
        await here.etcd.delete_prefix(here.keys.objects())
        await here.etcd.put(here.key("Vpn", "stray"), b"{}")
        both = await asyncio.gather(here.repair(), here.repair())
        await here.drained()
        assert sum(c.differences for c in both) - relay.counters.overtaken == 101
        await agree(here)


async def test_repairs_beside_full_traffic(here: Town) -> None:
    """A follower sees no object go back; in the end all agree, the damage included."""
    chance = random.Random(20261122)
    losses, went_back = 0, []
    busy = True

    async def write() -> None:
        own: list[str] = []
        while busy:
            match chance.randrange(4):
                case 0 | 1 if len(own) < 40:
                    own.append(await here.create("Vpn"))
                case 2 if own:
                    await here.delete("Vpn", own.pop(chance.randrange(len(own))))
                case _ if own:
                    await here.change("Vpn", chance.choice(own), name=f"n{chance.random()}")

    async def damage() -> None:
        nonlocal losses
        while busy:
            items = (await here.etcd.list(here.keys.objects("acme", "Vpn"))).items
            if items:
                await here.etcd.delete(chance.choice(items).key)
                losses += 1
            await here.etcd.put(here.key("Vpn", f"stray-{losses}"), b"{}")
            await asyncio.sleep(0.02)

    async def follow(revision: int) -> None:
        seen: dict[str, tuple[str, int]] = {}
        async with here.etcd.watch(here.keys.objects("acme", "Vpn"), revision) as watch:
            async for batch in watch:
                for event in batch.events:
                    if not event.value or event.value == b"{}":
                        continue
                    document = msgspec.json.decode(event.value)
                    state = (document["created_at"], document["revision_number"])
                    if state < seen.get(event.key, ("", 0)):
                        went_back.append((event.key, seen[event.key], state))
                    seen[event.key] = state

    async with relaying(here):
        await here.drained()
        follower = asyncio.create_task(follow((await here.etcd.list(here.keys.prefix)).revision + 1))
        writers = [asyncio.create_task(write()) for _ in range(6)]
        breaking = asyncio.create_task(damage())
        for _ in range(6):
            await here.repair()
            await asyncio.sleep(0.1)
        busy = False
        await asyncio.gather(*writers, breaking)
        await here.repair()
        await here.drained()
        follower.cancel()
        assert went_back == []
        await agree(here)
    assert losses > 5
