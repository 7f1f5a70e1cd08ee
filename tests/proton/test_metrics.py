"""`/metrics`: what a server tells Prometheus of itself."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gluon.proton.identity import Identity, Unauthenticated
from gluon.proton.metrics import ServerMetrics
from proton.controlling import controller_on
from proton.serving import TENANT, Api, port, serving
from servers.etcd import EtcdServer

BIND = {"host_id": "compute-1", "device_id": str(uuid.uuid4()), "device_owner": "compute:nova"}
COUNT = "gluon_bind_seconds_count"
PLURAL = "/proton/{service}/{version}/{plural}"
Labels = dict[str, str]


class Shown:
    """The metrics of one moment."""

    def __init__(self, text: str) -> None:
        self._samples = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 when there is none."""
        return sum(s.value for s in self._samples if s.name == name and s.labels | labels == s.labels)

    def labels(self, name: str) -> list[Labels]:
        return [s.labels for s in self._samples if s.name == name]

    @property
    def names(self) -> set[str]:
        return {s.name for s in self._samples}

    @property
    def series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        # Some of etcd's methods, like the renewal of a lease, are first called at any time.
        ours = [s for s in self._samples if not s.name.startswith("gluon_etcd_request_seconds")]
        return {(s.name, frozenset(s.labels.items())) for s in ours}


async def shown(api: Api) -> Shown:
    answer = await api.request("GET", "/metrics", 200)
    assert answer.headers["Content-Type"].startswith("text/plain")
    return Shown(answer.text)


async def settled(api: Api, name: str, value: float, **labels: str) -> Shown:
    """The metrics once one has this value; fails after ten seconds."""
    async with asyncio.timeout(10):
        while (now := await shown(api)).value(name, **labels) != value:
            await asyncio.sleep(0.05)
    return now


async def test_requests_are_counted_by_method_route_and_class_of_status(api: Api) -> None:
    created = await api.create("vpns", name="a", tenant_id=TENANT)
    for _ in range(2):
        await api.get(f"vpns/{created['id']}")
    await api.get(f"vpns/{uuid.uuid4()}", expect=404)
    await api.get("/nowhere", expect=404)
    await api.http.request("PROPFIND", "/")

    metrics = await shown(api)

    count = "gluon_http_request_seconds_count"
    assert metrics.value(count, method="POST", route=PLURAL, status="2xx") == 1
    assert metrics.value(count, method="GET", route=PLURAL + "/{key}", status="2xx") == 2
    assert metrics.value(count, method="GET", route=PLURAL + "/{key}", status="4xx") == 1
    assert metrics.value(count, method="GET", route="none", status="4xx") == 1
    assert metrics.value(count, method="other") == 1
    assert 0 < metrics.value("gluon_http_request_seconds_sum", method="POST") < 10


async def test_commits_are_counted_by_how_they_went(api: Api) -> None:
    created = await api.create("vpns", name="a", tenant_id=TENANT)
    await api.request("POST", "vpns", 409, json={"id": created["id"], "tenant_id": TENANT})
    metrics = await shown(api)
    assert metrics.value("gluon_commit_seconds_count", result="committed") == 1
    assert metrics.value("gluon_commit_seconds_count", result="refused") == 1


async def test_the_way_to_etcd_is_shown(api: Api) -> None:
    await settled(api, "gluon_outbox_rows", 0)
    before = (await shown(api)).value("gluon_relay_rows_total")
    await api.create("vpns", name="a", tenant_id=TENANT)

    await settled(api, "gluon_relay_rows_total", before + 1)
    metrics = await settled(api, "gluon_outbox_rows", 0)

    assert metrics.value("gluon_relay_leader") == 1
    assert metrics.value("gluon_relay_terms_total") == 1
    assert metrics.value("gluon_database_up") == 1
    assert metrics.value("gluon_outbox_oldest_seconds") == 0
    assert metrics.value("gluon_relay_lag_seconds_count") >= 1
    assert metrics.value("gluon_etcd_request_seconds_count", method="Txn") >= 2
    assert metrics.value("gluon_etcd_endpoint_in_use", endpoint=api.settings.etcd.endpoints[0]) == 1
    assert metrics.value("gluon_etcd_watch_synced", watch="answers") == 1
    assert metrics.value("gluon_etcd_watch_age_seconds", watch="answers") < 15


async def test_what_waits_for_etcd_is_shown(tmp_path: Path, own_etcd_server: EtcdServer) -> None:
    async with serving(tmp_path, own_etcd_server.url, "") as api:
        await settled(api, "gluon_relay_leader", 1)
        await settled(api, "gluon_outbox_rows", 0)
        own_etcd_server.kill()
        await api.create("/proton/net-l3vpn/v1.0/vpns", name="a", tenant_id=TENANT)
        metrics = await settled(api, "gluon_outbox_rows", 1)
        assert metrics.value("gluon_outbox_oldest_seconds") > 0
        await settled(api, "gluon_etcd_watch_synced", 0, watch="answers")
        metrics = await shown(api)
        assert metrics.value("gluon_etcd_errors_total", error="EtcdUnavailable") > 0


async def test_binds_are_counted_by_result(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> None:
    # Nothing takes as long as that: no bind may time out because the machine is busy.
    async with serving(tmp_path, etcd_server.url, etcd_prefix, bind_timeout=100.0) as api:
        api.http.base_url = api.http.base_url.join("/proton/net-l3vpn/v1.0/")
        async with controller_on(api) as controller:
            ports = [(await api.create("ports", **port()))["id"] for _ in range(3)]
            await api.put(f"ports/{ports[0]}", **BIND)
            controller.refusing = "no"
            await api.put(f"ports/{ports[1]}", **BIND)
            controller.answering = False
            overtaken = asyncio.create_task(api.put(f"ports/{ports[2]}", **BIND))
            await controller.asked(ports[2])
            assert (await shown(api)).value("gluon_binds_waiting") == 1
            await api.put(f"ports/{ports[2]}", host_id=None)
            await overtaken
            metrics = await shown(api)
    assert metrics.value("gluon_binds_waiting") == 0
    assert metrics.value("gluon_bind_answers_total", result="taken") == 2
    assert binds(metrics) == {"bound": 1, "refused": 1, "superseded": 1, "timed_out": 0, "late": 0}


async def test_binds_without_an_answer_are_counted_and_late_answers_besides(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with serving(tmp_path, etcd_server.url, etcd_prefix, bind_timeout=0.2) as api:
        api.http.base_url = api.http.base_url.join("/proton/net-l3vpn/v1.0/")
        async with controller_on(api) as controller:
            controller.answering = False
            created = await api.create("ports", **port(), **BIND)
            asked = await controller.asked(created["id"])
            metrics = await shown(api)
            assert metrics.value("gluon_binds_waiting") == 0
            assert binds(metrics) == {"bound": 0, "refused": 0, "superseded": 0, "timed_out": 1, "late": 0}
            await controller.answer(asked)
            metrics = await settled(api, COUNT, 1, result="late")
    assert 0.2 < metrics.value("gluon_bind_seconds_sum", result="late") < 60
    assert binds(metrics) == {"bound": 0, "refused": 0, "superseded": 0, "timed_out": 1, "late": 1}


def binds(metrics: Shown) -> dict[str, float]:
    """How many binds had which result."""
    results = ("bound", "refused", "superseded", "timed_out", "late")
    return {result: metrics.value(COUNT, result=result) for result in results}


async def test_served_models_are_named_with_their_digests(api: Api) -> None:
    models = (await shown(api)).labels("gluon_model_info")
    assert {m["service"] for m in models} == {"net-l3vpn", "ietf-sfc", "test"}
    assert all(len(m["digest"]) >= 32 for m in models)


async def test_objects_make_no_series(api: Api) -> None:
    async def use() -> None:
        created = await api.create("vpns", name=str(uuid.uuid4()), tenant_id=TENANT)
        await api.put(f"vpns/{created['id']}", name="b")
        await api.get(f"vpns/{created['id']}")
        await api.get(f"vpns/{uuid.uuid4()}", expect=404)
        await api.get(f"/{uuid.uuid4()}", expect=404)
        await api.delete(f"vpns/{created['id']}")
        await settled(api, "gluon_outbox_rows", 0)

    await use()
    await shown(api)
    before = (await shown(api)).series
    for _ in range(3):
        await use()
    assert (await shown(api)).series == before


class Strangers:
    """A strategy for this test alone: administrators say so, members too, and others are nobody."""

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        role = {k.lower(): v for k, v in headers.items()}.get("x-test-role")
        if role is None:
            raise Unauthenticated
        return Identity("someone", TENANT, frozenset({role}))


@pytest.mark.parametrize(("public", "member", "nobody"), [(False, 403, 401), (True, 200, 200)])
async def test_metrics_are_for_administrators_unless_they_are_public(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, public: bool, member: int, nobody: int
) -> None:
    further = {"auth": Strangers(), "metrics_public": public}
    async with serving(tmp_path, etcd_server.url, etcd_prefix, **further) as api:
        await api.request("GET", "/metrics", 200, headers={"X-Test-Role": "admin"})
        await api.request("GET", "/metrics", member, headers={"X-Test-Role": "member"})
        await api.request("GET", "/metrics", nobody)


async def test_every_metric_that_is_shown_is_declared(api: Api) -> None:
    await api.create("vpns", name="a", tenant_id=TENANT)
    declared = {described.name for described in ServerMetrics().catalogue.described}
    suffixes = ("_bucket", "_count", "_sum", "_created")
    for name in (await shown(api)).names:
        plain = next((name.removesuffix(s) for s in suffixes if name.endswith(s)), name)
        assert name.startswith("process_") or {name, plain, f"{plain}_total"} & declared, name
