"""The SDK against a real server: services, objects by any of their names, pages, preconditions."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from client.answering import Environ, answering
from client.specimens import TENANT
from gluon.client.errors import (
    Changed,
    Conflict,
    InvalidFields,
    InvalidRequest,
    NotFound,
    UnexpectedAnswer,
)
from gluon.client.sdk import Client, Proton, Service

PORT = {
    "mac_address": "c8:2a:14:04:43:80",
    "mtu": 1500,
    "admin_state_up": True,
    "vlan_transparency": False,
    "vnic_type": "normal",
    "status": "ACTIVE",
    "tenant_id": TENANT,
}


@pytest.fixture
def client(server_url: str) -> Iterator[Client]:
    with Client(server_url) as client:
        yield client


@pytest.fixture
def l3vpn(client: Client) -> Proton:
    return client.proton("net-l3vpn")


def test_services_and_versions_are_told(client: Client) -> None:
    assert Service("net-l3vpn", "CURRENT") in client.services()
    versions = client.versions("net-l3vpn")
    assert versions.default in versions.served
    with pytest.raises(NotFound):
        client.proton("no-such-service")


@pytest.mark.parametrize("version", ["1.0", "v1.0"])
def test_a_version_may_be_named(client: Client, version: str) -> None:
    assert client.proton("net-l3vpn", version).model.version_id == "v1.0"


def test_the_model_is_the_servers(l3vpn: Proton) -> None:
    port = l3vpn.model.port
    assert port is not None
    assert port.attributes["vnic_type"].values[0] == "normal"


@pytest.mark.parametrize("name", ["Port", "port", "ports"])
def test_an_object_goes_by_any_of_its_names(l3vpn: Proton, name: str) -> None:
    port = l3vpn.create(name, PORT)
    assert l3vpn.get(name, port["id"]) == port
    l3vpn.delete(name, port["id"])


def test_an_object_that_the_model_lacks_is_answered_with_the_nearest(l3vpn: Proton) -> None:
    with pytest.raises(InvalidRequest, match="did you mean ports"):
        l3vpn.get("prots", "x")


def test_a_key_may_be_spelt_in_another_way(l3vpn: Proton) -> None:
    port = l3vpn.create("port", PORT)
    assert l3vpn.get("port", port["id"].replace("-", "").upper()) == port


def test_several_are_created_or_none(l3vpn: Proton) -> None:
    name = str(uuid.uuid4())
    with pytest.raises(InvalidFields) as caught:
        l3vpn.create_many("vpns", [{"name": name, "tenant_id": TENANT}, {"name": name, "tenant_id": 5}])
    assert [e.field for e in caught.value.errors] == ["vpns[1].tenant_id"]
    assert list(l3vpn.list("vpns", name=name)) == []
    made = l3vpn.create_many("vpns", [{"name": name, "tenant_id": TENANT}] * 2)
    assert {v["id"] for v in made} == {v["id"] for v in l3vpn.list("vpns", name=name)}


def test_pages_are_asked_for_as_they_are_needed(l3vpn: Proton) -> None:
    tenant = str(uuid.uuid4())
    l3vpn.create_many("vpns", [{"name": f"{n}", "tenant_id": tenant} for n in range(10)])
    vpns = l3vpn.list("vpns", tenant_id=tenant, sort_key="name")
    first = [v["name"] for v in itertools.islice(vpns, 2)]
    # An object made after the first page was read is still in a later one.
    l3vpn.create("vpns", {"name": "95", "tenant_id": tenant})
    assert first + [v["name"] for v in vpns] == [*map(str, range(10)), "95"]


def test_filters_by_null_by_several_values_and_by_types(l3vpn: Proton) -> None:
    tenant = str(uuid.uuid4())
    ports = l3vpn.create_many(
        "ports",
        [PORT | {"tenant_id": tenant, "mtu": 1400 + n, "device_id": None if n else TENANT} for n in range(3)],
    )
    ids = [p["id"] for p in ports]

    def found(**filters: Any) -> set[str]:
        return {p["id"] for p in l3vpn.list("ports", tenant_id=tenant, **filters)}

    assert found(mtu=1401) == {ids[1]}
    assert found(mtu=[1400, 1402]) == {ids[0], ids[2]}
    assert found(device_id=None) == set(ids[1:])
    assert found(vlan_transparency=True) == set()
    assert found(admin_state_up=True) == set(ids)


def test_an_update_of_what_has_changed_meanwhile_is_refused(l3vpn: Proton) -> None:
    vpn = l3vpn.create("vpn", {"tenant_id": TENANT})
    changed = l3vpn.update("vpn", vpn["id"], {"name": "x"}, revision=vpn["revision_number"])
    with pytest.raises(Changed):
        l3vpn.update("vpn", vpn["id"], {"name": "y"}, revision=vpn["revision_number"])
    with pytest.raises(Changed):
        l3vpn.delete("vpn", vpn["id"], revision=vpn["revision_number"])
    l3vpn.delete("vpn", vpn["id"], revision=changed["revision_number"])


def test_a_dry_run_returns_or_raises_what_a_write_would_and_does_nothing(l3vpn: Proton) -> None:
    vpn = l3vpn.create("vpn", {"tenant_id": TENANT, "name": "x"})
    key = vpn["id"]
    rehearsed = l3vpn.create("vpn", {"tenant_id": TENANT}, dry_run=True)
    with pytest.raises(NotFound):
        l3vpn.get("vpn", rehearsed["id"])
    assert len(l3vpn.create_many("vpn", [{"tenant_id": TENANT}] * 2, dry_run=True)) == 2
    assert l3vpn.update("vpn", key, {"name": "y"}, dry_run=True)["revision_number"] == 2
    with pytest.raises(Changed):
        l3vpn.update("vpn", key, {"name": "y"}, revision=9, dry_run=True)
    with pytest.raises(InvalidFields):
        l3vpn.update("vpn", key, {"name": 1}, dry_run=True)
    l3vpn.delete("vpn", key, dry_run=True)
    assert l3vpn.get("vpn", key) == vpn


def test_none_clears_and_what_is_read_can_be_sent_back(l3vpn: Proton) -> None:
    vpn = l3vpn.create("vpn", {"tenant_id": TENANT, "name": "x"})
    assert l3vpn.update("vpn", vpn["id"], vpn) == vpn
    assert l3vpn.update("vpn", vpn["id"], {"name": None})["name"] is None


def test_a_delete_names_the_referrers_unless_it_cascades(l3vpn: Proton) -> None:
    port = l3vpn.create("port", PORT)
    vpn = l3vpn.create("vpn", {"tenant_id": TENANT})
    body = {"interface_id": port["id"], "service_id": vpn["id"], "tenant_id": TENANT}
    l3vpn.create("vpnbinding", body)
    with pytest.raises(Conflict) as caught:
        l3vpn.delete("vpn", vpn["id"])
    assert [(r["object"], r["key"]) for r in caught.value.referrers] == [("VpnBinding", port["id"])]
    l3vpn.delete("vpn", vpn["id"], cascade=True)
    with pytest.raises(NotFound):
        l3vpn.get("vpnbinding", port["id"])


class PagingServer:
    """Answers a list of one collection, whose next links name a host that nobody can reach."""

    def __init__(self, document: dict[str, Any], *, in_circles: bool = False) -> None:
        self._document = document
        self._in_circles = in_circles

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        if environ["PATH_INFO"].endswith("openapi.json"):
            return [json.dumps({"x-gluon-model": self._document}).encode()]
        at = int(parse_qs(environ["QUERY_STRING"]).get("marker", ["0"])[0])
        following = at if self._in_circles and at else at + 1
        answer: dict[str, Any] = {"vpns": [{"id": at}]}
        if at < 3:
            answer["vpns_links"] = [
                {"href": f"http://proton.internal.invalid/vpns?marker={following}", "rel": "next"}
            ]
        return [json.dumps(answer).encode()]


def test_pages_are_followed_at_the_url_that_the_client_knows(l3vpn: Proton) -> None:
    with answering(PagingServer(dict(l3vpn.model.document))) as url, Client(url) as client:
        assert [v["id"] for v in client.proton("net-l3vpn", "1.0").list("vpns")] == [0, 1, 2, 3]


def test_pages_that_go_in_circles_end_with_an_error(l3vpn: Proton) -> None:
    server = PagingServer(dict(l3vpn.model.document), in_circles=True)
    with answering(server) as url, Client(url) as client, pytest.raises(UnexpectedAnswer):
        list(client.proton("net-l3vpn", "1.0").list("vpns"))
