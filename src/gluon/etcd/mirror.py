"""A copy of the keys below a prefix that follows etcd, and tells a listener what changed.

Life of a change: etcd writes a key → the watch brings it → the mirror holds it → the listener is told. When
the watch's connection broke, it resumes behind the last revision that was told, if etcd can prove that it
still has the history that the mirror followed; in all other cases (compaction, a cancelled watch, lost
history) the mirror lists everything anew, and tells the differences, missed deletions included.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Etcd
from gluon.etcd.errors import Compacted, EtcdError, EtcdUnavailable, HistoryLost, WatchCancelled
from gluon.etcd.records import Event, KeyValue, WatchBatch
from gluon.etcd.stopping import run_until
from gluon.etcd.watch import Watch

_log = logging.getLogger(__name__)

_STANDS = 1.0
"""Seconds after which a watch counts as standing: one that ends sooner makes the next try come later."""

_TOLD_AT_A_TIME = 1_000
"""Changes in one call of the listener, when a list is compared: other work must get its turn."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key has a new value, or is gone (`value` is None).

    `previous` is the value that it had in the mirror: None when it had none, or the mirror keeps no values.
    The `mod_revision` of a deletion that was missed is that of the list which it was missing in.
    """

    key: str
    value: bytes | None
    mod_revision: int
    previous: bytes | None


Listener = Callable[[Sequence[Change]], None]


@dataclass(slots=True)
class MirrorCounters:
    """What a mirror has done so far, for health and metrics."""

    lists: int = 0
    resumes: int = 0
    changes: int = 0
    failures: int = 0
    compactions: int = 0
    cancellations: int = 0
    histories_lost: int = 0
    last_error: str | None = None


class Mirror:
    """Keeps a copy of all keys below `prefix`.

    The listener is a plain function, called in the event loop with one or more changes, in their order. It
    must not raise: what it raises ends `run`. A key's mod_revision never goes back from one change to the
    next, but after etcd was wiped or restored: then the changes lead from what was told to what is there.

    With `keep_values` off only revisions are remembered: little memory, but no `get`, `items` and `previous`.

    `synced` is set while the mirror follows etcd: it has told all that was there, and its watch stands.
    """

    def __init__(self, client: Etcd, prefix: str, listener: Listener, *, keep_values: bool = True) -> None:
        self.prefix = prefix
        self.synced = asyncio.Event()
        self.counters = MirrorCounters()
        self.revision = 0
        """Everything up to this revision of etcd was told."""
        self._client = client
        self._listener = listener
        self._revisions: dict[str, int] = {}
        self._values: dict[str, bytes] | None = {} if keep_values else None
        self._must_list = True
        self._losses = client.history.losses
        self._watch: Watch | None = None
        self._stop = asyncio.Event()

    @property
    def silence(self) -> float | None:
        """Seconds since etcd last said anything on the watch; it grows while no watch stands.

        None before the first one.
        """
        return time.monotonic() - self._watch.heard_at if self._watch is not None else None

    def __len__(self) -> int:
        return len(self._revisions)

    def __contains__(self, key: object) -> bool:
        return key in self._revisions

    def get(self, key: str) -> bytes | None:
        """The value of a key; None when it isn't there."""
        return self._kept().get(key)

    def items(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """Keys and values below a prefix, in no order; not to be used across an `await`."""
        return ((key, value) for key, value in self._kept().items() if key.startswith(prefix))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Keys below a prefix, in no order; not to be used across an `await`."""
        return (key for key in self._revisions if key.startswith(prefix))

    def mod_revision(self, key: str) -> int:
        """The revision that a key was last written in; 0 when it isn't there."""
        return self._revisions.get(key, 0)

    async def run(self) -> None:
        """Follow etcd until `stop` or cancelled, through all its failures."""
        try:
            await run_until(self._stop, self._follow())
        finally:
            self.synced.clear()

    def stop(self) -> None:
        """Have `run` return; the copy stays as it is."""
        self._stop.set()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff()
        failing = False
        while True:
            stands_at = float("inf")
            try:
                await self._catch_up()
                async with self._client.watch(self.prefix, self.revision + 1) as watch:
                    self._watch = watch
                    self.synced.set()
                    stands_at = loop.time() + _STANDS
                    if failing:
                        failing = False
                        _log.info("following %s in etcd again, from revision %d", self.prefix, self.revision)
                    async for batch in watch:
                        self._take(batch)
            except EtcdError as error:
                self._count(error)
                if not failing:
                    failing = True
                    _log.warning("can't follow %s in etcd, trying again: %s", self.prefix, error)
            finally:
                self.synced.clear()
            if loop.time() > stands_at:
                backoff.reset()
            await backoff.pause()

    def _count(self, error: EtcdError) -> None:
        self.counters.failures += 1
        self.counters.last_error = str(error)
        self.counters.compactions += isinstance(error, Compacted)
        self.counters.cancellations += isinstance(error, WatchCancelled)
        self.counters.histories_lost += isinstance(error, HistoryLost)
        # A broken connection alone is no reason to read everything again.
        if not isinstance(error, EtcdUnavailable):
            self._must_list = True
            # Whatever etcd has against our revision, it may be that it never had it.
            if not isinstance(error, (Compacted, WatchCancelled)):
                self._losses = -1

    async def _catch_up(self) -> None:
        if not self._must_list and await self._history_holds():
            self.counters.resumes += 1
            return
        self._must_list = True
        await self._list()
        self._must_list = False

    async def _history_holds(self) -> bool:
        """Whether etcd, at our revision, has the newest key that we know, as we know it.

        One that was wiped or restored and filled since may be at any revision. This costs one read.
        """
        if not self._revisions:
            return False
        witness = max(self._revisions, key=self._revisions.__getitem__)
        found = await self._client.get(witness, revision=self.revision)
        if found is not None and found.mod_revision == self._revisions[witness]:
            return self._client.history.losses == self._losses
        self.counters.histories_lost += 1
        self._losses = -1
        return False

    async def _list(self) -> None:
        seen: set[str] = set()
        async for page in self._client.pages(self.prefix):
            # Only now it is known whether etcd is still the same; revisions of another past mean nothing.
            same_history = self._client.history.losses == self._losses
            seen.update(item.key for item in page.items)
            self._tell([self._put(item) for item in page.items if not self._is_known(item, same_history)])
            revision = page.revision
        gone = [key for key in self._revisions if key not in seen]
        for at in range(0, len(gone), _TOLD_AT_A_TIME):
            self._tell([self._remove(key, revision) for key in gone[at : at + _TOLD_AT_A_TIME]])
            await asyncio.sleep(0)
        self.counters.lists += 1
        self.revision = revision
        self._losses = self._client.history.losses

    def _is_known(self, item: KeyValue, same_history: bool) -> bool:
        if self._revisions.get(item.key) != item.mod_revision:
            return False
        return same_history or (self._values is not None and self._values[item.key] == item.value)

    def _take(self, batch: WatchBatch) -> None:
        self._tell([self._apply(event) for event in batch.events])
        self.revision = batch.revision

    def _apply(self, event: Event) -> Change:
        if event.value is None:
            return self._remove(event.key, event.mod_revision)
        return self._put(event)

    def _put(self, item: KeyValue | Event) -> Change:
        value = item.value or b""
        previous = None
        self._revisions[item.key] = item.mod_revision
        if self._values is not None:
            previous = self._values.get(item.key)
            self._values[item.key] = value
        return Change(item.key, value, item.mod_revision, previous)

    def _remove(self, key: str, revision: int) -> Change:
        self._revisions.pop(key, None)
        previous = self._values.pop(key, None) if self._values is not None else None
        return Change(key, None, revision, previous)

    def _tell(self, changes: Sequence[Change]) -> None:
        if changes:
            self.counters.changes += len(changes)
            self._listener(changes)

    def _kept(self) -> dict[str, bytes]:
        if self._values is None:
            raise RuntimeError(f"the mirror of {self.prefix} keeps no values")
        return self._values
