"""Resync: finds where etcd and the database differ, and has the relay put it right.

For an etcd that was wiped, or restored from a backup, and for an operator who wants to know. The database is
the truth; it may change all the time meanwhile.

**Life of a difference.** A page of keys is read from etcd → then their rows from the database: all that is
alike is done with, which is nearly everything → a key with rows in the outbox is on its way, and skipped →
a key that differs is read from etcd once more: if it was written since, the relay has been there, and
what it wrote is right → what still differs is a difference → in a transaction that locks the object's row
all of that is looked at again, and a row goes into the outbox. Nothing is ever written to etcd from here.
After the pages of etcd come those of the database, for keys that etcd doesn't have.

**Why a difference is one.** A row leaves the outbox after etcd has its value. So if a key has the same
mod_revision before and after the database was read, and no rows were waiting then, etcd had all that had
ever been put for it, and differs nevertheless. (Read the other way round, database first, a fresh write looks
like a difference: row read at revision 1 → changed to 2 and relayed → etcd read.)

**Why a repair undoes no fresh write.** Three things make that sure, each against another interleaving:

1. The value that is put is read under the lock of the object's row, in the transaction that puts it. An older
   one, from a page: row read at revision 1 → changed to 2, relayed → revision 1 put: etcd goes back.
2. The row in the outbox is numbered while that lock is held, as those of all changes are. So it comes
   after the rows of all changes that it has seen, and before those of all others.
3. The row is conditional: the relay carries it out only while the key has the mod_revision that was found
   (0: isn't there). Where there is no row to lock, this alone protects: etcd has a key → no row in
   the database → an object is created under that key, its outbox row is numbered 99, and its transaction
   not committed yet → the deletion of the stray is numbered 100, and committed → so is the creation →
   without the condition the relay puts 99 and then deletes. With it, whichever comes first: after 99 the
   key has another mod_revision, and the deletion is dropped; before it, only the stray goes.

A condition alone would not do either: a key that isn't there is like one that was put and deleted again (0
both times), and a creation could follow a deletion. There 2 protects: who deletes waits for the lock.
(A node of a Galera cluster locks for itself alone, and only this last case, a repair of a missing key on one
node beside the deletion of the same object on another, is left open there: write through one node.)

Two resyncs at once do no harm: what the first has put right the second finds right, or is overtaken by it.

Memory: a page of either side, and 64 bits for each key that etcd has. etcd's order of keys is not the
database's (keys are percent-encoded there: `a/b` comes before `a-b`; 10 before 9), so they can't be merged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from gluon.etcd.client import Compacted, Etcd, Op
from gluon.etcd.keys import Keys
from gluon.etcd.records import KeyValue
from gluon.proton.controllers import NO_CONTROLLERS, ControllersByService
from gluon.proton.documents import EtcdDocuments
from gluon.proton.key_ranges import LEFT_ALONE, KeyRange, Wanted
from gluon.proton.resync_scope import EVERYTHING, Part, Scope, StoredServices, model_keys
from gluon.store.database import Database, Transaction
from gluon.store.outbox import Outbox

PAGE = 500
"""Keys that are read at a time from either side: large enough for speed, small for everyone else's turn."""

AT_ONCE = 100
"""Keys that are put right in one transaction: their rows are locked for that long."""

MOST_WAITING = 1_000
"""Rows of a resync in the outbox: fresh changes queue behind them, so these must be few."""

STALLED = 10.0
"""Seconds without any progress of the relay after which rows are put without waiting for it."""

_POLL = 0.02
_ATTEMPTS = 5
"""How often a range is begun anew, when the revision that it was being read at was compacted away."""

_encode = msgspec.json.Encoder(order="sorted").encode

Progress = Callable[[int, int], None]
"""Told of how many keys are done, and how many there are (about: both may change)."""


@dataclass(slots=True)
class Counts:
    """Keys by what a resync found; for a check, what a repair would do."""

    correct: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    waiting: int = 0
    """Keys that were skipped, because changes of theirs are on their way already."""

    @property
    def differences(self) -> int:
        """Keys that were not right."""
        return self.created + self.updated + self.deleted

    def report(self) -> dict[str, int]:
        """`{"correct", "created", "updated", "deleted"}`. What is on its way needs no repair: correct."""
        return {
            "correct": self.correct + self.waiting,
            "created": self.created,
            "updated": self.updated,
            "deleted": self.deleted,
        }


class Resync:
    """Compares, and repairs; see above for how."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        etcd: Etcd,
        keys: Keys,
        public_url: str,
        *,
        own_url_counts: bool = True,
        controllers: ControllersByService = NO_CONTROLLERS,
    ) -> None:
        """`public_url` goes into `/gluon/port/<id>`; unless `own_url_counts`, other URLs there are right too.

        That is for servers that were not told one: several of them have written their own.
        """
        self._database = database
        self._outbox = outbox
        self._etcd = etcd
        self._keys = keys
        self._documents = EtcdDocuments(keys, public_url)
        self._own_url_counts = own_url_counts
        self._controllers = controllers

    async def check(self, scope: Scope = EVERYTHING, progress: Progress | None = None) -> Counts:
        """What differs now. Raises UnknownScope, EtcdError, DatabaseError."""
        return await self._run(scope, progress, repair=False)

    async def repair(self, scope: Scope = EVERYTHING, progress: Progress | None = None) -> Counts:
        """Have the relay put right what differs; it is in the outbox then. Raises as `check` does."""
        return await self._run(scope, progress, repair=True)

    async def repair_models(self) -> Counts:
        """Have the relay put right what etcd has of the models that there are: `[controllers]` may say
        something else now. Raises EtcdError, DatabaseError.
        """
        services = await StoredServices.read(self._database)
        keys = model_keys(self._keys, services.names, self._database, self._controllers)
        names, _ = await self._database.read(_next_keys(keys, None))
        pass_ = _Pass(self._database, self._outbox, self._etcd, None, repair=True)
        return await pass_.run([Part(keys, tuple(names))])

    async def _run(self, scope: Scope, progress: Progress | None, *, repair: bool) -> Counts:
        services = await StoredServices.read(self._database)
        parts = services.parts(
            *(scope, self._keys, self._documents, self._database),
            own_url_counts=self._own_url_counts,
            controllers=self._controllers,
        )
        pass_ = _Pass(self._database, self._outbox, self._etcd, progress, repair=repair)
        return await pass_.run(parts)


class _Pass:
    """One pass over the keys."""

    def __init__(
        self, database: Database, outbox: Outbox, etcd: Etcd, progress: Progress | None, *, repair: bool
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._etcd = etcd
        self._progress = progress
        self._repair = repair
        self._counts = Counts()
        self._total = 0
        self._left_waiting: int | None = None

    async def run(self, parts: Iterable[Part]) -> Counts:
        parts = list(parts)

        async def count(tx: Transaction) -> int:
            return sum([await p.range.count(tx) if p.named is None else len(p.named) for p in parts])

        self._total = await self._database.read(count)
        for part in parts:
            if part.named is None:
                await self._look_at_all(part.range)
            else:
                await self._look_at(part.range, await self._now(part.named))
        return self._counts

    async def _look_at_all(self, range_: KeyRange) -> None:
        seen: set[int] = set()
        for attempt in range(_ATTEMPTS):
            try:
                async for page in self._etcd.pages(range_.prefix, page=PAGE):
                    items = {item.key: item for item in page.items if hash(item.key) not in seen}
                    await self._look_at(range_, items)
                    seen.update(map(hash, items))
            except Compacted:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                break
        marker: Any = None
        while True:
            keys, marker = await self._database.read(_next_keys(range_, marker))
            await self._look_at(range_, {key: None for key in keys if hash(key) not in seen})
            if marker is None:
                return

    async def _look_at(self, range_: KeyRange, found: Mapping[str, KeyValue | None]) -> None:
        if not found:
            return
        values = {key: item.value if item is not None else None for key, item in found.items()}

        async def work(tx: Transaction) -> tuple[Wanted, list[str], set[str]]:
            wanted = await range_.wanted(tx, values)
            differing = [key for key in values if not _agree(key, values[key], wanted)]
            return wanted, differing, await self._outbox.waiting_keys(tx, differing)

        wanted, differing, waiting = await self._database.read(work)
        self._counts.correct += sum(wanted.get(key) is not LEFT_ALONE for key in found) - sum(
            key in wanted for key in differing
        )
        self._counts.waiting += len(waiting)
        for keys in _chunks([key for key in differing if key not in waiting], AT_ONCE):
            now = await self._now(keys)
            still = {key: item for key, item in now.items() if _revision(item) == _revision(found[key])}
            self._counts.correct += len(now) - len(still)
            await self._settle(range_, still, wanted)
            self._tell()
        self._tell()

    async def _settle(self, range_: KeyRange, found: Mapping[str, KeyValue | None], wanted: Wanted) -> None:
        """Count differences, and have them put right."""
        if self._repair and found:
            await self._room()
            counted = await self._database.write(lambda tx: self._queue(tx, range_, found))
        else:
            counted = [_kind(item, wanted.get(key)) for key, item in found.items()]
        for kind in counted:
            setattr(self._counts, kind, getattr(self._counts, kind) + 1)

    async def _queue(
        self, tx: Transaction, range_: KeyRange, found: Mapping[str, KeyValue | None]
    ) -> list[str]:
        values = {key: item.value if item is not None else None for key, item in found.items()}
        wanted = await range_.wanted(tx, values, lock=True)
        # After the lock: all that was put for these objects can be seen from now on.
        waiting = await self._outbox.waiting_keys(tx, list(found))
        kinds, changes = [], []
        for key, item in found.items():
            if key in waiting:
                kinds.append("waiting")
            elif _agree(key, values[key], wanted):
                kinds.append("correct")
            else:
                kinds.append(_kind(item, wanted.get(key)))
                changes.append((key, wanted.get(key), _revision(item)))
        await self._outbox.add_if_unchanged(tx, changes)
        return kinds

    async def _room(self) -> None:
        """Return when the relay has taken enough of the rows that were put, or takes none."""
        loop = asyncio.get_running_loop()
        least, since = self._left_waiting, loop.time() - (STALLED if self._left_waiting is not None else 0.0)
        while (depth := await self._database.read(self._outbox.conditional_depth)) > MOST_WAITING:
            if least is None or depth < least:
                least, since = depth, loop.time()
            if loop.time() >= since + STALLED:
                # Nobody relays. Not to be waited out again, unless somebody begins to.
                self._left_waiting = depth
                return
            await asyncio.sleep(_POLL)
        self._left_waiting = None

    async def _now(self, keys: Iterable[str]) -> dict[str, KeyValue | None]:
        found: dict[str, KeyValue | None] = {}
        for some in _chunks(keys, AT_ONCE):
            outcome = await self._etcd.transact([], [Op.get(key) for key in some])
            for key, item in zip(some, outcome.results, strict=True):
                found[key] = item if isinstance(item, KeyValue) else None
        return found

    def _tell(self) -> None:
        if self._progress is not None:
            done = sum(self._counts.report().values())
            self._progress(done, max(done, self._total))


def _next_keys(range_: KeyRange, marker: Any) -> Callable[[Transaction], Any]:
    async def work(tx: Transaction) -> tuple[list[str], Any]:
        return await range_.keys_after(tx, marker, PAGE)

    return work


def _chunks(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(keys)
    while chunk := list(islice(rest, size)):
        yield chunk


def _revision(item: KeyValue | None) -> int:
    return item.mod_revision if item is not None else 0


def _kind(item: KeyValue | None, wanted: bytes | None) -> str:
    if item is None:
        return "created"
    return "deleted" if wanted is None else "updated"


def _agree(key: str, value: bytes | None, wanted: Wanted) -> bool:
    if key not in wanted:
        return value is None
    right = wanted[key]
    return right is LEFT_ALONE or value == right or (value is not None and _same_json(value, right))


def _same_json(one: bytes, other: bytes) -> bool:
    """Whether readers see the same: the order of members doesn't matter, and 1, 1.0 and true all differ."""
    try:
        return _encode(msgspec.json.decode(one)) == _encode(msgspec.json.decode(other))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
