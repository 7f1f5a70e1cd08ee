"""The metrics of one process: each is declared once, with what it means, and shown as Prometheus reads it.

Format: Prometheus' text exposition format 0.0.4. A server of several workers shows the sums of all of them,
whichever is asked: then the values live in files that the workers share (see `worker_files`).
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gluon import __version__
from gluon.telemetry.worker_processes import WorkerProcesses, shared_directory

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of what takes from half a millisecond to as long as anybody waits."""

Across = Literal["livesum", "livemax", "livemin", "mostrecent"]
"""What a gauge shows of several workers: their sum, the highest, the lowest, or what was set last."""


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as its readers know it."""

    name: str
    """As it is queried: `_total` included."""
    kind: str
    """`counter`, `gauge` or `histogram`."""
    labels: tuple[str, ...]
    meaning: str


class Catalogue:
    """Declares metrics and shows them."""

    def __init__(self) -> None:
        self.described: list[Described] = []
        self._registry = CollectorRegistry()
        self._samples: list[Callable[[], None]] = []
        self._directory = shared_directory()
        build = self.gauge("gluon_build_info", "Always 1: what runs here.", "version", "python")
        build.labels(__version__, platform.python_version()).set(1)

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        """A count that only grows; `name` ends in `_total`."""
        self._describe(name, "counter", labels, meaning)
        return Counter(name, meaning, labels, registry=self._registry)

    def gauge(self, name: str, meaning: str, *labels: str, across: Across = "livemax") -> Gauge:
        """A value that comes and goes."""
        self._describe(name, "gauge", labels, meaning)
        return Gauge(name, meaning, labels, registry=self._registry, multiprocess_mode=across)

    def histogram(
        self, name: str, meaning: str, *labels: str, buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """How many values there were, their sum, and how many of them up to each of the bounds."""
        self._describe(name, "histogram", labels, meaning)
        return Histogram(name, meaning, labels, registry=self._registry, buckets=buckets)

    def call(self, sample: Callable[[], None]) -> None:
        """Have a plain function called each time before the metrics are shown."""
        self._samples.append(sample)

    @property
    def is_shared(self) -> bool:
        """Whether other workers show our values too."""
        return self._directory is not None

    def sample(self) -> None:
        """Look at everything that is counted or kept elsewhere."""
        for sample in self._samples:
            sample()

    def collect(self) -> Iterable[Metric]:
        """The metrics of this process as they were sampled last, with those of the operating system."""
        yield from self._registry.collect()
        yield from ProcessCollector(registry=None).collect()

    def text(self) -> bytes:
        """The same as text; where workers share their metrics, of all of them together."""
        if self._directory is None:
            return generate_latest(self)
        shared = CollectorRegistry()
        MultiProcessCollector(shared, str(self._directory))  # type: ignore[no-untyped-call]
        shared.register(WorkerProcesses(self._directory))
        return generate_latest(shared)

    def _describe(self, name: str, kind: str, labels: tuple[str, ...], meaning: str) -> None:
        self.described.append(Described(name, kind, labels, meaning))


class Children:
    """The metrics of a family by their labels' values, made once each: to look one up there costs a lock."""

    def __init__(self, family: Any) -> None:
        self._family = family
        self._made: dict[tuple[str, ...], Any] = {}

    def __getitem__(self, labels: tuple[str, ...]) -> Any:
        child = self._made.get(labels)
        if child is None:
            child = self._made[labels] = self._family.labels(*labels)
        return child


class Followed:
    """Counters that show counts which are kept elsewhere."""

    def __init__(self, family: Counter) -> None:
        self._children = Children(family) if family._labelnames else None
        self._alone = family
        self._last: dict[tuple[str, ...], float] = {}

    def show(self, count: float, *labels: str) -> None:
        """It is so much now. One that is lower than it was has begun anew, with a new owner."""
        last = self._last.get(labels, 0.0)
        self._last[labels] = count
        counter = self._children[labels] if self._children is not None else self._alone
        counter.inc(count - last if count >= last else count)
