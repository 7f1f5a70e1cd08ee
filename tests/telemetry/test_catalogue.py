"""Metrics as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from gluon.telemetry.catalogue import Catalogue, Children, Followed


def values(catalogue: Catalogue) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(catalogue.text().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def test_what_was_counted_is_shown() -> None:
    catalogue = Catalogue()
    served = Children(catalogue.counter("served_total", "Meals.", "dish"))
    served["soup",].inc()
    served["soup",].inc()
    catalogue.histogram("wait_seconds", "Waits.", buckets=(1.0, 2.0)).observe(1.5)

    shown = values(catalogue)

    assert shown["served_total", (("dish", "soup"),)] == 2
    assert shown["wait_seconds_bucket", (("le", "1.0"),)] == 0
    assert shown["wait_seconds_bucket", (("le", "2.0"),)] == 1
    assert shown["wait_seconds_count", ()] == 1


def test_metrics_of_the_process_and_the_build_are_there() -> None:
    names = {name for name, _ in values(Catalogue())}
    assert {"gluon_build_info", "process_resident_memory_bytes", "process_open_fds"} <= names


def test_a_count_that_is_kept_elsewhere_is_followed() -> None:
    catalogue = Catalogue()
    followed = Followed(catalogue.counter("lists_total", "Lists.", "of"))
    for count in (3, 3, 5):
        followed.show(count, "ports")
    assert values(catalogue)["lists_total", (("of", "ports"),)] == 5


def test_a_count_that_began_anew_adds_to_what_was() -> None:
    catalogue = Catalogue()
    followed = Followed(catalogue.counter("lists_total", "Lists."))
    for count in (5, 2, 3):
        followed.show(count)
    assert values(catalogue)["lists_total", ()] == 8


def test_samples_are_taken_when_asked() -> None:
    catalogue = Catalogue()
    gauge = catalogue.gauge("depth", "Rows.")
    catalogue.call(lambda: gauge.set(7))
    assert values(catalogue)["depth", ()] == 0
    catalogue.sample()
    assert values(catalogue)["depth", ()] == 7
