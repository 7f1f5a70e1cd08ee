"""The name of a shim server: unique, and held by a lease, under which its claims are as well.

A second shim of the same name is refused. One that died may leave its name behind until its lease has
expired: it is taken over at once when the dead process can be seen to be dead (same machine), waited for
otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError
from gluon.etcd.lease import LeaseKeeper
from gluon.etcd.records import KeyValue
from gluon.etcd.transaction import Compare, Op
from gluon.shim.errors import NameTaken

_PATIENCE = 2.0
"""Seconds beyond the time of a lease that a name is waited for: whoever has it then is alive."""

_POLL = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Process:
    """A process, as others on the same machine can recognise it."""

    instance: str
    host: str
    machine: str
    """Boot and process namespace: where a pid means something."""
    pid: int
    started: str
    """Start of the process in the kernel's ticks; a pid alone may have a new owner."""

    @classmethod
    def current(cls) -> Process:
        """The one that we are in."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex, socket.gethostname(), _machine(), pid, _started(pid))


class Presence:
    """Holds the name `key` with a lease of `ttl` seconds.

    `held` is told each time that the name, and with it a new lease, is ours: claims go under that lease.
    `run` raises NameTaken when another process has the name, at the start or after the lease was lost.
    """

    def __init__(self, etcd: Etcd, key: str, ttl: int, held: Callable[[], None]) -> None:
        self._etcd = etcd
        self._key = key
        self._ttl = ttl
        self._on_held = held
        self._process = Process.current()
        self._says: Mapping[str, Any] = {}
        self._keeper = LeaseKeeper(etcd, ttl, self._announce)
        self._created = 0
        self._announced_with = 0
        self._held = asyncio.Event()

    async def run(self) -> None:
        """Hold the name until `stop`, which gives it back with all claims."""
        await self._keeper.run()

    def stop(self) -> None:
        """Have `run` give the name back and return."""
        self._keeper.stop()

    @property
    def losses(self) -> int:
        """How often the lease was lost."""
        return self._keeper.counters.losses

    async def lease(self) -> int:
        """The lease to put claims with, as soon as the name is ours."""
        while not self.is_held:
            self._held.clear()
            await self._held.wait()
        return self._announced_with

    async def guard(self) -> Compare:
        """That the name is ours, as a condition of a transaction; as soon as it is."""
        await self.lease()
        return Compare.create_revision(self._key, "=", self._created)

    async def say(self, says: Mapping[str, Any]) -> None:
        """Tell others what this shim does; again whenever the name has to be taken anew."""
        self._says = says
        if self.is_held:
            guard = await self.guard()
            with contextlib.suppress(EtcdError):
                # If that fails, the lease is on its way out, and the name is taken anew with these words.
                await self._etcd.transact([guard], [self._put(self._announced_with)])

    @property
    def is_held(self) -> bool:
        """Whether the name is ours now."""
        return self._announced_with != 0 and self._announced_with == self._keeper.id

    def _put(self, lease: int) -> Op:
        value = {**self._says, **msgspec.to_builtins(self._process)}
        return Op.put(self._key, msgspec.json.encode(value), lease)

    async def _announce(self, lease: int) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._ttl + _PATIENCE
        waits = False
        while not await self._take(lease):
            if loop.time() > deadline:
                raise NameTaken(self._refusal(await self._etcd.get(self._key)))
            if not waits:
                waits = True
                _log.info("%s is held by another process; waiting up to %d s for it", self._key, self._ttl)
            await asyncio.sleep(_POLL)
        self._announced_with = lease
        self._held.set()
        self._on_held()

    async def _take(self, lease: int) -> bool:
        outcome = await self._etcd.transact(
            [Compare.create_revision(self._key, "=", 0)], [self._put(lease)], [Op.get(self._key)]
        )
        if outcome.succeeded:
            self._created = outcome.revision
            return True
        holder = outcome.results[0]
        if not isinstance(holder, KeyValue):
            return False
        owner = _parse(holder.value)
        if owner.get("instance") != self._process.instance:
            if owner.get("machine") != self._process.machine:
                return False
            if _started(owner.get("pid", 0)) == owner.get("started"):
                raise NameTaken(self._refusal(holder))
        outcome = await self._etcd.transact(
            [Compare.mod_revision(self._key, "=", holder.mod_revision)], [self._put(lease)]
        )
        self._created = holder.create_revision
        return outcome.succeeded

    def _refusal(self, holder: KeyValue | None) -> str:
        owner = _parse(holder.value) if holder is not None else {}
        by = f"process {owner.get('pid', '?')} on {owner.get('host', 'another host')}"
        name = self._key.rpartition("/")[2]
        return f"a shim server named {name} is running already ({by}): give this one another [shim] name"


def _parse(value: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(value, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        # Without /proc no other process can be recognised, so none is taken for dead.
        return uuid.uuid4().hex


def _started(pid: int) -> str:
    """When a process was started; empty when there is none of that number, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
