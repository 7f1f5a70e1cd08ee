"""Objects over HTTP: create, read, change, delete, and what the server keeps by itself."""

from __future__ import annotations

import asyncio
import re
import uuid
from pathlib import Path
from urllib.parse import quote

from proton.serving import TENANT, Api, port, serving
from servers.etcd import EtcdServer

VPN = {"tenant_id": TENANT, "name": "TestVPN", "ipv4_family": "1000:1000", "description": "My Test VPN"}
CONFIG = {"tenant_id": TENANT, "vrf_rt_type": "both"}


async def test_create_answers_with_the_stored_object_and_where_it_is(api: Api) -> None:
    answer = await api.request("POST", "vpns", 201, json=VPN)
    created = answer.json()
    assert created == VPN | {
        "id": created["id"],
        "ipv6_family": None,
        "route_distinguishers": None,
        "created_at": created["created_at"],
        "updated_at": created["created_at"],
        "revision_number": 1,
    }
    assert uuid.UUID(created["id"]).version == 4
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", created["created_at"])
    assert answer.headers["Location"].endswith(f"/proton/net-l3vpn/v1.0/vpns/{created['id']}")
    assert (await api.http.get(answer.headers["Location"])).json() == created


async def test_of_concurrent_changes_at_one_revision_one_wins(api: Api) -> None:
    created = await api.create("vpns", **VPN)
    answers = await asyncio.gather(
        *[
            api.request("PUT", f"vpns/{created['id']}", json={"name": f"n{i}"}, headers={"If-Match": '"1"'})
            for i in range(20)
        ]
    )
    assert sorted(a.status_code for a in answers) == [200] + [412] * 19
    assert (await api.get(f"vpns/{created['id']}"))["revision_number"] == 2


async def test_put_and_patch_change_what_they_give_and_nothing_else(api: Api) -> None:
    created = await api.create("vpns", **VPN)
    for method, revision in (("PUT", 2), ("PATCH", 3)):
        answer = await api.request(method, f"vpns/{created['id']}", 200, json={"name": method})
        expected = created | {"name": method, "revision_number": revision}
        assert answer.json() == expected | {"updated_at": answer.json()["updated_at"]}
        assert answer.json()["updated_at"] > created["updated_at"]


async def test_null_clears_an_attribute(api: Api) -> None:
    created = await api.create("vpns", **VPN)
    assert (await api.put(f"vpns/{created['id']}", description=None))["description"] is None


async def test_a_change_that_changes_nothing_keeps_the_revision(api: Api) -> None:
    created = await api.create("vpns", **VPN)
    assert await api.put(f"vpns/{created['id']}", **created) == created


async def test_what_the_server_keeps_is_not_for_writing(api: Api) -> None:
    created = await api.create("vpns", **VPN)
    answer = await api.request("PUT", f"vpns/{created['id']}", 422, json={"revision_number": 7, "id": "x"})
    assert [e["field"] for e in answer.json()["errors"]] == ["id"]
    answer = await api.request(
        "PUT", f"vpns/{created['id']}", 422, json={"revision_number": 7, "id": str(uuid.uuid4())}
    )
    assert {e["field"] for e in answer.json()["errors"]} == {"id", "revision_number"}
    assert await api.get(f"vpns/{created['id']}") == created


async def test_delete_takes_the_object_away(api: Api) -> None:
    created = await api.create("vpns", **VPN)
    await api.delete(f"vpns/{created['id']}")
    for method in ("GET", "PUT", "DELETE"):
        await api.request(method, f"vpns/{created['id']}", 404, json={} if method == "PUT" else None)


async def test_two_spellings_of_a_uuid_are_one_object(api: Api) -> None:
    spelt = "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"
    created = await api.create("vpns", **VPN, id=spelt)
    assert created["id"] == spelt.lower()
    for other in (spelt, spelt.lower(), spelt.replace("-", "")):
        assert (await api.get(f"vpns/{other}"))["id"] == created["id"]
        await api.request("POST", "vpns", 409, json=VPN | {"id": other})


async def test_keys_of_any_text_are_addressed_percent_encoded(api: Api) -> None:
    for key in ("1000:1000", "a/b", "50%", "ä ö", "a?b#c", "x;y=1"):
        created = await api.create("vpnafconfigs", **CONFIG, vrf_rt_value=key)
        assert created["vrf_rt_value"] == key
        path = f"vpnafconfigs/{quote(key, safe='')}"
        assert (await api.http.get(path)).json() == created
        await api.delete(path)


async def test_bulk_create_is_all_or_nothing(api: Api) -> None:
    bodies = [VPN | {"name": f"vpn{i}"} for i in range(3)]
    created = (await api.request("POST", "vpns", 201, json={"vpns": bodies})).json()["vpns"]
    assert [c["name"] for c in created] == ["vpn0", "vpn1", "vpn2"]
    bodies[1] = {"name": 7, "colour": "red"}
    answer = await api.request("POST", "vpns", 422, json={"vpns": bodies})
    assert {e["field"] for e in answer.json()["errors"]} == {
        "vpns[1].name",
        "vpns[1].colour",
        "vpns[1].tenant_id",
    }
    taken = [VPN, VPN | {"id": created[0]["id"]}]
    await api.request("POST", "vpns", 409, json={"vpns": taken})
    assert len((await api.get("vpns"))["vpns"]) == 3
    assert (await api.request("POST", "vpns", 201, json={"vpns": []})).json() == {"vpns": []}


async def test_children_are_found_under_their_parent_and_under_no_other(api: Api) -> None:
    first, second = [await api.create("ports", **port(name=n)) for n in ("a", "b")]
    body = {"tenant_id": TENANT, "name": "v7", "segmentation_type": "vlan", "segmentation_id": 7}
    child = await api.create(f"ports/{first['id']}/interfaces", **body)
    assert child["port_id"] == first["id"]
    assert await api.get(f"ports/{first['id']}/interfaces/{child['id']}") == child
    await api.get(f"ports/{second['id']}/interfaces/{child['id']}", expect=404)
    await api.request("DELETE", f"ports/{second['id']}/interfaces/{child['id']}", 404)
    names = [i["name"] for i in (await api.get(f"ports/{first['id']}/interfaces"))["interfaces"]]
    assert sorted(names) == ["a_default", "v7"]
    await api.get(f"ports/{uuid.uuid4()}/interfaces", expect=404)
    await api.request("POST", f"ports/{uuid.uuid4()}/interfaces", 404, json=body)
    wrong = await api.request(
        "POST", f"ports/{first['id']}/interfaces", 422, json=body | {"port_id": second["id"]}
    )
    assert wrong.json()["errors"][0]["field"] == "port_id"
    await api.delete(f"ports/{first['id']}/interfaces/{child['id']}")


async def test_every_wrong_field_is_named_at_once_references_too(api: Api) -> None:
    body = {
        "interface_id": str(uuid.uuid4()),
        "service_id": str(uuid.uuid4()),
        "ipaddress": "10.0.0.999",
        "subnet_prefix": 77,
        "colour": "red",
    }
    answer = await api.request("POST", "vpnbindings", 422, json=body)
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert {e["field"] for e in problem["errors"]} == {*body, "tenant_id"}
    assert problem["status"] == 422 and problem["request_id"] == answer.headers["X-Openstack-Request-Id"]


async def test_a_reference_to_what_is_not_there_is_refused(api: Api) -> None:
    created = await api.create("ports", **port())
    vpn = await api.create("vpns", **VPN)
    body = {"tenant_id": TENANT, "interface_id": created["id"], "service_id": vpn["id"]}
    await api.create("vpnbindings", **body)
    missing = str(uuid.uuid4())
    answer = await api.request("PUT", f"vpnbindings/{created['id']}", 422, json={"service_id": missing})
    assert answer.json()["errors"] == [{"field": "service_id", "message": f"there is no vpn {missing}"}]


async def test_deleting_what_others_refer_to_lists_them_and_cascade_takes_them_along(api: Api) -> None:
    created = await api.create("ports", **port())
    vpn = await api.create("vpns", **VPN)
    await api.create("vpnbindings", tenant_id=TENANT, interface_id=created["id"], service_id=vpn["id"])
    for path in (f"vpns/{vpn['id']}", f"ports/{created['id']}"):
        problem = (await api.delete(path, expect=409)).json()
        assert [(r["object"], r["key"]) for r in problem["referrers"]] == [("VpnBinding", created["id"])]
        assert (await api.http.get(problem["referrers"][0]["href"])).status_code == 200
    await api.delete(f"ports/{created['id']}?cascade=true")
    for collection in ("ports", "interfaces", "vpnbindings"):
        assert (await api.get(collection))[collection] == []
    await api.delete(f"vpns/{vpn['id']}")


async def test_a_bulk_create_beyond_the_largest_is_refused(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with serving(tmp_path, etcd_server.url, etcd_prefix, max_bulk=2) as api:
        body = {"vpns": [VPN] * 3}
        problem = (await api.request("POST", "/proton/net-l3vpn/v1.0/vpns", 422, json=body)).json()
        assert problem["errors"][0]["field"] == "vpns"


async def test_of_very_many_wrong_fields_a_hundred_are_named(api: Api) -> None:
    problem = (await api.request("POST", "vpns", 422, json={"vpns": [7] * 1000})).json()
    assert len(problem["errors"]) == 100
    assert problem["errors"][0]["field"] == "vpns[0]"
