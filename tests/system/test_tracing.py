"""A request's trace, from whoever sent it through server, database and etcd to the shim's callbacks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.faults.eventually import eventually
from system.faults.stack import DEVICE, SERVICE, Stack, port, running
from telemetry.collector import Collector, Received, collecting

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SENDER = "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE_ID}-{SENDER}-01", "tracestate": "vendor=1"}
BIND = {"host_id": "compute-1", "device_id": DEVICE, "device_owner": "compute:nova"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running_collector:
        yield running_collector


def sections(collector: Collector, **further: object) -> str:
    given = "".join(f"{name} = {value}\n" for name, value in further.items())
    return f"[tracing]\nendpoint = {collector.url}\n{given}[log]\nformat = json\n"


async def spans_of(collector: Collector, *names: str) -> dict[str, Received]:
    """The spans of the trace by name, once these are there. They are exported every few seconds."""

    async def check() -> dict[str, Received]:
        found = {span.name: span for span in collector.spans(TRACE_ID)}
        assert set(names) <= set(found), found.keys()
        return found

    return await eventually(check, 30.0)


async def traced_port(stack: Stack) -> str:
    answer = await stack.http.post("ports", json=port("one") | BIND, headers=HEADERS)
    assert answer.status_code == 201, answer.text
    assert answer.json()["vif_type"] == "ovs", answer.text
    return str(answer.json()["id"])


async def test_one_trace_spans_request_transaction_relay_and_callback(
    tmp_path: Path, collector: Collector
) -> None:
    async with running(tmp_path, further=sections(collector)) as stack:
        port_id = await traced_port(stack)
        route = "POST /proton/{service}/{version}/{plural}"
        spans = await spans_of(collector, route, "transaction", "relay", "bind wait", "bind_port")

        request = spans[route]
        assert (request.service, request.parent_id, request.tracestate) == (
            "proton-server",
            SENDER,
            "vendor=1",
        )
        assert request.attributes["http.response.status_code"] == 201
        assert request.attributes["gluon.request_id"].startswith("req-")
        for name in ("transaction", "relay", "bind wait", "bind_port"):
            assert spans[name].parent_id == request.span_id, name
            assert request.start <= spans[name].start <= spans[name].end, name
        assert spans["bind wait"].attributes["gluon.result"] == "bound"
        callback = spans["bind_port"]
        assert (callback.service, callback.tracestate) == ("proton-shim-server", "vendor=1")
        assert callback.attributes == {
            "gluon.service": SERVICE,
            "gluon.object": "Port",
            "gluon.key": port_id,
            "gluon.controller": "shim",
            "gluon.result": "done",
        }
        # The request waited for the callback.
        assert callback.end <= request.end

        (line,) = [line for line in stack.shim.lines("bind_port", port_id) if "dummy" in line]
        assert json.loads(line)["trace_id"] == TRACE_ID


async def test_an_objects_trace_goes_with_it(tmp_path: Path, collector: Collector) -> None:
    async with running(tmp_path, further=sections(collector)) as stack:
        port_id = await traced_port(stack)
        key = stack.keys.trace(SERVICE, "Port", port_id)

        async def written() -> None:
            found = await stack.etcd.get(key)
            assert found is not None
            assert TRACE_ID in json.loads(found.value)["traceparent"]

        await eventually(written)
        await stack.request("DELETE", f"ports/{port_id}", 204)

        async def gone() -> None:
            assert await stack.etcd.get(stack.keys.object(SERVICE, "Port", port_id)) is None

        await eventually(gone)
        assert not (await stack.etcd.list(stack.keys.traces())).items


async def test_untraced_requests_leave_nothing_behind(tmp_path: Path, collector: Collector) -> None:
    async with running(tmp_path, further=sections(collector, sample_ratio=0.0)) as stack:
        port_id = (await stack.create_port("one"))["id"]
        await stack.bind(port_id, "compute-1")
        assert not (await stack.etcd.list(stack.keys.traces())).items
        await traced_port(stack)
        await spans_of(collector, "bind_port")
        assert not [span for span in collector.spans() if span.trace_id != TRACE_ID]


async def test_a_collector_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    with collecting() as collector:
        further = sections(collector)
    async with running(tmp_path, further=further) as stack:
        start = asyncio.get_running_loop().time()
        await traced_port(stack)
        assert asyncio.get_running_loop().time() - start < 5.0


async def test_a_server_without_tracing_takes_away_what_others_left(
    tmp_path: Path, collector: Collector
) -> None:
    async with running(tmp_path, further=sections(collector)) as stack:
        await traced_port(stack)
        config = tmp_path / "proton.conf"
        stack.server.stop()
        config.write_text(config.read_text().replace("[tracing]\nendpoint", "[tracing]\nservice_name"))
        stack.server.start()
        await stack.server_ready()

        async def cleared() -> None:
            assert not (await stack.etcd.list(stack.keys.traces())).items

        await eventually(cleared)
