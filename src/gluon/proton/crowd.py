"""How many connections each worker of a server has, so that they spread over the workers."""

from __future__ import annotations

import mmap
import os

_ABSENT = 0xFFFF_FFFF


class Crowd:
    """Counts of connections, one for each worker, in memory that all of them and their parent share."""

    def __init__(self, fd: int, workers: int) -> None:
        """Map what `create` made, here or in the parent."""
        self._counts = memoryview(mmap.mmap(fd, workers * 4)).cast("I")

    @staticmethod
    def create(workers: int) -> int:
        """A file descriptor of such memory, for workers to inherit; none of them is there yet."""
        fd = os.memfd_create("gluon-workers")
        os.truncate(fd, workers * 4)
        crowd = Crowd(fd, workers)
        for worker in range(workers):
            crowd.leave(worker)
        return fd

    def tell(self, worker: int, connections: int) -> None:
        """A worker has so many connections now."""
        self._counts[worker] = connections

    def leave(self, worker: int) -> None:
        """A worker takes no connections any more."""
        self._counts[worker] = _ABSENT

    def is_ahead(self, connections: int) -> bool:
        """Whether some worker has fewer connections than that."""
        return connections > min(self._counts)
