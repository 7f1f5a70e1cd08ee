"""That this server is alive, and which models it serves, for everyone who watches etcd."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from uuid import uuid4

import msgspec

from gluon import __version__
from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Etcd, EtcdError
from gluon.etcd.keys import Keys
from gluon.etcd.lease import LeaseKeeper
from gluon.store.timestamps import utc_now

LEASE = 10
"""Seconds until a server that was killed is no longer listed."""

Digests = Mapping[str, Mapping[str, str]]
"""Service to version to the digest of the model."""


class Presence:
    """Keeps `/gluon/servers/<id>` under a lease.

    The value is `{"models", "started", "host", "pid", "version", "bind_timeout"}`.

    Each start of a server is an id of its own, so that a new one never takes the key of one whose
    lease has still to expire.
    """

    def __init__(
        self, etcd: Etcd, keys: Keys, digests: Digests, *, bind_timeout: float = 0.0, lease: int = LEASE
    ) -> None:
        self.id = uuid4().hex
        self._etcd = etcd
        self._key = keys.server(self.id)
        self._servers = keys.servers()
        self._bind_timeout = self._longest_bind_timeout = bind_timeout
        self._digests = digests
        self._started = utc_now()
        self._lease = LeaseKeeper(etcd, lease, self._put)
        self._changed = asyncio.Event()

    def publish(self, digests: Digests) -> None:
        """Serve other models from now on."""
        self._digests = digests
        self._changed.set()

    async def run(self) -> None:
        """Be present until `stop`, which takes the key away at once, or cancelled."""
        publishing = asyncio.create_task(self._publish_changes())
        try:
            await self._lease.run()
        finally:
            publishing.cancel()
            await asyncio.wait((publishing,))

    def stop(self) -> None:
        """Have `run` return."""
        self._lease.stop()

    async def longest_bind_timeout(self) -> float:
        """The longest `bind_timeout` of all servers that are present, in seconds.

        While etcd is away, what it was when last asked.
        """
        try:
            listing = await self._etcd.list(self._servers)
        except EtcdError:
            return self._longest_bind_timeout
        found = [_bind_timeout(item.value) for item in listing.items]
        self._longest_bind_timeout = max([self._bind_timeout, *found])
        return self._longest_bind_timeout

    async def _publish_changes(self) -> None:
        backoff = Backoff()
        while True:
            await self._changed.wait()
            lease_id = await self._lease.granted()
            if not self._changed.is_set():
                continue  # what a new lease has brought is up to date
            try:
                await self._put(lease_id)
                backoff.reset()
            except EtcdError:
                # A new lease would bring it, but this one may live on.
                self._changed.set()
                await backoff.pause()

    async def _put(self, lease_id: int) -> None:
        self._changed.clear()
        value = {
            "models": self._digests,
            "started": self._started,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "bind_timeout": self._bind_timeout,
        }
        await self._etcd.put(self._key, msgspec.json.encode(value), lease=lease_id)


def _bind_timeout(value: bytes) -> float:
    """Of one server; 0 for a server of a release that doesn't tell."""
    try:
        return float(msgspec.json.decode(value).get("bind_timeout", 0.0))
    except (msgspec.DecodeError, AttributeError, TypeError, ValueError):
        return 0.0
