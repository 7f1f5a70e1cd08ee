"""Electing one of several processes: who creates the key first leads, for as long as its lease lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError
from gluon.etcd.lease import LeaseKeeper
from gluon.etcd.records import KeyValue
from gluon.etcd.stopping import run_until
from gluon.etcd.transaction import Compare, Op

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ElectionCounters:
    """What a candidate has done so far, for health and metrics."""

    terms: int = 0
    failures: int = 0
    last_error: str | None = None


class Election:
    """One candidate for `key`, which holds the leader's `value` under a lease of `ttl` seconds.

    Being elected is no proof: a process may be paused, and another one elected meanwhile. So each
    transaction of a leader must compare `guard`, and a leader whose guard fails must return.
    """

    def __init__(self, client: Etcd, key: str, value: bytes, ttl: int) -> None:
        self.counters = ElectionCounters()
        self._client = client
        self._key = key
        self._value = value
        self._lease = LeaseKeeper(client, ttl)
        self._revision = 0
        self._leases: set[int] = set()
        """All that this candidate ever stood with."""
        self._stop = asyncio.Event()

    @property
    def leading(self) -> bool:
        """Whether this candidate is elected, as far as it knows."""
        return self._revision != 0

    @property
    def trouble(self) -> str | None:
        """Why this candidate can't even stand; None while it leads, or waits for another to go."""
        return None if self._lease.alive else self._lease.counters.last_error

    @property
    def guard(self) -> Compare:
        """Holds in etcd for this term only: the leader compares it in each of its transactions.

        Raises RuntimeError for who isn't leading.
        """
        if not self.leading:
            raise RuntimeError(f"not elected for {self._key}")
        return Compare.create_revision(self._key, "=", self._revision)

    async def run(self, leader: Callable[[], Awaitable[None]]) -> None:
        """Stand for election until `stop` or cancelled; run `leader` while elected.

        The leader is cancelled when the lease is lost, or etcd its history. When it returns, or raises an
        EtcdError, the key is given up and the candidate stands again; what else it raises ends `run`. At the
        end the leader is cancelled first, then the key is given up: the next one is elected at once.
        """
        keeping = asyncio.ensure_future(self._lease.run())
        standing = asyncio.ensure_future(run_until(self._stop, self._stand(leader)))
        try:
            await asyncio.wait((keeping, standing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            standing.cancel()
            await asyncio.wait((standing,))
            self._lease.stop()
            await asyncio.wait((keeping,))
        keeping.result()
        standing.result()

    def stop(self) -> None:
        """Have `run` give up the key and return."""
        self._stop.set()

    async def _stand(self, leader: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff()
        while True:
            lease_id = await self._lease.granted()
            self._leases.add(lease_id)
            try:
                holder = await self._claim(lease_id)
                if holder is not None:
                    await self._vacancy(holder)
                    backoff.reset()
                    continue
                await self._lead(leader)
            except EtcdError as error:
                self.counters.failures += 1
                self.counters.last_error = str(error)
            await backoff.pause()

    async def _claim(self, lease_id: int) -> KeyValue | None:
        """Become the leader, or learn who is."""
        outcome = await self._client.transact(
            [Compare.create_revision(self._key, "=", 0)],
            [Op.put(self._key, self._value, lease_id)],
            [Op.get(self._key)],
        )
        if outcome.succeeded:
            self._revision = outcome.revision
            return None
        [holder] = outcome.results
        if not isinstance(holder, KeyValue):
            raise EtcdError(f"etcd says that {self._key} exists, and that it doesn't")
        if holder.lease == lease_id:
            # An earlier claim was applied, but its answer never came.
            self._revision = holder.create_revision
            return None
        if holder.lease in self._leases:
            # etcd was away for longer than the lease, and counts it anew from its return. Nobody leads by it.
            await self._client.transact(
                [Compare.create_revision(self._key, "=", holder.create_revision)], [Op.delete(self._key)]
            )
            return await self._claim(lease_id)
        return holder

    async def _vacancy(self, holder: KeyValue) -> None:
        """Return when the holder's key is gone."""
        async with self._client.watch(self._key, holder.mod_revision + 1, exact=True) as watch:
            async for batch in watch:
                if any(event.value is None for event in batch.events):
                    return

    async def _lead(self, leader: Callable[[], Awaitable[None]]) -> None:
        self.counters.terms += 1
        _log.info("elected for %s in revision %d", self._key, self._revision)
        guard = self.guard
        leading = asyncio.ensure_future(leader())
        losing = asyncio.ensure_future(self._lease.lost())
        try:
            await asyncio.wait((leading, losing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            losing.cancel()
            leading.cancel()
            await asyncio.wait((leading,))
            self._revision = 0
            _log.info("no longer elected for %s", self._key)
        try:
            if not leading.cancelled():
                leading.result()
        finally:
            if self._lease.alive:
                await self._client.transact([guard], [Op.delete(self._key)])
