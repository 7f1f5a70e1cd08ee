"""The workers of one server, as the operating system sees them all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import ValueClass

from gluon.telemetry.worker_files import ENVIRONMENT

_LOWEST = ("process_start_time_seconds", "process_max_fds")
"""What is told of the worker that has least; all else is summed."""


def shared_directory() -> Path | None:
    """Where this process shares its metrics; None for one that is alone."""
    shares = getattr(ValueClass, "_multiprocess", False)
    return Path(os.environ[ENVIRONMENT]) if shares and ENVIRONMENT in os.environ else None


class WorkerProcesses(Collector):
    """Memory, processor time and file descriptors of all workers together."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        """Summed over the workers that are alive."""
        together: dict[str, Metric] = {}
        for pid in self._pids():
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                total = together.get(metric.name)
                if total is None:
                    together[metric.name] = metric
                    continue
                (sample,), (mine,) = total.samples, metric.samples
                put_together = min if sample.name in _LOWEST else _sum
                value = put_together(sample.value, mine.value)
                total.samples = [sample._replace(value=value)]
        return together.values()

    def _pids(self) -> list[int]:
        files = self._directory.glob("gauge_live*_*.db")
        return sorted({int(path.stem.rpartition("_")[2]) for path in files})


def _sum(one: float, other: float) -> float:
    return one + other
