"""Where the workers of one server keep their metrics, so that each of them can show those of all.

The parent makes the directory before it starts a worker, and names it in the worker's environment, where
prometheus_client looks when it is imported. Counts of a worker that died stay: they happened. What it was
(waiting requests, connections) goes with it, and its parent says so.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENT = "PROMETHEUS_MULTIPROC_DIR"

_IN_MEMORY = Path("/dev/shm")
_NAME = "gluon-metrics-"


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
        # The parent has no metrics of its own, and needs the package in this rare case only.
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, str(self.path))  # type: ignore[no-untyped-call]

    def _remove_orphans(self) -> None:
        """A parent that was killed has removed nothing."""
        for path in self._within.glob(f"{_NAME}*"):
            pid = path.name.removeprefix(_NAME).partition("-")[0]
            if path.owner() == Path("/proc/self").owner() and not Path("/proc", pid).exists():
                shutil.rmtree(path, ignore_errors=True)
