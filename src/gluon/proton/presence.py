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
    """Keeps `/gluon/servers/<id>` under a lease: `{"models", "started", "host", "pid", "version"}`.

    Each start of a server is an id of its own, so that a new one never takes the key of one whose
    lease has still to expire.
    """

    def __init__(self, etcd: Etcd, keys: Keys, digests: Digests, *, lease: int = LEASE) -> None:
        self.id = uuid4().hex
        self._etcd = etcd
        self._key = keys.server(self.id)
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
        }
        await self._etcd.put(self._key, msgspec.json.encode(value), lease=lease_id)
