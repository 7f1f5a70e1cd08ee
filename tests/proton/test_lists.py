"""Lists over HTTP: pages, sorting, filters, fields, and a number of queries that doesn't grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gluon.store.networked import NetworkedTransaction
from gluon.store.sqlite_connection import SqliteTransaction
from proton.serving import TENANT, Api, serving
from servers.etcd import EtcdServer

OTHER = "11111111-2222-3333-4444-555555555555"


async def some_vpns(api: Api, *names: str | None, **further: Any) -> None:
    bodies = [{"tenant_id": TENANT, "name": name, **further} for name in names]
    await api.request("POST", "vpns", 201, json={"vpns": bodies})


async def names_of(api: Api, **params: Any) -> list[str | None]:
    return [vpn["name"] for vpn in (await api.get("vpns", **params))["vpns"]]


async def test_pages_follow_each_other_by_their_next_links(api: Api) -> None:
    await some_vpns(api, *[f"vpn{i}" for i in range(7)])
    everything = (await api.get("vpns"))["vpns"]
    assert "vpns_links" not in await api.get("vpns")
    found, url, pages = [], "vpns?limit=3", 0
    while url:
        page = (await api.request("GET", url, 200)).json()
        found += page["vpns"]
        pages += 1
        links = page.get("vpns_links", [])
        assert all(link["rel"] == "next" for link in links)
        url = links[0]["href"] if links else ""
    assert found == everything and pages == 3


async def test_a_page_may_begin_after_an_object_that_is_gone(api: Api) -> None:
    await some_vpns(api, "a", "b", "c")
    vpns = (await api.get("vpns"))["vpns"]
    await api.delete(f"vpns/{vpns[1]['id']}")
    rest = (await api.get("vpns", marker=vpns[1]["id"]))["vpns"]
    assert [v["id"] for v in rest] == [vpns[2]["id"]]
    problem = await api.get("vpns", expect=400, marker=vpns[1]["id"], sort_key="name")
    assert problem["errors"][0]["field"] == "marker"


async def test_sorting_by_several_attributes_with_nulls(api: Api) -> None:
    await some_vpns(api, "b", "a", None, description="x")
    await some_vpns(api, "a", "c", description="y")
    params = {"sort_key": ["description", "name"], "sort_dir": ["desc", "asc"]}
    assert await names_of(api, **params) == ["a", "c", None, "a", "b"]
    assert await names_of(api, sort_key="description,name", sort_dir="desc,asc") == ["a", "c", None, "a", "b"]


async def test_filters_compare_by_type_and_several_values_mean_or(api: Api) -> None:
    await some_vpns(api, "a", "b", None)
    assert await names_of(api, name="a") == ["a"]
    assert sorted(n or "" for n in await names_of(api, name=["a", "b"])) == ["a", "b"]
    assert await names_of(api, name="A") == []
    assert await names_of(api, name="") == [None]
    assert len(await names_of(api, tenant_id="A868A466-BCA8-4DF1-8404-A77DB0ECAC72")) == 3
    assert await names_of(api, tenant_id=OTHER) == []
    assert await names_of(api, **{"attr:name": "a"}) == ["a"]


async def test_fields_choose_what_is_shown(api: Api) -> None:
    await some_vpns(api, "a")
    (shown,) = (await api.get("vpns", fields="name,revision_number"))["vpns"]
    assert shown == {"name": "a", "revision_number": 1}
    whole = (await api.get("vpns"))["vpns"][0]
    assert await api.get(f"vpns/{whole['id']}", fields=["id", "name"]) == {"id": whole["id"], "name": "a"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("nme=x", "nme"),
        ("sort_key=nme", "sort_key"),
        ("sort_dir=up", "sort_dir"),
        ("fields=nme", "fields"),
        ("marker=x", "marker"),
        ("tenant_id=x", "tenant_id"),
        ("watch=maybe", "watch"),
        ("start_revision=1", "start_revision"),
        ("dry_run=true", "dry_run"),
        ("&".join(["sort_key=name"] * 9), "sort_key"),
    ],
)
async def test_wrong_parameters_are_named(api_on_sqlite: Api, query: str, field: str) -> None:
    answer = await api_on_sqlite.request("GET", f"vpns?{query}", 400)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [e["field"] for e in answer.json()["errors"]] == [field]


async def test_a_limit_beyond_the_largest_is_cut_to_it(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with serving(tmp_path, etcd_server.url, etcd_prefix, max_limit=2) as api:
        api.http.base_url = api.http.base_url.join("/proton/net-l3vpn/v1.0/")
        await some_vpns(api, "a", "b", "c")
        for params in ({}, {"limit": 50}):
            page = await api.get("vpns", **params)
            assert len(page["vpns"]) == 2 and page["vpns_links"]


async def test_the_number_of_queries_does_not_grow_with_the_list(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Any] = []
    transactions = (SqliteTransaction, NetworkedTransaction)
    fetches = {kind: kind.fetch for kind in transactions}

    async def counting(self: Any, statement: Any, parameters: Any = ()) -> Any:
        counted.append(statement)
        return await fetches[type(self)](self, statement, parameters)

    async def queries() -> int:
        await api.get("/healthcheck")
        counted.clear()
        await api.get("vpns", name=["a", "b"], sort_key="name")
        return sum("vpnservice" in s.text.lower() for s in counted)

    await some_vpns(api, "a")
    for kind in transactions:
        monkeypatch.setattr(kind, "fetch", counting)
    few = await queries()
    await some_vpns(api, *["b"] * 200)
    assert 0 < await queries() == few
