"""Whether a server is alive, ready, and how it is: with reasons in bounded time, for those who may know."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gluon.model.catalog import bundled_models_dir
from gluon.proton.health import Condition, Health
from gluon.proton.identity import Identity, Unauthenticated
from proton.serving import TENANT, Api, serving
from servers.etcd import EtcdServer
from servers.postgresql import PostgresqlServer


async def healthy(api: Api) -> dict[str, Any]:
    """The report once all is well; fails after ten seconds."""
    async with asyncio.timeout(10):
        while (report := (await api.request("GET", "/healthcheck")).json())["status"] != "ok":
            await asyncio.sleep(0.05)
    return dict(report)


async def test_a_server_that_works_says_so_three_times(api: Api) -> None:
    report = await healthy(api)
    assert {"database", "etcd", "models", "relay", "answers"} <= set(report["checks"])
    assert await api.get("/healthcheck/ready") == {"ready": True, "reasons": []}
    assert await api.get("/healthcheck/live") == {"alive": True}


@pytest.mark.parametrize("path", ["/healthcheck", "/healthcheck/ready", "/healthcheck/live"])
async def test_answers_are_not_to_be_kept(api: Api, path: str) -> None:
    assert (await api.request("GET", path, 200)).headers["Cache-Control"] == "no-store"


async def test_a_silent_etcd_makes_no_answer_late_and_no_server_unready(
    tmp_path: Path, own_etcd_server: EtcdServer
) -> None:
    async with serving(tmp_path, own_etcd_server.url, "") as api:
        await healthy(api)
        own_etcd_server.pause()
        try:
            for path in ("/healthcheck", "/healthcheck/ready", "/healthcheck/live"):
                start = asyncio.get_running_loop().time()
                await api.request("GET", path, 200)
                assert asyncio.get_running_loop().time() - start < 3.0, path
            report = await api.get("/healthcheck")
            assert report["status"] == report["checks"]["etcd"]["status"] == "degraded"
            assert "writes are queued" in report["checks"]["etcd"]["reason"]
            await api.create("/proton/net-l3vpn/v1.0/vpns", name="a", tenant_id=TENANT)
        finally:
            own_etcd_server.resume()
        await healthy(api)


async def test_a_silent_database_makes_no_answer_late(
    tmp_path: Path, postgresql_server: PostgresqlServer, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    with postgresql_server.fresh_database() as url:
        async with serving(tmp_path, etcd_server.url, etcd_prefix, database_url=url) as api:
            await healthy(api)
            postgresql_server.pause()
            try:
                for path, expect in (
                    ("/healthcheck", 503),
                    ("/healthcheck/ready", 503),
                    ("/healthcheck/live", 200),
                    ("/metrics", 200),
                ):
                    start = asyncio.get_running_loop().time()
                    answer = await api.request("GET", path, expect)
                    assert asyncio.get_running_loop().time() - start < 4.0, path
                assert "\ngluon_database_up 0.0\n" in answer.text
                reasons = (await api.get("/healthcheck/ready", 503))["reasons"]
                assert reasons == ["the database can't be read"]
            finally:
                postgresql_server.resume()
            await healthy(api)


async def test_a_server_without_models_gets_no_requests(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    folder = tmp_path / "models" / "broken"
    shutil.copytree(bundled_models_dir() / "net-l3vpn", folder)
    for path in folder.glob("*.yaml"):
        path.write_text(path.read_text().replace("name: net-l3vpn", "name: broken").replace("uuid", "uid"))
    further: dict[str, Any] = {"models_dir": folder.parent, "services": ("broken",)}
    async with serving(tmp_path, etcd_server.url, etcd_prefix, **further) as api:
        assert await api.get("/healthcheck/ready", 503) == {"ready": False, "reasons": ["no model is served"]}
        await api.get("/healthcheck/live")


async def test_a_server_that_stops_gets_no_requests(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with serving(tmp_path, etcd_server.url, etcd_prefix) as api:
        transport = httpx.ASGITransport(api.server.app)
        await api.server.stop()
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
            answer = await http.get("/healthcheck/ready")
    assert answer.status_code == 503
    # Its database is closed by then, too.
    assert answer.json()["reasons"] == ["the server is stopping", "the database can't be read"]


class AdminOnly:
    """A strategy for this test alone."""

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        if {k.lower(): v for k, v in headers.items()}.get("x-test-role") != "admin":
            raise Unauthenticated
        return Identity("admin", TENANT, frozenset({"admin"}))


async def test_reasons_are_for_administrators(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    async with serving(tmp_path, etcd_server.url, etcd_prefix, auth=AdminOnly()) as api:
        answer = await api.request("GET", "/healthcheck", 200, headers={"X-Test-Role": "admin"})
        assert "served" in answer.json()["checks"]["models"]
        checks = (await api.get("/healthcheck"))["checks"]
        assert all(list(check) == ["status"] for check in checks.values())
        await api.get("/healthcheck/ready")
        await api.get("/healthcheck/live")


async def hangs() -> Any:
    await asyncio.Event().wait()


async def works() -> dict[str, Any]:
    return {"status": "ok"}


async def test_a_part_that_never_answers_is_failing_after_the_time_that_it_has() -> None:
    health = Health({"good": works, "bad": hangs, "worse": hangs}, patience=0.05)
    async with asyncio.timeout(5):
        report = await health.report()
    assert report["status"] == "failing"
    assert report["checks"]["good"] == {"status": "ok"}
    assert report["checks"]["bad"] == {"status": "failing", "reason": "it doesn't answer within 0.05 s"}


async def test_a_condition_that_never_answers_does_not_hold() -> None:
    hanging = Condition("it hangs", hangs)
    health = Health({}, (hanging, replace(hanging, holds=works), hanging), patience=0.05)
    async with asyncio.timeout(5):
        assert await health.reasons_against() == ["it hangs", "it hangs"]
