"""Whether etcd still is the etcd that we know: its cluster, and the highest revision that it has told us."""

from __future__ import annotations

from collections.abc import Callable

from gluon.etcd import rpc_pb2 as rpc
from gluon.etcd.errors import HistoryLost


class History:
    """What one client remembers of etcd's past, over all its endpoints and reconnections.

    A revision that goes backwards needs care: answers to concurrent requests arrive in any order. So an
    answer is only held against the revision that was known when its request was sent. A wiped etcd of the
    same name and address has the same cluster id (it is a hash of these): the revision is the better witness.
    """

    def __init__(self, on_loss: Callable[[], None] = lambda: None) -> None:
        """`on_loss` is called before HistoryLost is raised."""
        self._on_loss = on_loss
        self.cluster_id = 0
        self.revision = 0
        self.losses = 0

    def mark(self) -> tuple[int, int]:
        """What to remember before sending a request, for `observe`."""
        return self.losses, self.revision

    def observe(self, header: rpc.ResponseHeader, mark: tuple[int, int]) -> None:
        """Learn from the header of a linearizable answer; raises HistoryLost when it contradicts the past."""
        self.observe_cluster(header)
        losses, known = mark
        if losses != self.losses:
            return
        revision = header.revision
        if revision < known:
            self._lost(header, f"its revision went back from {known} to {revision}")
        if revision > self.revision:
            self.revision = revision

    def observe_cluster(self, header: rpc.ResponseHeader) -> None:
        """Learn from an answer whose revision may lag (of a lease, a status): only its cluster counts."""
        if header.cluster_id == self.cluster_id:
            return
        if self.cluster_id:
            self._lost(header, f"its cluster id changed from {self.cluster_id:x} to {header.cluster_id:x}")
        self.cluster_id = header.cluster_id

    def observe_events(self, revision: int, losses: int) -> None:
        """Learn from a watch that began after so many losses: what it delivers is committed."""
        if losses == self.losses:
            self.revision = max(self.revision, revision)

    def lost_in_watch(self, header: rpc.ResponseHeader, start_revision: int) -> None:
        """A watch was to start behind the end of history; raises HistoryLost."""
        self._lost(header, f"it is at revision {header.revision}, before {start_revision} that was to follow")

    def _lost(self, header: rpc.ResponseHeader, why: str) -> None:
        self.cluster_id = header.cluster_id
        self.revision = header.revision
        self.losses += 1
        self._on_loss()
        raise HistoryLost(f"etcd was wiped or restored: {why}")
