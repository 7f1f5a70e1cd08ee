"""Watches that are interrupted: exactly the rest afterwards, or word that there is no such thing any more."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gluon.proton import feed, feeds
from gluon.proton.position import Position
from gluon.proton.web import watch
from proton.event_streams import Told, in_etcd, watching
from proton.serving import TENANT, Api, serving
from servers.etcd import EtcdServer

V1 = "/proton/net-l3vpn/v1.0/"


@pytest.fixture
async def api(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Api]:
    """A server with the bundled models; what is watched comes from etcd, so one database is enough."""
    async with serving(tmp_path, etcd_server.url, etcd_prefix) as running:
        running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
        yield running


@pytest.fixture
async def own_api(tmp_path: Path, own_etcd_server: EtcdServer) -> AsyncIterator[Api]:
    """A server with an etcd of its own."""
    async with serving(tmp_path, own_etcd_server.url, "") as running:
        running.http.base_url = running.http.base_url.join(V1)
        yield running


async def bulk(api: Api, count: int) -> list[dict[str, Any]]:
    """VPNs that come in one revision of etcd."""
    bodies = [{"tenant_id": TENANT, "name": f"vpn {n}"} for n in range(count)]
    created = (await api.request("POST", "vpns", 201, json={"vpns": bodies})).json()["vpns"]
    await in_etcd(api)
    return created


async def start(api: Api, **params: Any) -> str:
    """Where a watch is after its snapshot."""
    async with watching(api, **params) as stream:
        await stream.snapshot()
    assert stream.last_id is not None
    return stream.last_id


def seen(events: list[Told]) -> list[tuple[str, str, int]]:
    return [(e.name, e.data["id"], e.data["revision_number"]) for e in events]


class TestResume:
    async def test_from_every_event_in_the_midst_of_transactions(self, api: Api) -> None:
        begin = await start(api)
        first, second = await bulk(api, 5), await bulk(api, 3)
        async with watching(api, after=begin) as stream:
            events = await stream.take(8)
        assert {e.data["id"] for e in events} == {v["id"] for v in first + second}
        assert len({Position.parse(e.id).revision for e in events if e.id}) == 2
        assert [Position.parse(e.id or "").part for e in events] == [1, 2, 3, 4, 0, 1, 2, 0]
        for number, event in enumerate(events[:-1], 1):
            async with watching(api, after=event.id) as stream:
                assert seen(await stream.take(8 - number)) == seen(events[number:])

    async def test_with_other_filters_in_the_midst_of_a_transaction(self, api: Api) -> None:
        begin = await start(api, name="vpn 1")
        await bulk(api, 4)
        async with watching(api, after=begin, name="vpn 1") as stream:
            [event] = await stream.take(1)
        async with watching(api, after=event.id, name=["vpn 0", "vpn 2", "vpn 3"]) as stream:
            rest = await stream.take(4 - Position.parse(event.id or "").part)
        # Etcd tells a transaction's keys in an order of its own; what came before our event is not repeated.
        assert event.data["name"] not in {e.data["name"] for e in rest}

    async def test_a_bare_revision_and_the_header_before_the_parameter(self, api: Api) -> None:
        begin = await start(api)
        [one] = await bulk(api, 1)
        [two] = await bulk(api, 1)
        bare = str(Position.parse(begin).revision)
        async with watching(api, start_revision=bare) as stream:
            first, second = await stream.take(2)
        assert (first.data, second.data) == (one, two)
        async with watching(api, start_revision=bare, after=first.id) as stream:
            assert [e.data for e in await stream.take(1)] == [two]

    async def test_from_another_etcd_or_its_future_is_too_old(self, api: Api) -> None:
        now = Position.parse(await start(api))
        losses = api.server.feeds.etcd.history.losses
        for after in (Position((now.cluster_id or 0) ^ 1, now.revision), Position(None, 10**18)):
            async with watching(api, after=str(after)) as stream:
                [told] = await stream.until("TOO_OLD")
                assert await stream.next() is None
            assert (told.name, told.id, told.data["reason"]) == ("TOO_OLD", "", "history_lost")
        # What a client makes up must not make the server believe that etcd was wiped.
        assert api.server.feeds.etcd.history.losses == losses

    async def test_from_before_a_compaction_is_too_old(self, own_api: Api) -> None:
        begin = await start(own_api)
        await bulk(own_api, 1)
        listing = await own_api.etcd.list("/none")
        await own_api.etcd.compact(listing.revision)
        async with watching(own_api, after=begin) as stream:
            [told] = await stream.until("TOO_OLD")
            assert await stream.next() is None
        assert (told.id, told.data["reason"]) == ("", "compacted")
        again = f"{listing.cluster_id:x}-{listing.revision}"
        async with watching(own_api, after=again) as stream:
            [late] = await bulk(own_api, 1)
            assert [e.data for e in await stream.take(1)] == [late]

    async def test_random_changes_and_interruptions(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """However it is cut, a watcher ends with what the list has, having seen revisions in order."""
        monkeypatch.setattr(feed, "LOG_CHANGES", 7)
        monkeypatch.setattr(feeds, "_LOOK_BACK", 3)
        chance = random.Random(4711)
        there = {vpn["id"]: vpn for vpn in await bulk(api, 20)}
        done = asyncio.Event()

        async def change() -> None:
            for _ in range(80):
                key = chance.choice([None, None, *there])
                if key is None:
                    there.update({vpn["id"]: vpn for vpn in await self.some(api, chance.randint(1, 9))})
                elif chance.random() < 0.3:
                    await api.delete(f"vpns/{key}")
                    del there[key]
                else:
                    there[key] = await api.put(f"vpns/{key}", name=chance.choice("abc"))
            await in_etcd(api)
            done.set()

        async def follow(seed: int) -> int:
            own_chance = random.Random(seed)
            mirror: dict[str, Any] = {}
            after, interruptions = None, 0
            while not done.is_set() or mirror != there:
                async with watching(api, after=after) as stream:
                    if after is None:
                        mirror = {vpn["id"]: vpn for vpn in await stream.snapshot()}
                    for _ in range(own_chance.choice([1, 2, 3, 5, 20])):
                        try:
                            told = await stream.next(0.2 if done.is_set() else 5)
                        except TimeoutError:
                            break
                        if told is None:
                            break
                        assert told.name != "TOO_OLD"
                        apply(mirror, told)
                    after = stream.last_id
                interruptions += 1
            return interruptions

        async with asyncio.timeout(60):
            changing = asyncio.create_task(change())
            counts = await asyncio.gather(*[follow(seed) for seed in range(4)])
            await changing
        assert min(counts) > 5
        assert {vpn["id"]: vpn for vpn in (await api.get("vpns"))["vpns"]} == there

    @staticmethod
    async def some(api: Api, count: int) -> list[dict[str, Any]]:
        bodies = [{"tenant_id": TENANT, "name": "x"}] * count
        return (await api.request("POST", "vpns", 201, json={"vpns": bodies})).json()["vpns"]


def apply(mirror: dict[str, Any], told: Told) -> None:
    """Take an event into a mirror; fails for one that can't follow what the mirror has."""
    if told.name == "BOOKMARK":
        return
    key = told.data["id"]
    if told.name == "ADDED":
        assert key not in mirror, "added twice"
        mirror[key] = told.data
    elif told.name == "MODIFIED":
        assert told.data["revision_number"] > mirror[key]["revision_number"], "a revision went back"
        mirror[key] = told.data
    else:
        assert mirror.pop(key) == told.data, "deleted as it never was"


class TestSharing:
    async def test_watchers_of_a_collection_share_one_watch_of_etcd(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feeds, "LINGER", 0.2)
        counters = api.server.feeds.counters
        async with watching(api) as one, watching(api) as two, watching(api, "vpnafconfigs") as three:
            for stream in (one, two, three):
                await stream.snapshot()
            assert (counters.watchers, counters.feeds) == (3, 2)
            await bulk(api, 2)
            assert seen(await one.take(2)) == seen(await two.take(2))
            assert counters.events == 4
        async with asyncio.timeout(5):
            while counters.watchers or counters.feeds:
                await asyncio.sleep(0.02)

    async def test_there_are_only_so_many(
        self, tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
    ) -> None:
        async with serving(tmp_path, etcd_server.url, etcd_prefix, max_watchers=1) as api:
            api.http.base_url = api.http.base_url.join(V1)
            async with watching(api) as stream:
                await stream.snapshot()
                refused = await api.request("GET", "vpns?watch", 503)
                assert refused.headers["Retry-After"]
                assert "1" in refused.json()["detail"]
            async with asyncio.timeout(5):
                while api.server.feeds.counters.watchers:
                    await asyncio.sleep(0.02)
            async with watching(api) as stream:
                await stream.snapshot()


class TestSlowReaders:
    SIZE = 100_000
    """Bytes of an object: more of them than sockets and buffers hold are soon written."""

    async def write(self, api: Api, numbers: range) -> None:
        prefix = api.keys.objects("net-l3vpn", "VpnService")
        for number in numbers:
            value = {"id": f"{number:03}", "description": "x" * self.SIZE}
            await api.etcd.put(f"{prefix}{number:03}", msgspec.json.encode(value))

    @staticmethod
    async def connect(api: Api, after: str) -> socket.socket:
        """A client that takes little at a time, and nothing unasked."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", api.http.base_url.port))
        request = f"GET {V1}vpns?watch HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {after}\r\n\r\n"
        await loop.sock_sendall(client, request.encode())
        return client

    @staticmethod
    async def rest(client: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()
        received = bytearray()
        while chunk := await loop.sock_recv(client, 1 << 20):
            received += chunk
        return bytes(received)

    async def test_one_that_takes_nothing_is_hung_up_on(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch, "STALLED", 0.5)
        monkeypatch.setattr(feed, "LOG_BYTES", 1_000_000)
        counters = api.server.feeds.counters
        begin = await start(api)
        client = await self.connect(api, begin)
        try:
            async with watching(api, after=begin) as swift:
                events, _ = await asyncio.gather(swift.take(80), self.write(api, range(80)))
                async with asyncio.timeout(10):
                    while counters.watchers > 1:
                        await asyncio.sleep(0.05)
                shared = next(iter(api.server.feeds._shared.values()))
                assert shared.feed.size <= 1_000_000
            assert counters.dropped == 1
            assert [e.data["id"] for e in events] == [f"{n:03}" for n in range(80)]
        finally:
            client.close()

    async def test_one_that_takes_nothing_does_not_keep_a_server_from_stopping(
        self, tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
    ) -> None:
        async with serving(tmp_path, etcd_server.url, etcd_prefix) as api:
            api.http.base_url = api.http.base_url.join(V1)
            begin = await start(api)
            client = await self.connect(api, begin)
            async with watching(api, after=begin) as swift:
                await asyncio.gather(swift.take(80), self.write(api, range(80)))
            began = time.monotonic()
        assert time.monotonic() - began < watch.STALLED / 2
        client.close()

    async def test_one_that_comes_too_late_goes_on_where_it_was(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feed, "LOG_CHANGES", 5)
        begin = await start(api)
        client = await self.connect(api, begin)
        try:
            async with watching(api, after=begin) as swift:
                await asyncio.gather(swift.take(80), self.write(api, range(80)))
            async with asyncio.timeout(10):
                received = await self.rest(client)
        except ConnectionResetError as error:
            raise AssertionError("it was to end in order") from error
        finally:
            client.close()
        assert received.endswith(b"0\r\n\r\n")
        ids = [line.removeprefix(b"id: ").decode() for line in received.split(b"\n") if line[:4] == b"id: "]
        assert 0 < len(ids) < 80
        assert api.server.feeds.counters.dropped == 1
        async with watching(api, after=ids[-1]) as stream:
            rest = await stream.take(80 - len(ids))
        assert [e.data["id"] for e in rest] == [f"{n:03}" for n in range(len(ids), 80)]


class TestTrouble:
    async def test_a_stream_outlives_an_etcd_that_is_away(
        self, own_api: Api, own_etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch, "KEEP_ALIVE", 0.2)
        async with watching(own_api) as stream:
            await stream.snapshot()
            own_etcd_server.kill()
            await stream.quiet(1.0)
            assert "nothing new" in stream.comments
            away = await own_api.request("GET", "vpns?watch", 503)
            assert away.headers["Retry-After"] and "etcd" in away.json()["detail"]

    async def test_changes_made_while_etcd_was_away_come_after_it(
        self, own_api: Api, own_etcd_server: EtcdServer
    ) -> None:
        async with watching(own_api) as stream:
            await stream.snapshot()
            own_etcd_server.kill()
            created = await own_api.create("vpns", tenant_id=TENANT, name="a")
            own_etcd_server.start()
            [told] = await stream.take(1)
            assert (told.name, told.data) == ("ADDED", created)

    async def test_a_wiped_etcd_means_that_all_must_list_again(
        self, own_api: Api, own_etcd_server: EtcdServer
    ) -> None:
        await bulk(own_api, 1)
        async with watching(own_api) as stream:
            await stream.snapshot()
            own_etcd_server.kill()
            own_etcd_server.wipe()
            own_etcd_server.start()
            [told] = await stream.until("TOO_OLD")
            assert (told.id, told.data["reason"]) == ("", "history_lost")
            assert await stream.next() is None

    async def test_silence_is_filled_with_bookmarks_of_what_others_did(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch, "KEEP_ALIVE", 0.2)
        async with watching(api, name="mine") as stream:
            await stream.snapshot()
            before = Position.parse(stream.last_id or "").revision
            await bulk(api, 1)
            [told] = await stream.take(1)
        assert told.name == "BOOKMARK" and "snapshot_complete" not in told.data
        assert told.data["revision"] == Position.parse(told.id or "").revision > before

    async def test_streams_end_some_day(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watch, "LIFETIME", 0.3)
        async with watching(api) as stream:
            await stream.snapshot()
            assert await stream.next() is None

    async def test_a_server_that_stops_ends_its_streams_at_once(
        self, tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
    ) -> None:
        loop = asyncio.get_running_loop()
        async with serving(tmp_path, etcd_server.url, etcd_prefix) as api:
            reader, writer = await asyncio.open_connection("127.0.0.1", api.http.base_url.port)
            writer.write(f"GET {V1}vpns?watch HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await reader.readuntil(b"snapshot_complete")
            began = loop.time()
        assert loop.time() - began < 3
        assert (await reader.read()).endswith(b"0\r\n\r\n")
        writer.close()
