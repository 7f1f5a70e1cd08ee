"""Where the workers of one server keep their metrics, so that each of them can show those of all.

The parent makes the directory before it starts a worker, and names it in the worker's environment, where
prometheus_client looks when it is imported. Counts of a worker that died stay: they happened. What it was
(waiting requests, connections) goes with it, and its parent says so.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import Metric, ProcessCollector
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.values import ValueClass

ENVIRONMENT = "PROMETHEUS_MULTIPROC_DIR"

_IN_MEMORY = Path("/dev/shm")
_NAME = "gluon-metrics-"
_LOWEST = ("process_start_time_seconds", "process_max_fds")
"""What is told of the worker that has least; all else is summed."""


def shared_directory() -> Path | None:
    """Where this process shares its metrics; None for one that is alone."""
    shares = getattr(ValueClass, "_multiprocess", False)
    return Path(os.environ[ENVIRONMENT]) if shares and ENVIRONMENT in os.environ else None


class WorkerFiles:
    """The directory, in the hands of the parent; use it as a context, at whose end it is removed."""

    def __init__(self, *, within: Path | None = None) -> None:
        """`within`: where to make it; in memory where possible, for it is written all the time."""
        in_memory = os.access(_IN_MEMORY, os.W_OK)
        self._within = within or (_IN_MEMORY if in_memory else Path(tempfile.gettempdir()))
        self._path: Path | None = None

    def __enter__(self) -> WorkerFiles:
        self._remove_orphans()
        self._path = Path(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-", dir=self._within))
        return self

    def __exit__(self, *exc_info: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def path(self) -> Path:
        """The directory, within the context."""
        assert self._path is not None, "not entered"
        return self._path

    def environment(self) -> Mapping[str, str]:
        """What a worker must find in its environment."""
        return {ENVIRONMENT: str(self.path)}

    def died(self, pid: int) -> None:
        """A worker is gone: what it was is shown no longer."""
        mark_process_dead(pid, str(self.path))  # type: ignore[no-untyped-call]

    def _remove_orphans(self) -> None:
        """A parent that was killed has removed nothing."""
        for path in self._within.glob(f"{_NAME}*"):
            pid = path.name.removeprefix(_NAME).partition("-")[0]
            if path.owner() == Path("/proc/self").owner() and not Path("/proc", pid).exists():
                shutil.rmtree(path, ignore_errors=True)


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
