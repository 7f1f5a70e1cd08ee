"""A lease that is kept alive, and granted anew when it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError, LeaseNotFound
from gluon.etcd.stopping import run_until

_log = logging.getLogger(__name__)

OnGrant = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class LeaseCounters:
    """What a keeper has done so far, for health and metrics."""

    grants: int = 0
    renewals: int = 0
    losses: int = 0
    failures: int = 0
    last_error: str | None = None


class LeaseKeeper:
    """Holds one lease of `ttl` seconds after the other, renewing each three times in its life.

    A lease is lost when etcd says so, when etcd lost its history, and when no renewal came through for `ttl`
    seconds, counted from before the last one was sent: `alive` never outlives what etcd has promised, even
    in a process that was paused. Then a new one is granted as soon as etcd can be asked.

    `on_grant` is awaited with each new lease's id, the first included: that is where holders put their keys
    (again). Its EtcdErrors are tried again while that lease lives; what else it raises ends `run`.
    """

    def __init__(self, client: Etcd, ttl: int, on_grant: OnGrant | None = None) -> None:
        self.id = 0
        """The lease to put keys with; 0 while there is none."""
        self.counters = LeaseCounters()
        self._client = client
        self._ttl = ttl
        # A member that is cut off must not use up the time in which another could renew the lease.
        self._patience = min(client.timeout, ttl / 5) if len(client.endpoints) > 1 else client.timeout
        self._on_grant = on_grant
        self._expires_at = 0.0
        self._losses = 0
        self._granted = asyncio.Event()
        self._lost = asyncio.Event()
        self._lost.set()
        self._stop = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether etcd has promised that the lease, and the keys put with it, are there now."""
        return self.id != 0 and asyncio.get_running_loop().time() < self._expires_at

    async def granted(self) -> int:
        """The id of the lease, as soon as there is one."""
        await self._granted.wait()
        return self.id

    async def lost(self) -> None:
        """Return when the present lease is lost; at once when there is none."""
        await self._lost.wait()

    async def run(self) -> None:
        """Keep a lease until `stop` or cancelled; then revoke it, with all keys that it holds."""
        try:
            await run_until(self._stop, self._work())
        finally:
            lease_id = self.id
            self._end()
            if lease_id:
                await self._revoke(lease_id)

    def stop(self) -> None:
        """Have `run` revoke the lease and return."""
        self._stop.set()

    async def _revoke(self, lease_id: int) -> None:
        try:
            await self._client.revoke(lease_id)
        except EtcdError as error:
            _log.info("lease %x is left to expire: %s", lease_id, error)

    async def _work(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._grant()
                backoff.reset()
                await self._hold()
            except EtcdError as error:
                if self.id:
                    self.counters.losses += 1
                    _log.warning("lost lease %x: %s", self.id, error)
                self._failed(error)
                self._end()
            await backoff.pause()

    async def _grant(self) -> None:
        sent_at = asyncio.get_running_loop().time()
        self._losses = self._client.history.losses
        self.id = await self._client.grant(self._ttl)
        self._expires_at = sent_at + self._ttl
        self.counters.grants += 1
        self._lost.clear()
        self._granted.set()

    def _end(self) -> None:
        self.id = 0
        self._granted.clear()
        self._lost.set()

    async def _hold(self) -> None:
        """Renew the lease, and tell the holder of it meanwhile; raises when it is lost, never returns."""
        tasks = [asyncio.ensure_future(self._renew()), asyncio.ensure_future(self._tell())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff()
        wait = self._ttl / 3
        while True:
            await asyncio.sleep(min(wait, self._expires_at - loop.time()))
            sent_at = loop.time()
            try:
                async with asyncio.timeout_at(self._expires_at):
                    granted = await self._client.keep_alive(self.id, within=self._patience)
            except LeaseNotFound:
                raise
            except TimeoutError as error:
                raise LeaseNotFound(f"no renewal came through for {self._ttl} s") from error
            except EtcdError as error:
                self._failed(error)
                wait = backoff.delay()
                continue
            if self._client.history.losses != self._losses:
                raise LeaseNotFound("etcd lost its history")
            self._expires_at = sent_at + granted
            self.counters.renewals += 1
            backoff.reset()
            wait = self._ttl / 3

    async def _tell(self) -> None:
        backoff = Backoff()
        while self._on_grant is not None:
            try:
                await self._on_grant(self.id)
                return
            except LeaseNotFound:
                raise
            except EtcdError as error:
                self._failed(error)
                await backoff.pause()

    def _failed(self, error: EtcdError) -> None:
        self.counters.failures += 1
        self.counters.last_error = str(error)
