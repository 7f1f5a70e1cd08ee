"""Watching collections over HTTP, from a real etcd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proton.event_streams import in_etcd, watching
from proton.serving import TENANT, Api, port, serving
from proton.test_policy import ADMIN, MEMBER, MINE, OTHER_MEMBER, OTHERS, ByHeader
from servers.etcd import EtcdServer


@pytest.fixture
async def api(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Api]:
    """A server with the bundled models; what is watched comes from etcd, so one database is enough."""
    async with serving(tmp_path, etcd_server.url, etcd_prefix) as running:
        running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
        yield running


async def some_vpns(api: Api, *names: str) -> list[dict[str, Any]]:
    """New VPNs, which are in etcd: a change before that would be one with the creation for watchers."""
    bodies = [{"tenant_id": TENANT, "name": name} for name in names]
    created = (await api.request("POST", "vpns", 201, json={"vpns": bodies})).json()["vpns"]
    await in_etcd(api)
    return created


async def rename(api: Api, vpn: dict[str, Any], name: str) -> dict[str, Any]:
    changed = await api.put(f"vpns/{vpn['id']}", name=name)
    await in_etcd(api)
    return changed


class TestFromASnapshot:
    async def test_it_begins_with_what_is_there_and_goes_on_with_what_changes(self, api: Api) -> None:
        there = await some_vpns(api, "a", "b")
        async with watching(api) as stream:
            assert sorted(await stream.snapshot(), key=lambda v: v["name"]) == there
            [new] = await some_vpns(api, "c")
            changed = await rename(api, new, "d")
            await api.delete(f"vpns/{there[0]['id']}")
            added, modified, deleted = await stream.take(3)
        assert (added.name, added.data) == ("ADDED", new)
        assert (modified.name, modified.data) == ("MODIFIED", changed)
        assert (deleted.name, deleted.data) == ("DELETED", there[0])
        headers = stream.answer.headers
        assert headers["Cache-Control"] == "no-store" and headers["X-Accel-Buffering"] == "no"

    async def test_a_snapshot_of_many_pages_is_whole(self, api: Api) -> None:
        for _ in range(3):
            await some_vpns(api, *[f"vpn {n}" for n in range(90)])
        async with watching(api) as stream:
            found = {vpn["id"]: vpn for vpn in await stream.snapshot()}
        assert found == {vpn["id"]: vpn for vpn in (await api.get("vpns"))["vpns"]}

    async def test_documents_are_those_of_the_api(self, api: Api) -> None:
        created = await api.create("ports", **port())
        await in_etcd(api)
        async with watching(api, "ports") as stream:
            [shown] = await stream.snapshot()
            # Nobody binds here; the port says so when the time is up, and has a bind id for its shim.
            bound = await api.put(f"ports/{created['id']}", host_id="h", device_id=TENANT)
            assert bound["vif_type"] == "binding_failed"
            waiting, failed = await stream.take(2)
        assert shown == created and list(shown) == list(created)
        assert waiting.data["status"] == "DOWN" and failed.data == bound

    async def test_children_of_one_parent(self, api: Api) -> None:
        one, two = [await api.create("ports", **port()) for _ in range(2)]
        await in_etcd(api)
        async with watching(api, f"ports/{one['id']}/interfaces") as stream:
            assert [i["id"] for i in await stream.snapshot()] == [one["id"]]
            body = {"tenant_id": TENANT, "segmentation_type": "vlan"}
            await api.create(f"ports/{two['id']}/interfaces", **body, segmentation_id=1)
            ours = await api.create(f"ports/{one['id']}/interfaces", **body, segmentation_id=2)
            await in_etcd(api)
            await api.delete(f"ports/{one['id']}?cascade=true")
            added, *gone = await stream.take(3)
        assert (added.name, added.data) == ("ADDED", ours)
        assert {(e.name, e.data["id"]) for e in gone} == {("DELETED", one["id"]), ("DELETED", ours["id"])}

    async def test_other_ways_to_ask(self, api: Api) -> None:
        """No value means true, false means a list; HEAD tells the headers and ends."""
        await some_vpns(api, "a")
        async with watching(api, watch="") as stream:
            assert len(await stream.snapshot()) == 1
        assert len((await api.get("vpns", watch="false"))["vpns"]) == 1

        answer = await api.request("HEAD", "vpns?watch", 200)
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert api.server.feeds.counters.opened == 1


class TestFiltersAndFields:
    async def test_an_object_that_leaves_the_filter_is_deleted_and_one_that_enters_added(
        self, api: Api
    ) -> None:
        inside, outside = await some_vpns(api, "in", "out")
        async with watching(api, name="in") as stream:
            assert await stream.snapshot() == [inside]
            left = await rename(api, inside, "out")
            entered = await rename(api, outside, "in")
            await rename(api, left, "elsewhere")
            deleted, added = await stream.take(2)
            await stream.quiet()
        assert (deleted.name, deleted.data) == ("DELETED", inside)
        assert (added.name, added.data) == ("ADDED", entered)

    async def test_filters_choose_what_a_list_has(self, api: Api) -> None:
        bodies = [{"tenant_id": TENANT, "name": name} for name in ("a", "b", "", None)]
        await api.request("POST", "vpns", 201, json={"vpns": bodies})
        await in_etcd(api)
        queries: list[tuple[dict[str, Any], set[str | None]]] = [
            ({"name": ["a", "b"]}, {"a", "b"}),
            ({"name": ""}, {None, ""}),
            ({"tenant_id": TENANT.upper()}, {"a", "b", "", None}),
            ({"tenant_id": OTHERS}, set()),
            ({"attr:name": "a"}, {"a"}),
        ]
        for query, names in queries:
            async with watching(api, **query) as stream:
                assert {vpn["name"] for vpn in await stream.snapshot()} == names, query
            assert {vpn["name"] for vpn in (await api.get("vpns", **query))["vpns"]} == names, query

    async def test_fields_choose_what_is_shown_and_what_counts_as_a_change(self, api: Api) -> None:
        [vpn] = await some_vpns(api, "a")
        async with watching(api, fields="name,id") as stream:
            assert await stream.snapshot() == [{"id": vpn["id"], "name": "a"}]
            await api.put(f"vpns/{vpn['id']}", description="unseen")
            await rename(api, vpn, "b")
            [told] = await stream.take(1)
            await stream.quiet()
        assert (told.name, told.data) == ("MODIFIED", {"id": vpn["id"], "name": "b"})

    async def test_wrong_parameters_are_named(self, api: Api) -> None:
        for query, fields in (
            ("limit=1&sort_key=name", ["limit", "sort_key"]),
            ("marker=x", ["marker"]),
            ("sort_dir=asc", ["sort_dir"]),
            ("limit=1&nme=x", ["limit", "nme"]),
            ("fields=nme", ["fields"]),
            ("start_revision=x", ["start_revision"]),
        ):
            answer = await api.request("GET", f"vpns?watch&{query}", 400)
            assert sorted(e["field"] for e in answer.json()["errors"]) == fields
        assert (await api.get("vpns", 400, watch="maybe"))["errors"][0]["field"] == "watch"
        assert (await api.get("vpns", 400, start_revision="1"))["errors"][0]["field"] == "start_revision"
        answer = await api.request("GET", "vpns?watch", 400, headers={"Last-Event-ID": "what"})
        assert answer.json()["errors"][0]["field"] == "Last-Event-ID"
        # etcd's first revision is 1.
        for nonsense in ("0.1", "1-0.1", "1.x", "-1"):
            answer = await api.request("GET", "vpns?watch", 400, headers={"Last-Event-ID": nonsense})
            assert answer.json()["errors"][0]["field"] == "Last-Event-ID"


class TestTenants:
    @pytest.fixture
    async def api(self, tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Api]:
        async with serving(tmp_path, etcd_server.url, etcd_prefix, auth=ByHeader()) as running:
            running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
            yield running

    @staticmethod
    async def change(api: Api, method: str, path: str, expect: int, caller: Any, **body: Any) -> Any:
        answer = await api.request(method, path, expect, headers=caller, json=body or None)
        await in_etcd(api)
        return answer.json() if answer.content else None

    async def test_tenants_are_told_of_their_own_only(self, api: Api) -> None:
        async with watching(api, headers=MEMBER) as mine, watching(api, headers=OTHER_MEMBER) as others:
            assert await mine.snapshot() == await others.snapshot() == []
            made = await self.change(api, "POST", "vpns", 201, MEMBER, name="a")
            path = f"vpns/{made['id']}"
            await self.change(api, "PUT", path, 200, MEMBER, name="b")
            await self.change(api, "DELETE", path, 204, MEMBER)
            assert [e.name for e in await mine.take(3)] == ["ADDED", "MODIFIED", "DELETED"]
            await others.quiet()

    async def test_an_object_that_changes_hands_goes_here_and_comes_there(self, api: Api) -> None:
        made = await self.change(api, "POST", "vpns", 201, MEMBER, name="a")
        async with (
            watching(api, headers=MEMBER) as mine,
            watching(api, headers=OTHER_MEMBER) as others,
            watching(api, headers=ADMIN) as all_of_them,
        ):
            assert await mine.snapshot() == await all_of_them.snapshot() == [made]
            assert await others.snapshot() == []
            path = f"vpns/{made['id']}"
            given = await self.change(api, "PUT", path, 200, ADMIN, tenant_id=OTHERS, name="theirs")
            await self.change(api, "DELETE", path, 204, ADMIN)
            [gone] = await mine.take(1)
            come, deleted = await others.take(2)
            modified, deleted_too = await all_of_them.take(2)
            await mine.quiet()
        # The old owner sees what was its own, and nothing of what the object has become.
        assert (gone.name, gone.data) == ("DELETED", made)
        assert (come.name, come.data) == ("ADDED", given)
        assert (deleted.name, deleted.data) == ("DELETED", given) == (deleted_too.name, deleted_too.data)
        assert (modified.name, modified.data) == ("MODIFIED", given)

    async def test_a_resume_from_before_the_change_of_hands_tells_the_same(self, api: Api) -> None:
        made = await self.change(api, "POST", "vpns", 201, MEMBER, name="a")
        async with watching(api, headers=MEMBER) as mine:
            await mine.snapshot()
        path = f"vpns/{made['id']}"
        given = await self.change(api, "PUT", path, 200, ADMIN, tenant_id=OTHERS)
        async with watching(api, after=mine.last_id, headers=MEMBER) as again:
            assert [(e.name, e.data) for e in await again.take(1)] == [("DELETED", made)]
        async with watching(api, after=mine.last_id, headers=OTHER_MEMBER) as others:
            assert [(e.name, e.data) for e in await others.take(1)] == [("ADDED", given)]

    async def test_who_may_not_list_may_not_watch(self, api: Api) -> None:
        mine = await self.change(api, "POST", "ports", 201, MEMBER, **port(tenant_id=MINE))
        path = f"ports/{mine['id']}/interfaces?watch"
        await api.request("GET", path, 404, headers=OTHER_MEMBER)
        await api.request("GET", "vpns?watch", 401)
        async with watching(api, f"ports/{mine['id']}/interfaces", headers=MEMBER) as stream:
            assert len(await stream.snapshot()) == 1
