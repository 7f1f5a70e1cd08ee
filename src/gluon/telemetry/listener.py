"""An HTTP server for metrics alone, beside a process that has none of its own."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.registry import Collector

from gluon.telemetry.catalogue import Catalogue


class _Sample(Collector):
    """Has a catalogue look at what it follows before the other metrics are collected."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def describe(self) -> Iterable[Metric]:
        """Has no metrics of its own."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Called for each request, in the thread that answers it."""
        self._catalogue.sample()
        yield from self._catalogue.collect()


class Listener:
    """Answers GET from `start` to `stop`, in a thread of its own: a busy event loop makes no scrape fail."""

    def __init__(self, catalogue: Catalogue, host: str, port: int) -> None:
        """`port` 0 takes any free one."""
        self._registry = CollectorRegistry()
        self._registry.register(_Sample(catalogue))
        self._address = host, port

    def start(self) -> int:
        """Listen; the port. Raises OSError."""
        host, port = self._address
        self._server, self._thread = start_http_server(port, host, self._registry)
        return int(self._server.server_port)

    def stop(self) -> None:
        """Stop listening; return when the thread has ended."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
