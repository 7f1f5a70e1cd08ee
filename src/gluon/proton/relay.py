"""The relay: takes rows out of the outbox, writes them to etcd, and removes them."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Compare, Etcd, EtcdError, Op, RequestTooLarge
from gluon.etcd.election import Election
from gluon.etcd.errors import InvalidRequest
from gluon.etcd.keys import Keys
from gluon.etcd.records import KeyValue
from gluon.etcd.transaction import Result
from gluon.proton.batch import MAX_KEYS, MAX_ROWS, Batch, next_batch, size_of
from gluon.proton.relay_record import RelayRecord
from gluon.proton.relay_traces import RelayTraces
from gluon.store.database import Database, DatabaseError, Transaction, Work
from gluon.store.etcd_memory import EtcdMemory, Position, Remembered
from gluon.store.outbox import Outbox, OutboxRow

_log = logging.getLogger(__name__)

LEASE = 5
"""Seconds after which another server takes over from a relay that was killed or cut off."""

POLL = 1.0
"""Seconds until the outbox is looked at unasked, though the database tells of commits."""

SHORT_POLL = 0.05
"""The same, where the database can't tell of other servers' commits. Only the leader looks."""

MAX_OUTSTANDING = 512
"""Rows that are sent before the removal of earlier ones is waited for; the record holds them all."""

VERIFY = 2.0
"""Seconds between two looks of an idle relay whether etcd still has what it wrote last."""

READ_ROWS = 1024
READ_BYTES = 8 * 1024 * 1024
"""What is read from the outbox at a time at most: enough for several batches, small enough to hold."""

LATE = 30.0
"""Seconds that a row may wait before health speaks of it."""


class _NotLeader(Exception):
    """Another relay has taken over."""


class _Overtaken(Exception):
    """The record in etcd, or the memory of it, isn't the one that we know.

    A transaction of ours was applied after all, or another relay has taken over.
    """


@dataclass
class RelayCounters:
    """What the relay of this process has done so far, for health and metrics."""

    sent: int = 0
    """Transactions that were sent to etcd, whatever became of them."""
    batches: int = 0
    """Those that etcd took, as far as is known."""
    rows: int = 0
    recovered: int = 0
    """Rows that were found to be in etcd already, and only removed."""
    fenced: int = 0
    """Transactions that etcd refused: another relay leads by now, or a late one of ours came first."""
    overtaken: int = 0
    """Conditional changes that were dropped, because their keys had been written since."""
    set_aside: int = 0
    failures: int = 0
    histories_lost: int = 0
    last_error: str | None = None
    """Why it is not getting on; None while it is."""


class Relay:
    """Writes the outbox to etcd: every row, in order, exactly once, whoever dies when.

    **Life of a row.** Committed with its object → the database calls `on_commit` → it is read with all
    others that wait → a batch is made of the first of them → one etcd transaction writes the batch's keys
    and, to `/gluon/relay`, the record of its rows → the rows are removed from the outbox.

    **One writer.** Relays elect a leader by lease. Each transaction compares the leader's election
    key, so one that was paused and has lost its lease writes nothing when it goes on.

    **Exactly once.** Between the etcd transaction and the removal, a row is in both places. If the relay
    dies there, or never hears how its transaction went, the record says which rows those are. So before
    anything else a leader reads the record and removes its rows (`_recover`), and does so again whenever
    it doesn't know where it stands. Three rules make that enough:

    1. A record is overwritten only when the rows in it are gone from the database, or are in the new one
       as well. A batch may thus be sent while those before are still to be removed: its record carries
       the rows of all of them. What was sent during a removal is removed by the next one together.
    2. Each transaction also compares the record's mod_revision with the one that the leader knows. A
       transaction that timed out may still be on its way when we recover: without this comparison,
       etcd could apply the batch that we send again, and then the late one, which takes its keys back
       to older values. With it, whichever comes first makes the other fail, and we recover once more.
    3. Row ids are never used again, so removing what another leader has removed already does no harm.

    Reading ahead while a batch is in flight is safe: a snapshot may still show rows that were sent, but
    those are known and skipped (`_sent`), and no later snapshot shows an earlier row of the same key,
    because the object's row is locked when its outbox rows are numbered.

    **Order.** A batch is a prefix of what waits; the next one is sent when etcd has answered.

    **Conditions.** A row may name the mod_revision that its key must have. The relay reads those keys just
    before it sends their batch, leaves out the changes whose condition does not hold, and compares the
    others' in the transaction: if one of them is written in between, the batch is made again.

    **Lost history.** The revision of each batch is noted in the database when its rows are removed. A
    leader that finds another cluster, or an older record in etcd than that, knows that etcd was wiped or
    restored, and so does one whose client has seen it happen. It notes in the database that a resync is
    owed before it writes anything: what etcd is told from then on is no less right than before.

    **Trouble.** etcd away or out of space: bounded back-off, then recover and go on; the outbox grows
    meanwhile. A batch that etcd refuses for what it is gets halved, down to the row, which is set aside;
    the database holds back later rows of that key, and everything else goes on.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        etcd: Etcd,
        keys: Keys,
        *,
        lease: int = LEASE,
        memory: EtcdMemory | None = None,
        on_history_lost: Callable[[], Awaitable[None]] | None = None,
        on_batch: Callable[[Batch], None] | None = None,
        traces: RelayTraces | None = None,
    ) -> None:
        """With a `memory` a leader notes what it wrote, and that a resync is owed when etcd lost that.

        `on_history_lost` is awaited by a leader before it goes on, when etcd was wiped or restored.
        `on_batch` is told of each batch that etcd has taken; it must not raise. `traces`: where
        they are exported.
        """
        self.counters = RelayCounters()
        self.is_leader = False
        self._database = database
        self._outbox = outbox
        self._etcd = etcd
        self._record_key = keys.relay()
        name = f"{socket.gethostname()}:{os.getpid()}"
        self._election = Election(etcd, keys.relay_election(), name.encode(), lease)
        self._memory = memory
        self._on_history_lost = on_history_lost
        self._on_batch = on_batch
        self._traces = traces
        self._traces_prefix = keys.traces()
        self._traces_are_gone = False
        self._max_keys = traces.max_keys if traces is not None else MAX_KEYS
        self._known_losses = etcd.history.losses
        self._wake = asyncio.Event()
        self._backoff = Backoff()
        self._max_rows = MAX_ROWS
        self._record_revision = 0
        self._noted: Position | None = None
        self._verified = 0.0
        self._waiting: list[OutboxRow] = []
        self._more_to_come = False
        self._removal: asyncio.Task[None] | None = None
        self._removing: tuple[OutboxRow, ...] = ()
        self._sent: tuple[OutboxRow, ...] = ()
        database.on_commit(self._wake.set)

    async def run(self) -> None:
        """Stand for election, and relay while elected, until `stop` or cancelled."""
        await self._election.run(self._lead)

    def stop(self) -> None:
        """Have `run` return; another server may take over at once."""
        self._election.stop()

    @property
    def terms(self) -> int:
        """How often it was elected."""
        return self._election.counters.terms

    async def health(self) -> dict[str, Any]:
        """For the server's health report."""
        counters = self.counters
        report: dict[str, Any] = {"status": "ok", "leader": self.is_leader}
        reasons = []
        try:
            state = await self._database.read(self._outbox.state)
        except DatabaseError as error:
            return report | {"status": "failing", "reasons": [f"the outbox can't be read: {error}"]}
        report |= {"depth": state.depth, "lag": round(state.oldest_age or 0.0, 3)}
        report |= {"batches": counters.batches, "rows": counters.rows}
        report |= {"sent": counters.sent, "fenced": counters.fenced}
        if counters.last_error is not None:
            reasons.append(counters.last_error)
        if self._election.trouble is not None:
            # Whether another server relays can't be known without etcd.
            reasons.append(f"can't stand for election as the relay: {self._election.trouble}")
        if state.oldest_age is not None and state.oldest_age > LATE:
            reasons.append(f"changes wait for {state.oldest_age:.0f} s to reach etcd")
        if state.set_aside:
            reasons.append(
                f"etcd refuses {_count(state.set_aside, 'change')}, and {state.waiting} more "
                f"{'waits' if state.waiting == 1 else 'wait'} behind: table gluon_outbox_set_aside says why"
            )
        if counters.histories_lost and self._memory is None:
            reasons.append("etcd was wiped or restored: it lacks what was written before")
        return report | ({"status": "degraded", "reasons": reasons} if reasons else {})

    async def _lead(self) -> None:
        self.is_leader = True
        try:
            while True:
                try:
                    await self._relay()
                except _NotLeader:
                    self.counters.fenced += 1
                    return
                except _Overtaken:
                    self.counters.fenced += 1
                except (EtcdError, DatabaseError) as error:
                    self._failed(error)
                    await self._backoff.pause()
        finally:
            self.is_leader = False

    async def _relay(self) -> None:
        """Relay until something goes wrong."""
        self._waiting, self._more_to_come = [], True
        try:
            await self._recover()
            await self._clear_traces()
            while True:
                # Cleared before the database is read: what is committed from here on wakes us again.
                self._wake.clear()
                self._look_after_removal()
                if not self._waiting:
                    self._waiting = await self._read(self._outstanding)
                if self._waiting:
                    await self._send_next()
                else:
                    self._gets_on()
                    await self._sleep()
                    await self._verify()
        finally:
            await self._drop_removal()

    async def _verify(self) -> None:
        """Notice an etcd that was restored while nothing was to be written.

        Nobody else may: in a backup that is fresh enough all leases and watches go on, the election key too.
        """
        loop = asyncio.get_running_loop()
        if self._waiting or self._removal is not None or loop.time() < self._verified + VERIFY:
            return
        self._verified = loop.time()
        outcome = await self._etcd.transact(
            [Compare.mod_revision(self._record_key, "=", self._record_revision)], []
        )
        if not outcome.succeeded:
            raise _Overtaken

    async def _clear_traces(self) -> None:
        """Where traces aren't exported any more nobody else takes them away."""
        if self._traces is not None or self._traces_are_gone:
            return
        async for page in self._etcd.pages(self._traces_prefix, page=MAX_KEYS):
            await self._as_leader([Op.delete(item.key) for item in page.items])
        self._traces_are_gone = True

    async def _as_leader(self, operations: Sequence[Op]) -> tuple[Result, ...]:
        outcome = await self._etcd.transact([self._election.guard], operations)
        if not outcome.succeeded:
            raise _NotLeader
        return outcome.results

    async def _recover(self) -> None:
        """Find out where we stand: remove the rows that etcd has, and learn the record's revision."""
        [found] = await self._as_leader([Op.get(self._record_key)])
        self._record_revision = found.mod_revision if isinstance(found, KeyValue) else 0
        await self._notice_lost_history()
        record = RelayRecord.decode(found.value) if isinstance(found, KeyValue) else RelayRecord.of(())
        if record.rows:
            self.counters.recovered += await self._database.write(
                lambda tx: self._remove_recorded(tx, record)
            )

    async def _remove_recorded(self, tx: Transaction, record: RelayRecord) -> int:
        there = await self._outbox.still_there(tx, [row_id for row_id, _ in record.rows])
        ids = sorted(row_id for row_id, transaction in there if (row_id, transaction) in record.rows)
        await self._outbox.remove(tx, ids)
        return len(ids)

    async def _notice_lost_history(self) -> None:
        losses, memory = self._etcd.history.losses, self._memory
        remembered = await self._database.read(memory.recall) if memory is not None else None
        self._noted = remembered.position if remembered is not None else None
        contradiction = self._contradiction(remembered) if remembered is not None else None
        if losses == self._known_losses and contradiction is None:
            return
        reason = contradiction or "etcd was wiped or restored"
        _log.error("%s: it lacks what was written before", reason)
        self.counters.histories_lost += max(1, losses - self._known_losses)
        if memory is not None:
            cluster_id = self._etcd.history.cluster_id
            if not await self._database.write(lambda tx: memory.owe(tx, cluster_id, self._noted, reason)):
                raise _Overtaken
            self._noted = Position(cluster_id, 0)
        if self._on_history_lost is not None:
            await self._on_history_lost()
        self._known_losses = losses

    def _contradiction(self, remembered: Remembered) -> str | None:
        """Why this can't be the etcd that was written to last, as it was then."""
        found = self._etcd.history.cluster_id
        if found != remembered.cluster_id:
            return f"etcd was replaced or restored: its cluster is {found:x}, was {remembered.cluster_id:x}"
        if self._record_revision < remembered.revision:
            return (
                f"etcd was wiped or restored: the relay's last write is of revision {self._record_revision} "
                f"in it, and was of {remembered.revision}"
            )
        return None

    async def _read(self, skipped: Iterable[OutboxRow]) -> list[OutboxRow]:
        """The first rows that wait, but for those that etcd has or is being given."""
        ids = {row.id for row in skipped}
        limit = READ_ROWS + len(ids)
        rows = await self._outbox.look(self._database, limit, READ_BYTES)
        # Which of its bounds made the outbox stop it doesn't say; to assume that there is more is harmless.
        self._more_to_come = len(rows) == limit or sum(map(size_of, rows)) > READ_BYTES // 2
        return [row for row in rows if row.id not in ids]

    async def _send_next(self) -> None:
        batch = next_batch(
            self._waiting,
            more_to_come=self._more_to_come,
            max_keys=self._max_keys,
            max_rows=self._max_rows,
        )
        rest = self._waiting[len(batch.rows) :]
        ahead: asyncio.Task[list[OutboxRow]] | None = None
        if self._more_to_come and len(rest) < MAX_KEYS:
            ahead = asyncio.create_task(self._read((*self._outstanding, *batch.rows)))
        try:
            await self._send(batch)
            self._sent += batch.rows
            if self._removal is not None and len(self._outstanding) >= MAX_OUTSTANDING:
                await self._removal
            self._look_after_removal()
            self._waiting = rest if ahead is None else await ahead
        except (RequestTooLarge, InvalidRequest) as error:
            await self._refused(batch, error)
        finally:
            if ahead is not None:
                ahead.cancel()

    async def _send(self, batch: Batch) -> None:
        record = RelayRecord.of((*self._outstanding, *batch.rows))
        overtaken = await self._overtaken(batch.conditions)
        traces = self._traces.operations(batch, overtaken) if self._traces is not None else ()
        began = time.perf_counter()
        self.counters.sent += 1
        outcome = await self._etcd.transact(
            [
                self._election.guard,
                Compare.mod_revision(self._record_key, "=", self._record_revision),
                *[
                    Compare.mod_revision(key, "=", revision)
                    for key, revision in batch.conditions.items()
                    if key not in overtaken
                ],
            ],
            [
                Op.put(self._record_key, record.encode()),
                *[
                    Op.delete(key) if value is None else Op.put(key, value)
                    for key, value in batch.changes.items()
                    if key not in overtaken
                ],
                *traces,
            ],
        )
        if not outcome.succeeded:
            raise _Overtaken
        self._record_revision = outcome.revision
        self.counters.overtaken += len(overtaken) + batch.dropped
        if self._traces is not None:
            self._traces.sent(batch, outcome.revision, time.perf_counter() - began)
        self._succeeded(batch)

    async def _overtaken(self, conditions: Mapping[str, int]) -> frozenset[str]:
        """The keys whose conditions don't hold."""
        if not conditions:
            return frozenset()
        items = await self._as_leader([Op.get(key) for key in conditions])
        found = [item.mod_revision if isinstance(item, KeyValue) else 0 for item in items]
        return frozenset(k for k, now in zip(conditions, found, strict=True) if now != conditions[k])

    async def _refused(self, batch: Batch, error: EtcdError) -> None:
        if len(batch.rows) > 1:
            self._max_rows = len(batch.rows) // 2
            return
        (row,) = batch.rows
        reason = str(error)
        await self._database.write(lambda tx: self._outbox.set_aside(tx, row.id, reason))
        self.counters.set_aside += 1
        _log.error("etcd refuses outbox row %d, key %s; it is set aside: %s", row.id, row.key, reason)
        # The database holds back the rows of that key from now on; these were read before.
        self._waiting = [waiting for waiting in self._waiting if waiting.key != row.key]

    @property
    def _outstanding(self) -> tuple[OutboxRow, ...]:
        """The rows that etcd has, and the database may have still."""
        return self._removing + self._sent

    def _look_after_removal(self) -> None:
        """Begin to remove what was sent, once the removal before is done.

        Raises what that failed with; nothing more is sent then until the record was read again.
        """
        if self._removal is not None:
            if not self._removal.done():
                return
            self._removal.result()
            self._removal, self._removing = None, ()
        if self._sent:
            self._removal = asyncio.create_task(self._database.write(self._removing_what_was_sent()))
            self._removal.add_done_callback(lambda _: self._wake.set())

    def _removing_what_was_sent(self) -> Work[None]:
        ids, memory = [row.id for row in self._sent], self._memory
        now, last = Position(self._etcd.history.cluster_id, self._record_revision), self._noted

        async def work(tx: Transaction) -> None:
            await self._outbox.remove(tx, ids)
            if memory is not None and not await memory.note(tx, now, last):
                # A leader that was paused here: the rows are the next one's to remove.
                raise _Overtaken

        self._removing, self._sent, self._noted = self._sent, (), now
        return work

    async def _drop_removal(self) -> None:
        """Wait for a removal that has begun: cancelled or failed, its rows stand in the record."""
        removal, self._removal = self._removal, None
        self._removing, self._sent = (), ()
        if removal is not None:
            removal.cancel()
            await asyncio.wait((removal,))
            if not removal.cancelled():
                removal.exception()

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL if self._database.tells_of_commits else SHORT_POLL):
                await self._wake.wait()

    def _succeeded(self, batch: Batch) -> None:
        self._max_rows = min(MAX_ROWS, self._max_rows * 2)
        self.counters.batches += 1
        self.counters.rows += len(batch.rows)
        if self._on_batch is not None:
            self._on_batch(batch)
        self._gets_on()

    def _gets_on(self) -> None:
        self._backoff.reset()
        if self.counters.last_error is not None:
            _log.info("relaying to etcd again")
            self.counters.last_error = None

    def _failed(self, error: Exception) -> None:
        self.counters.failures += 1
        if self.counters.last_error is None:
            _log.warning("can't relay to etcd, trying again: %s", error)
        self.counters.last_error = str(error)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
