"""Spans, from here to a collector."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from oslo_config import cfg

from gluon.log.traces import carried, current_trace, current_trace_id, enter_trace, leave_trace
from gluon.telemetry import options
from gluon.telemetry.options import (
    TRACING_GROUP,
    TRACING_OPTIONS,
    TracingSettings,
    tracing_settings,
)
from gluon.telemetry.tracer import Tracer
from gluon.telemetry.tracing import open_tracer
from telemetry.collector import collecting

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def settings(**values: object) -> TracingSettings:
    conf = cfg.ConfigOpts()
    conf.register_opts(TRACING_OPTIONS, group=TRACING_GROUP)
    conf([], default_config_files=[], default_config_dirs=[])
    for name, value in values.items():
        conf.set_override(name, value, group="tracing")
    return tracing_settings(conf)


def test_without_an_endpoint_there_are_no_traces() -> None:
    assert open_tracer(settings(), "program") is None


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://otlp.example.org/my/traces", "https://otlp.example.org/my/traces"),
    ],
)
def test_the_usual_path_is_added_where_there_is_none(given: str, used: str) -> None:
    assert settings(endpoint=given).endpoint == used


def test_an_endpoint_without_the_packages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "_EXPORTER", "no.such.package")
    with pytest.raises(ValueError, match=r"install gluon\[tracing\]"):
        settings(endpoint="http://127.0.0.1:4318")


def test_a_trace_that_was_brought_goes_on_and_is_carried_further() -> None:
    with collecting() as collector:
        tracer = Tracer(settings(endpoint=collector.url, service_name="mine"), "program")
        span = tracer.begin("GET", carried(PARENT, "vendor=1"), "request")
        assert span.trace is not None
        parent, _, state = span.trace.partition(" ")
        assert parent.startswith(f"00-{TRACE_ID}-") and parent.endswith("-01") and parent != PARENT
        assert state == "vendor=1"
        tracer.record("step", span.trace, 0.5, {"a": 1}, error=ValueError("no"))
        span.end("GET /x", {"b": "two"}, failed=False)
        tracer.close()

        step, request = collector.spans(TRACE_ID)

    assert collector.paths == {"/v1/traces"}
    assert (step.service, step.name, step.failed, step.attributes) == ("mine", "step", True, {"a": 1})
    assert (request.name, request.failed, request.attributes) == ("GET /x", False, {"b": "two"})
    assert (request.parent_id, step.parent_id) == ("00f067aa0ba902b7", request.span_id)
    assert 0.45e9 < step.end - step.start < 0.55e9
    assert abs(time.time_ns() - step.end) < 60e9


def test_a_sender_who_does_not_trace_is_believed() -> None:
    with collecting() as collector:
        tracer = Tracer(settings(endpoint=collector.url), "program")
        span = tracer.begin("GET", PARENT.removesuffix("01") + "00", "request")
        assert span.trace is None
        span.end("GET", {}, failed=False)
        tracer.close()
        assert not collector.spans()


@pytest.mark.parametrize(
    "nonsense", ["", "00-0-0-01", "x" * 10_000, f"ff-{TRACE_ID}-00f067aa0ba902b7-01", "00-" + "0" * 32]
)
def test_nonsense_begins_a_trace_of_its_own(nonsense: str) -> None:
    with collecting() as collector:
        tracer = Tracer(settings(endpoint=collector.url), "program")
        span = tracer.begin("GET", carried(nonsense, None), "request")
        assert span.trace is not None
        assert TRACE_ID not in span.trace
        tracer.close()


def test_no_request_is_traced_at_a_ratio_of_nought() -> None:
    with collecting() as collector:
        tracer = Tracer(settings(endpoint=collector.url, sample_ratio=0.0), "program")
        assert tracer.begin("GET", None, "request").trace is None
        assert tracer.begin("GET", PARENT, "request").trace is not None
        tracer.close()


def test_the_trace_of_a_task_is_known_to_its_log_lines() -> None:
    assert current_trace_id() is None
    token = enter_trace(carried(PARENT, "vendor=1"))
    assert (current_trace(), current_trace_id()) == (f"{PARENT} vendor=1", TRACE_ID)
    leave_trace(token)
    assert current_trace() is None


def test_servers_do_without_the_packages() -> None:
    servers = "gluon.proton.server, gluon.proton.worker, gluon.shim.server"
    script = f"import sys; sys.modules['opentelemetry'] = None; import {servers}"
    subprocess.run([sys.executable, "-c", script], check=True)
