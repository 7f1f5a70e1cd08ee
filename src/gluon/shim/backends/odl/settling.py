"""Makes the controller's entries be what the plan says: what differs is written, one entry at a time.

What the controller has is known from reading its lists and from what was written since. An entry whose last
request has failed counts as unknown, and is written again.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple
from weakref import WeakValueDictionary

from gluon.shim.backends.odl.documents import Entries, choose_vni, interface_entries, vpn_entries
from gluon.shim.backends.odl.entries import Document, EntryId, Kind, as_wanted, children
from gluon.shim.backends.odl.marks import Marks
from gluon.shim.backends.odl.plan import Plan
from gluon.shim.backends.odl.restconf import Away, Restconf

_RANK = {kind: rank for rank, kind in enumerate(Kind)}
_OF_INTERFACE = (Kind.PORT, Kind.INTERFACE, Kind.VPN_INTERFACE)


class Whose(enum.Enum):
    """What a group of entries is for: they are written together."""

    VPN = "VPN"
    INTERFACE = "interface"


class Group(NamedTuple):
    """The entries of one VPN, or of one interface."""

    whose: Whose
    key: str


class Settler:
    """Of the event loop; groups are settled in parallel, but none of them twice at the same time."""

    def __init__(
        self, restconf: Restconf, plan: Plan, marks: Marks, bridge: str, on_away: Callable[[], None]
    ) -> None:
        """`on_away` is called when a request has failed: what the controller has may be other then."""
        self._restconf = restconf
        self._plan = plan
        self._marks = marks
        self._bridge = bridge
        self._on_away = on_away
        self._there: dict[EntryId, Document] = {}
        self._unsure: set[EntryId] = set()
        self._touched: set[EntryId] = set()
        self._known = False
        self._reading = asyncio.Lock()
        self._vnis: dict[str, int] = {}
        self._locks: WeakValueDictionary[Group, asyncio.Lock] = WeakValueDictionary()

    async def read(self) -> None:
        """Read all lists. Raises Away."""
        async with self._reading:
            await self._read()

    async def _read(self) -> None:
        self._touched.clear()
        there: dict[EntryId, Document] = {}
        for kind in Kind:
            there.update(await self._restconf.read(kind))
        # What was written meanwhile may have been read before or after.
        written = {id: self._there[id] for id in self._touched if id in self._there}
        self._there = {id: entry for id, entry in there.items() if id not in self._touched} | written
        self._unsure &= self._touched
        self._known = True

    def held_keys(self) -> frozenset[str]:
        """The keys of the VPNs, ports and interfaces that the controller has, as of the last reading.

        VPN instances and VPN interfaces bear no marks: those of others are among them.
        """
        unmarked = {id.key for id in self._there if id.kind in (Kind.VPN, Kind.VPN_INTERFACE)}
        marked = {(self._marks.marked(id, entry), id) for id, entry in self._there.items()}
        interfaces = {id.key for key, id in marked if key is not None and id.kind is Kind.INTERFACE}
        return frozenset({*unmarked, *interfaces, *(key for key, _ in marked if key is not None)})

    def strays(self) -> set[Group]:
        """What entries of ours are for that have no business to be there, as of the last reading."""
        found = set()
        for id, entry in self._there.items():
            key = self._marks.marked(id, entry)
            if key is None:
                continue
            if id.kind in (Kind.NETWORK, Kind.SUBNET):
                if self._plan.vpn(key) is None or id not in self._wanted_ids_of_vpn(key):
                    found.add(Group(Whose.VPN, key))
            elif self._plan.interface(id.key) is None:
                found.add(Group(Whose.INTERFACE, id.key))
        return found

    async def settle_vpn(self, key: str, *, sweep: bool = False) -> int:
        """Have a VPN's entries be as they should; with `sweep` also have none that it doesn't need any more.

        Gives how many entries were written. Raises Away, Conflict, and PermanentError.
        """
        async with self._lock(Group(Whose.VPN, key)):
            vpn, controller = self._plan.vpn(key), self._restconf.controller
            wanted: Entries = {}
            if vpn is not None:
                attachments = self._plan.attachments(key)
                wanted = vpn_entries(vpn, attachments, self._vni(key), self._marks, controller)
            unwanted = set()
            if sweep or vpn is None:
                unwanted = {
                    id
                    for id, entry in self._there.items()
                    if id.kind is Kind.SUBNET and self._marks.marked(id, entry) == key
                }
            if vpn is None:
                unwanted |= {EntryId(Kind.NETWORK, self._marks.network(key)), EntryId(Kind.VPN, key)}
                self._vnis.pop(key, None)
            return await self._write(wanted, unwanted)

    async def settle_interface(self, key: str) -> int:
        """Have an interface's entries be as they should, unless another shim server writes them.

        Gives how many entries were written. Raises Away, Conflict, and PermanentError.
        """
        async with self._lock(Group(Whose.INTERFACE, key)):
            wish = self._plan.interface(key)
            if wish is not None and not wish.ours:
                return 0
            wanted: Entries = {}
            if wish is not None:
                wanted = interface_entries(wish, self._bridge, self._marks, self._restconf.controller)
            return await self._write(wanted, {EntryId(kind, key) for kind in _OF_INTERFACE})

    async def settle(self, group: Group, *, sweep: bool = False) -> int:
        """The one or the other."""
        if group.whose is Whose.VPN:
            return await self.settle_vpn(group.key, sweep=sweep)
        return await self.settle_interface(group.key)

    async def _write(self, wanted: Entries, may_be_there: Iterable[EntryId]) -> int:
        written = 0
        for id in sorted(set(may_be_there) - wanted.keys(), key=_rank, reverse=True):
            if not self._known or id in self._there or id in self._unsure:
                self._touch(id)
                await self._tried(self._restconf.delete(id))
                self._there.pop(id, None)
                self._unsure.discard(id)
                written += 1
        for id in sorted(wanted, key=_rank):
            there = None if id in self._unsure else self._there.get(id)
            if there is None or not as_wanted(there, wanted[id]):
                self._touch(id)
                await self._tried(self._restconf.put(id, wanted[id]))
                self._there[id] = wanted[id]
                self._unsure.discard(id)
                written += 1
        return written

    async def _tried(self, request: Awaitable[object]) -> None:
        try:
            await request
        except Away:
            self._on_away()
            raise

    def _touch(self, id: EntryId) -> None:
        self._touched.add(id)
        self._unsure.add(id)

    def _wanted_ids_of_vpn(self, key: str) -> set[EntryId]:
        subnets = {str(a.address.network) for a in self._plan.attachments(key)}
        found = {EntryId(Kind.SUBNET, self._marks.subnet(key, cidr)) for cidr in subnets}
        return {*found, EntryId(Kind.NETWORK, self._marks.network(key))}

    def _vni(self, key: str) -> int:
        """The identifier that the VPN's network has, or may have."""
        network = self._there.get(EntryId(Kind.NETWORK, self._marks.network(key)))
        said = children(network, "segmentation-id")
        if isinstance(said, str) and said.isdigit():
            self._vnis[key] = int(said)
        elif key not in self._vnis:
            networks = (entry for id, entry in self._there.items() if id.kind is Kind.NETWORK)
            texts = (str(children(entry, "segmentation-id")) for entry in networks)
            taken = {int(text) for text in texts if text.isdigit()}
            self._vnis[key] = choose_vni(self._marks.network(key), {*taken, *self._vnis.values()})
        return self._vnis[key]

    def _lock(self, group: Group) -> asyncio.Lock:
        lock = self._locks.get(group)
        if lock is None:
            lock = self._locks[group] = asyncio.Lock()
        return lock


def _rank(id: EntryId) -> tuple[int, str]:
    return _RANK[id.kind], id.key
