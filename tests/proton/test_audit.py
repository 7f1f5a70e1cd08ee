"""The audit: who changed what, one line for each object, and never a value."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gluon.proton.audit import AUDIT_LOGGER
from gluon.proton.options import AuditSettings
from proton.controlling import controller_on
from proton.serving import TENANT, Api, port, serving
from proton.test_policy import MEMBER, MINE, OTHERS, ByHeader
from proton.test_ports import BIND, eventually
from servers.etcd import EtcdServer


class Lines:
    """What was noted, as it stands in the lines."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def texts(self) -> list[str]:
        return [r.getMessage() for r in self._caplog.records if r.name == AUDIT_LOGGER]

    def of(self, **facts: Any) -> list[dict[str, Any]]:
        """The lines with these facts, in order."""
        return [line for line in map(json.loads, self.texts) if line | facts == line]


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.INFO, AUDIT_LOGGER)
    return Lines(caplog)


@pytest.fixture
async def tenants(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Api]:
    async with serving(tmp_path, etcd_server.url, etcd_prefix, auth=ByHeader()) as running:
        running.http.base_url = running.http.base_url.join("/proton/net-l3vpn/v1.0/")
        yield running


async def test_a_write_has_a_line_that_says_who_did_what(tenants: Api, audit: Lines) -> None:
    answer = await tenants.request("POST", "vpns", 201, json={"name": "secret"}, headers=MEMBER)
    key = answer.json()["id"]

    (line,) = audit.of()
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "write",
        "outcome": "committed",
        "actor": "user:someone",
        "tenant_id": MINE,
        "roles": ["member"],
        "address": "127.0.0.1",
        "request_id": answer.headers["x-openstack-request-id"],
        "action": "create",
        "service": "net-l3vpn",
        "version": "v1.0",
        "object": "VpnService",
        "key": key,
        "parent": None,
        "revision_before": None,
        "revision_after": 1,
        "changed": [],
    }
    assert list(json.loads(audit.texts[0]))[:3] == ["time", "event", "outcome"]


async def test_an_update_names_what_changed_and_no_values(api_on_sqlite: Api, audit: Lines) -> None:
    vpn = await api_on_sqlite.create("vpns", tenant_id=TENANT, name="hushhush")
    await api_on_sqlite.put(f"vpns/{vpn['id']}", name="topsecret", tenant_id=TENANT, description="d")
    await api_on_sqlite.put(f"vpns/{vpn['id']}", name="topsecret")
    await api_on_sqlite.delete(f"vpns/{vpn['id']}")

    made, changed, deleted = audit.of(key=vpn["id"])
    assert made["actor"] == "noauth" and made["roles"] == ["admin"]
    assert sorted(changed["changed"]) == ["description", "name"]
    assert (changed["action"], changed["revision_before"], changed["revision_after"]) == ("update", 1, 2)
    assert (deleted["action"], deleted["revision_before"], deleted["revision_after"]) == ("delete", 2, None)
    assert not [text for text in audit.texts if "secret" in text or "hush" in text]


async def test_each_object_of_a_request_has_its_line(api_on_sqlite: Api, audit: Lines) -> None:
    bulk = {"ports": [port(name="a"), port(name="b")]}
    answer = await api_on_sqlite.request("POST", "ports", 201, json=bulk)
    first, second = (p["id"] for p in answer.json()["ports"])
    lines = audit.of(request_id=answer.headers["x-openstack-request-id"])
    assert [(line["object"], line["key"]) for line in lines] == [
        ("Port", first),
        ("Interface", first),
        ("Port", second),
        ("Interface", second),
    ]
    assert [line["parent"] for line in lines if line["object"] == "Interface"] == [first, second]
    vpn = await api_on_sqlite.create("vpns", tenant_id=TENANT)
    await api_on_sqlite.create("vpnbindings", tenant_id=TENANT, interface_id=first, service_id=vpn["id"])
    gone = await api_on_sqlite.request("DELETE", f"ports/{first}?cascade=true", 204)
    lines = audit.of(request_id=gone.headers["x-openstack-request-id"])
    assert {(line["object"], line["action"]) for line in lines} == {
        ("VpnBinding", "delete"),
        ("Interface", "delete"),
        ("Port", "delete"),
    }
    assert {line["revision_before"] for line in lines} == {1}


async def test_what_is_not_done_has_no_line(tenants: Api, audit: Lines) -> None:
    vpn = (await tenants.request("POST", "vpns", 201, json={}, headers=MEMBER)).json()
    path = f"vpns/{vpn['id']}"
    assert len(audit.of()) == 1
    await tenants.request("POST", "vpns", 422, json={"name": 1}, headers=MEMBER)
    await tenants.request("POST", "vpns", 409, json={"id": vpn["id"]}, headers=MEMBER)
    await tenants.request("DELETE", path, 412, headers={**MEMBER, "If-Match": '"9"'})
    await tenants.request("POST", "vpns?dry_run=true", 201, json={}, headers=MEMBER)
    await tenants.request("POST", "vpns?dry_run=true", 403, json={"tenant_id": OTHERS}, headers=MEMBER)
    await tenants.request("GET", path, 200, headers=MEMBER)
    assert len(audit.of()) == 1


async def test_a_change_that_access_rules_refuse_is_noted_as_that(tenants: Api, audit: Lines) -> None:
    answer = await tenants.request("POST", "vpns", 403, json={"tenant_id": OTHERS}, headers=MEMBER)
    (line,) = audit.of()
    assert (line["event"], line["outcome"], line["action"]) == ("refused", "forbidden", "create")
    assert (line["object"], line["actor"], line["revision_after"]) == ("VpnService", "user:someone", None)
    assert line["request_id"] == answer.json()["request_id"]


async def test_an_answer_to_a_bind_is_the_controllers_doing(api_on_sqlite: Api, audit: Lines) -> None:
    async with controller_on(api_on_sqlite):
        created = await api_on_sqlite.create("ports", **port())
        await api_on_sqlite.put(f"ports/{created['id']}", **BIND)
    _, asked, answered = audit.of(object="Port", key=created["id"])
    assert (asked["actor"], asked["revision_after"]) == ("noauth", 2)
    assert {"host_id", "device_id", "status"} <= set(asked["changed"])
    assert answered["actor"] == "controller:test"
    assert (answered["revision_before"], answered["revision_after"]) == (2, 3)
    assert {"vif_type", "vif_details", "status"} == set(answered["changed"])


async def test_a_bind_that_nobody_answers_is_ended_by_the_server(api_on_sqlite: Api, audit: Lines) -> None:
    answer = await api_on_sqlite.request("POST", "ports", 201, json=port(**BIND))
    key = answer.json()["id"]
    await eventually(api_on_sqlite, f"ports/{key}", vif_type="binding_failed")
    made, ended = audit.of(object="Port", key=key)
    assert (made["actor"], ended["actor"]) == ("noauth", "server")
    assert (ended["changed"], ended["revision_after"]) == (["vif_type"], 2)
    assert ended["request_id"] == made["request_id"]


async def test_it_can_be_turned_off(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, audit: Lines
) -> None:
    off = AuditSettings(enabled=False)
    async with serving(tmp_path, etcd_server.url, etcd_prefix, audit=off) as api:
        await api.create("/proton/net-l3vpn/v1.0/vpns", tenant_id=TENANT)
    assert audit.texts == []
