"""Sees to it that a bound port is ACTIVE when all controllers that must take part have applied it.

Life of a port's status: its bind is answered → all that must have applied it have: ACTIVE in the same
UPDATE; else it stays DOWN, and each controller that writes down what it made of the port has it looked at
again → ACTIVE. One that must take part and has FAILED for longer than a moment makes it DOWN, until it has
applied it again. What counts is that a controller has applied the port with the very bind that it has now.

It goes by what is there: the journals in etcd, and the status in the database. Any number of servers look at
each port; one UPDATE under a condition decides. A server that starts, and each of them every half minute,
looks at all ports that wait. Where `[controllers]` says nothing, nothing is watched, and a start makes those
ACTIVE that had waited for controllers that are not asked for any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from gluon.etcd.backoff import Backoff
from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError
from gluon.etcd.keys import Keys
from gluon.etcd.mirror import Change, Mirror
from gluon.etcd.stopping import run_until
from gluon.particle.tables import BindState
from gluon.proton.bind_waits import BindWaits
from gluon.proton.controllers import ControllersByService, JournalEntry, is_meant, read_entry
from gluon.proton.registry import HostedObject
from gluon.proton.settling import Settling
from gluon.store.database import Database, DatabaseError, Transaction
from gluon.store.paging import Row

_log = logging.getLogger(__name__)

PERIOD = 30.0
"""Seconds between two looks at all ports that wait."""

GRACE = 1.0
"""Seconds for which a controller's failure is none yet: what fails once is tried again in milliseconds."""

_AT_ONCE = 64
"""Ports looked at in one go: each costs a read of etcd."""


class Verdict(Enum):
    """How far the controllers that must take part have come with a port."""

    APPLIED = "applied"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass
class ParticipationCounters:
    """What this server has done so far."""

    activated: int = 0
    """Ports that became ACTIVE when a controller had applied them."""
    failed: int = 0
    """Ports that became DOWN when a controller had failed."""
    last_error: str | None = None


class _Port(NamedTuple):
    service: str
    port_id: str


class _Due:
    """Ports to be looked at."""

    def __init__(self) -> None:
        self.any = asyncio.Event()
        self._ports: dict[_Port, None] = {}

    def add(self, ports: Iterable[_Port]) -> None:
        self._ports.update(dict.fromkeys(ports))
        if self._ports:
            self.any.set()

    def take(self) -> list[_Port]:
        taken, self._ports = list(self._ports), {}
        self.any.clear()
        return taken


class Participation:
    """Looks after the status of bound ports; see above."""

    def __init__(
        self,
        etcd: Etcd,
        keys: Keys,
        database: Database,
        settling: Settling,
        waits: BindWaits,
        controllers: ControllersByService,
        port_objects: Callable[[], Sequence[HostedObject]],
        *,
        head_start: float = 0.0,
    ) -> None:
        """`head_start`: seconds that the server whose request waits for a port has, before others look."""
        self.counters = ParticipationCounters()
        self._etcd = etcd
        self._keys = keys
        self._database = database
        self._settling = settling
        self._waits = waits
        self._controllers = controllers
        self._port_objects = port_objects
        self._head_start = head_start
        self._urgent, self._later = _Due(), _Due()
        self._failing_since: dict[_Port, float] = {}
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until `stop` or cancelled."""
        await run_until(self._stop, self._look_after())

    def stop(self) -> None:
        """Have `run` return."""
        self._stop.set()

    async def is_applied(self, hosted: HostedObject, port_id: str, bind_id: str) -> bool:
        """Whether all that must have applied a port have, with this bind. While etcd is away: no."""
        if not self._controllers.required(hosted.model.service):
            return True
        try:
            return await self._verdict(hosted, port_id, bind_id) is Verdict.APPLIED
        except EtcdError:
            return False

    def look_at(self, hosted: HostedObject, port_id: str) -> None:
        """A port's bind was answered, and it still waits."""
        self._urgent.add((_Port(hosted.model.service, port_id),))

    async def _look_after(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._work(self._urgent, 0.0), name="participation-urgent")
            tasks.create_task(self._work(self._later, self._head_start), name="participation")
            awaited = [p for p in self._port_objects() if self._controllers.required(p.model.service)]
            journals = [self._follow(hosted) for hosted in awaited]
            for journal in journals:
                tasks.create_task(journal.run(), name=f"participation-{journal.prefix}")
            await self._look_at_waiting(self._port_objects())
            for journal in journals:
                # What was applied while it was being listed is found by the next look.
                await journal.synced.wait()
            while awaited:
                await self._look_at_waiting(awaited)
                await asyncio.sleep(PERIOD)

    def _follow(self, hosted: HostedObject) -> Mirror:
        """The journals of all controllers for the ports of a service."""
        prefix = self._keys.statuses(hosted.model.service, hosted.api.name)
        is_listed = False

        def journalled(changes: Sequence[Change]) -> None:
            nonlocal is_listed
            # A list at the start holds all ports that there are, most of them applied long since.
            is_listed = is_listed or mirror.synced.is_set()
            self._journalled(changes, failures_only=not is_listed)

        mirror = Mirror(self._etcd, prefix, journalled, keep_values=False)
        return mirror

    def _journalled(self, changes: Sequence[Change], *, failures_only: bool) -> None:
        urgent: list[_Port] = []
        later: list[_Port] = []
        for change in changes:
            segments = self._keys.parse(change.key).segments
            if len(segments) != 4:
                continue
            entry = read_entry(change.value) if change.value is not None else None
            state = entry.state if entry is not None else ""
            if state == "PENDING" or (failures_only and state != "FAILED"):
                continue
            port = _Port(segments[0], segments[2])
            is_waited_for = entry is not None and entry.bind_id is not None and entry.bind_id in self._waits
            (urgent if is_waited_for else later).append(port)
        self._urgent.add(urgent)
        self._later.add(later)

    async def _look_at_waiting(self, hosted: Collection[HostedObject]) -> None:
        async def work(tx: Transaction) -> list[_Port]:
            return [
                _Port(one.model.service, port_id)
                for one in hosted
                for port_id in await one.ports.answered_but_down(tx)
            ]

        backoff = Backoff()
        while True:
            try:
                self._later.add(await self._database.read(work))
                return
            except DatabaseError as error:
                self.counters.last_error = str(error)
                await backoff.pause()

    async def _work(self, due: _Due, delay: float) -> None:
        backoff = Backoff()
        while True:
            await due.any.wait()
            if delay:
                await asyncio.sleep(delay)
            ports = due.take()
            for start in range(0, len(ports), _AT_ONCE):
                some = ports[start : start + _AT_ONCE]
                try:
                    await self._look(some)
                    backoff.reset()
                except (EtcdError, DatabaseError) as error:
                    self.counters.last_error = str(error)
                    due.add(some)
                    await backoff.pause()

    async def _look(self, ports: Collection[_Port]) -> None:
        hosted = {one.model.service: one for one in self._port_objects()}
        known = [port for port in ports if port.service in hosted]

        async def work(tx: Transaction) -> list[tuple[_Port, Row]]:
            found = []
            for service, ids in _by_service(known):
                rows = await hosted[service].repository.get_many(tx, ids)
                found += [(_Port(service, port_id), row) for port_id, row in rows.items()]
            return found

        bound = [
            (port, row)
            for port, row in await self._database.read(work)
            if row["bind_id"] is not None and row["bind_state"] == BindState.ANSWERED
        ]
        await asyncio.gather(*(self._settle(hosted[port.service], port, row) for port, row in bound))

    async def _settle(self, hosted: HostedObject, port: _Port, row: Row) -> None:
        bind_id = row["bind_id"]
        verdict = await self._verdict(hosted, port.port_id, bind_id)
        if verdict is not Verdict.FAILED:
            self._failing_since.pop(port, None)
        if verdict is Verdict.APPLIED and row["status"] == "DOWN":
            changed = await self._settling.set_status(hosted, port.port_id, bind_id, "DOWN", "ACTIVE")
            self.counters.activated += changed is not None
            row = changed if changed is not None else row
        elif verdict is Verdict.FAILED and row["status"] == "ACTIVE" and self._fails_for_long(port):
            changed = await self._settling.set_status(hosted, port.port_id, bind_id, "ACTIVE", "DOWN")
            if changed is not None:
                self.counters.failed += 1
                _log.warning("%s: port %s is DOWN: a controller that must have applied it has failed", *port)
        if row["status"] == "ACTIVE":
            self._waits.settle(bind_id, row)

    def _fails_for_long(self, port: _Port) -> bool:
        loop = asyncio.get_running_loop()
        since = self._failing_since.setdefault(port, loop.time())
        left = since + GRACE - loop.time()
        if left > 0:
            loop.call_later(left, self._later.add, (port,))
            return False
        del self._failing_since[port]
        return True

    async def _verdict(self, hosted: HostedObject, port_id: str, bind_id: str) -> Verdict:
        service = hosted.model.service
        required = self._controllers.required(service)
        if not required:
            return Verdict.APPLIED
        listing = await self._etcd.list(self._keys.statuses(service, hosted.api.name, port_id))
        entries = [
            (self._keys.parse(item.key).segments[-1], entry)
            for item in listing.items
            if (entry := read_entry(item.value)) is not None
        ]
        verdicts = {_verdict_of(name, service, entries, bind_id) for name in required}
        for verdict in (Verdict.FAILED, Verdict.WAITING):
            if verdict in verdicts:
                return verdict
        return Verdict.APPLIED


def _verdict_of(
    name: str, service: str, entries: Sequence[tuple[str, JournalEntry]], bind_id: str
) -> Verdict:
    meant = [entry for controller, entry in entries if is_meant(name, service, controller, entry.backend)]
    if any(entry.state == "APPLIED" and entry.bind_id == bind_id for entry in meant):
        return Verdict.APPLIED
    return Verdict.FAILED if any(entry.state == "FAILED" for entry in meant) else Verdict.WAITING


def _by_service(ports: Iterable[_Port]) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for port in ports:
        found.setdefault(port.service, []).append(port.port_id)
    yield from found.items()
