"""What a shim server tells Prometheus of itself."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gluon.shim.errors import BadConfiguration, PermanentError, TemporaryError
from gluon.shim.server import ShimServer
from servers.etcd import free_ports
from shim.relaying import Relaying
from shim.running import Recorder, Shims

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraper:
    """Asks a shim's listener as Prometheus does."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)

    async def samples(self) -> Samples:
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"http://127.0.0.1:{self.port}/metrics")
        assert answer.status_code == 200
        families = text_string_to_metric_families(answer.text)
        return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}

    async def value(self, name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(v for (n, found), v in (await self.samples()).items() if n == name and wanted <= found)

    async def until(self, value: float, name: str, **labels: str) -> None:
        async with asyncio.timeout(10):
            while (found := await self.value(name, **labels)) != value:
                await asyncio.sleep(0.05)
                assert found is not None


@pytest.fixture
async def scraper(shims: Shims, relay: Relaying) -> Scraper:
    return Scraper()


async def ready(shims: Shims, recorder: Recorder, scraper: Scraper) -> ShimServer:
    return await shims.ready(recorder, metrics_port=scraper.port)


async def test_callbacks_are_counted_by_name_and_result(
    shims: Shims, relay: Relaying, scraper: Scraper
) -> None:
    recorder = Recorder()
    await ready(shims, recorder, scraper)
    count = "gluon_callback_seconds_count"

    port = await relay.port()
    await relay.bind(port)
    await scraper.until(1, count, service="net-l3vpn", callback="bind_port", result="done")
    await scraper.until(1, count, callback="modify_port", result="done")
    assert await scraper.value("gluon_claims", service="net-l3vpn") == 1

    recorder.on("modify_port", PermanentError("never"))
    await relay.port(port, name="b")
    await scraper.until(1, count, callback="modify_port", result="refused")
    await scraper.until(1, "gluon_journal_objects", service="net-l3vpn", state="FAILED")

    recorder.on("modify_port", TemporaryError("later", delay=30.0))
    await relay.port(port, name="c")
    await scraper.until(1, count, callback="modify_port", result="temporary")
    await scraper.until(1, "gluon_queue_objects", service="net-l3vpn", state="waiting")
    assert await scraper.value("gluon_retries_total", service="net-l3vpn") == 1

    recorder.on("modify_port", RuntimeError("a bug"))
    await relay.port(port, name="d")
    async with asyncio.timeout(10):
        while not await scraper.value(count, callback="modify_port", result="failed"):
            await asyncio.sleep(0.05)


async def test_the_state_of_a_shim_is_shown(shims: Shims, relay: Relaying, scraper: Scraper) -> None:
    await ready(shims, Recorder(), scraper)
    await relay.port()
    await scraper.until(1, "gluon_stored_objects", service="net-l3vpn")
    await scraper.until(1, "gluon_journal_objects", service="net-l3vpn", state="APPLIED")
    assert await scraper.value("gluon_serving", service="net-l3vpn") == 1
    assert await scraper.value("gluon_name_held") == 1
    for watch, service in (("models", ""), ("objects", "net-l3vpn"), ("claims", "net-l3vpn")):
        assert await scraper.value("gluon_etcd_watch_synced", watch=watch, service=service) == 1
    assert await scraper.value("gluon_etcd_request_seconds_count", method="Txn") > 0
    assert await scraper.value("process_resident_memory_bytes") > 0


async def test_no_label_holds_a_key(shims: Shims, relay: Relaying, scraper: Scraper) -> None:
    recorder = Recorder()
    await ready(shims, recorder, scraper)
    key = await relay.port(name="blue")
    await relay.bind(key)
    await recorder.until("bind_port", key)
    await relay.delete("Port", key)
    await recorder.until("delete_port", key)
    labels = {value for _, found in await scraper.samples() for _, value in found}
    assert "bind_port" in labels
    assert not labels & {key, "blue", "compute-1"}


async def test_a_port_that_is_taken_is_told_in_one_line(shims: Shims, scraper: Scraper) -> None:
    await ready(shims, Recorder(), scraper)
    second = shims.start(Recorder(), name="second", metrics_port=scraper.port)
    error = await shims.outcome(second)
    assert isinstance(error, BadConfiguration)
    assert str(error) == (
        f"[shim] metrics_port: can't listen on 127.0.0.1 port {scraper.port}: Address already in use"
    )
