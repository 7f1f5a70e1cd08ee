"""Where the workers of one server keep their metrics, so that each of them can show those of all.

The parent makes the directory before it starts a worker, and names it in the worker's environment, where
prometheus_client looks when it is imported. Counts of a worker that died stay: they happened. What it was
(waiting requests, connections) goes with it, and its parent says so.

A parent that is killed removes nothing. It holds a lock on its directory, which the kernel lets go of with
it; so whoever starts next on the host tells what is left over from what is in use, whatever process ids are
used again, or seen from within a container.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
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
        self._lock: int | None = None

    def __enter__(self) -> WorkerFiles:
        self._remove_orphans()
        while self._lock is None:
            self._path = Path(tempfile.mkdtemp(prefix=_NAME, dir=self._within))
            # One that starts in this instant may take a directory without a lock for an orphan.
            self._lock = _locked(self._path)
        return self

    def __exit__(self, *exc_info: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)

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
        for path in self._within.glob(f"{_NAME}*"):
            pid, of_release_0_2, _ = path.name.removeprefix(_NAME).partition("-")
            if of_release_0_2 and Path("/proc", pid).exists():
                continue  # which held no lock
            lock = _locked(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _locked(path: Path) -> int | None:
    """The descriptor that locks a directory until it is closed.

    None when another process has it locked or removed, or when it is none of ours.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_uid == os.getuid() and path.exists():
            return descriptor
    os.close(descriptor)
    return None
