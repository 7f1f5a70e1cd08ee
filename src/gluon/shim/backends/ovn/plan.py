"""All rows that should be there, kept up to date as single objects change.

What belongs to several objects (a subnet to its ports, routes to those who export and import) is computed
anew from all of them whenever one of them changes, so it doesn't matter in which order they come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from gluon.shim.backends.ovn.addresses import Address, Network
from gluon.shim.backends.ovn.mapping import Mapping as RowMapping
from gluon.shim.backends.ovn.rows import Row, RowId
from gluon.shim.backends.ovn.slots import assign_slots
from gluon.shim.backends.ovn.wishes import PortWish, ServiceWish, Subnet, Target, Topology


class _Part(NamedTuple):
    """What a row was computed from: each row is of one part."""

    name: str
    key: str


@dataclass(slots=True)
class _Users:
    """What the ports in a subnet ask of it, and how many of them."""

    gateways: Counter[Address] = field(default_factory=Counter)
    mtus: Counter[int] = field(default_factory=Counter)
    asked: tuple[frozenset[Address], frozenset[int]] | None = None
    """What its rows were computed from."""


class Plan:
    """The rows of one service type. Not safe for threads; the rows that it gives out never change."""

    def __init__(self, mapping: RowMapping) -> None:
        self._mapping = mapping
        self._rows: dict[RowId, Row] = {}
        self._parts: dict[_Part, frozenset[RowId]] = {}
        self._changed: set[RowId] = set()
        self._ports: dict[str, PortWish] = {}
        self._port_of: dict[str, str] = {}
        self._services: dict[str, ServiceWish] = {}
        self._subnets: dict[Subnet, _Users] = {}
        self._subnets_of: dict[str, set[Subnet]] = {}
        self._importers: dict[Target, set[str]] = {}
        self._exporters: dict[Target, set[str]] = {}
        self._slots: dict[str, int] = {}
        self._stale: set[str] = set()
        """Services whose links or routes may be others now."""

    def port(self, key: str) -> PortWish | None:
        """A port as it was put last."""
        return self._ports.get(key)

    def port_of(self, interface: str) -> str | None:
        """The port of an interface that is in a service."""
        return self._port_of.get(interface)

    def knows_service(self, key: str) -> bool:
        """Whether a service was put."""
        return key in self._services

    def put_port(self, port: PortWish) -> None:
        """A port that is there: bound or not."""
        before = self._ports.get(port.key)
        if before == port:
            return
        self._ports[port.key] = port
        self._leave(before)
        for attachment in port.attachments:
            self._port_of[attachment.interface] = port.key
            users = self._subnets.setdefault(attachment.subnet, _Users())
            users.mtus[port.mtu] += 1
            if attachment.gateway is not None:
                users.gateways[attachment.gateway] += 1
        self._set(_Part("port", port.key), self._mapping.port(port))
        self._refresh_subnets({a.subnet for p in (before, port) if p for a in p.attachments})

    def drop_port(self, key: str) -> None:
        """A port that is gone."""
        before = self._ports.pop(key, None)
        self._leave(before)
        self._set(_Part("port", key), ())
        if before is not None:
            self._refresh_subnets({attachment.subnet for attachment in before.attachments})

    def put_service(self, service: ServiceWish) -> None:
        """A service that is there."""
        before = self._services.get(service.key)
        if before == service:
            return
        self._services[service.key] = service
        routed = service.topology is Topology.ROUTED
        self._set(_Part("service", service.key), [self._mapping.router(service)] if routed else ())
        self._relate(before, service)

    def drop_service(self, key: str) -> None:
        """A service that is gone."""
        before = self._services.pop(key, None)
        self._set(_Part("service", key), ())
        if before is not None:
            self._relate(before, None)

    def refresh(self) -> None:
        """Have links and routes follow what was put and dropped; to be called before rows are looked at."""
        if not self._stale:
            return
        stale, self._stale = self._stale, set()
        slots = assign_slots(self._services.values(), self._mapping.slots)
        moved = {key for key in slots.keys() | self._slots.keys() if slots.get(key) != self._slots.get(key)}
        self._slots = slots
        for key in moved:
            service = self._services.get(key)
            stale |= self._those_importing(service) if service is not None else set()
        connected = any(service.is_connected for service in self._services.values())
        self._set(_Part("transit", ""), [self._mapping.transit()] if connected else ())
        for key in stale | moved:
            self._set(_Part("links", key), self._links(key))

    def rows_of_port(self, key: str) -> set[RowId]:
        """The rows that a port needs, those that it shares with others included."""
        port = self._ports.get(key)
        found = set(self._parts.get(_Part("port", key), ()))
        for attachment in port.attachments if port is not None else ():
            found |= self._parts.get(_Part("subnet", attachment.subnet.key), frozenset())
            found |= self._parts.get(_Part("service", attachment.service), frozenset())
        return found

    def rows_of_service(self, key: str) -> set[RowId]:
        """The rows that a service needs by itself."""
        return {
            *self._parts.get(_Part("service", key), ()),
            *self._parts.get(_Part("links", key), ()),
        }

    def take_changed(self) -> set[RowId]:
        """The rows that have come, changed, or gone since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def wanted(self, ids: Iterable[RowId]) -> dict[RowId, Row | None]:
        """The rows of these ids, None for those that shouldn't be; with what the first of them need."""
        wanted: dict[RowId, Row | None] = {}
        waiting = list(ids)
        while waiting:
            id = waiting.pop()
            if id not in wanted:
                wanted[id] = row = self._whole(id)
                waiting += row.needs if row is not None else ()
        return wanted

    def all_rows(self) -> dict[RowId, Row]:
        """Everything."""
        return {id: row for id in self._rows if (row := self._whole(id)) is not None}

    def _whole(self, id: RowId) -> Row | None:
        """A row, unless one that it needs isn't wanted: its service goes, or hasn't come."""
        row = self._rows.get(id)
        if row is None or any(self._whole(needed) is None for needed in row.needs):
            return None
        return row

    def _leave(self, port: PortWish | None) -> None:
        for attachment in port.attachments if port is not None else ():
            assert port is not None
            self._port_of.pop(attachment.interface, None)
            users = self._subnets[attachment.subnet]
            _less(users.mtus, port.mtu)
            if attachment.gateway is not None:
                _less(users.gateways, attachment.gateway)

    def _refresh_subnets(self, subnets: Iterable[Subnet]) -> None:
        for subnet in subnets:
            users = self._subnets[subnet]
            of_service = self._subnets_of.setdefault(subnet.service, set())
            if users.mtus:
                of_service.add(subnet)
                asked = (frozenset(users.gateways), frozenset(users.mtus))
                if users.asked == asked:
                    continue
                users.asked = asked
                rows = self._mapping.subnet(subnet, *asked)
            else:
                of_service.discard(subnet)
                del self._subnets[subnet]
                rows = []
            if self._set(_Part("subnet", subnet.key), rows) and subnet.service in self._services:
                self._stale |= self._those_importing(self._services[subnet.service])
            if not of_service:
                del self._subnets_of[subnet.service]

    def _relate(self, before: ServiceWish | None, after: ServiceWish | None) -> None:
        for service in (before, after):
            if service is not None:
                self._stale.add(service.key)
                self._stale |= self._those_importing(service)
        for index, name in ((self._importers, "imports"), (self._exporters, "exports")):
            if before is not None:
                for target in getattr(before, name):
                    _discard(index, target, before.key)
            if after is not None:
                for target in getattr(after, name):
                    index.setdefault(target, set()).add(after.key)

    def _those_importing(self, service: ServiceWish) -> set[str]:
        return {key for target in service.exports for key in self._importers.get(target, ())}

    def _links(self, key: str) -> Iterator[Row]:
        service, slot = self._services.get(key), self._slots.get(key)
        if service is None or slot is None or not service.is_connected:
            return
        yield from self._mapping.transit_links(service, slot)
        for network, exporter in self._imported(service).items():
            if exporter in self._slots:
                yield self._mapping.route(key, network, self._slots[exporter])

    def _imported(self, service: ServiceWish) -> Mapping[Network, str]:
        """The prefixes that a service learns of, each with the one service that it is reached in."""
        own = {network for network, _ in self._networks(service.key)}
        sources = {
            (exporter, target.family)
            for target in service.imports
            for exporter in self._exporters.get(target, ())
            if exporter != service.key
        }
        found: dict[Network, str] = {}
        for exporter, family in sorted(sources, key=lambda s: (self._services[s[0]].since, s)):
            for network, has_gateway in self._networks(exporter):
                # Without a gateway nothing would come back.
                if has_gateway and f"ipv{network.version}" == family and network not in own:
                    found.setdefault(network, exporter)
        return found

    def _networks(self, service: str) -> Iterator[tuple[Network, bool]]:
        for subnet in self._subnets_of.get(service, ()):
            has_gateway = bool(self._subnets[subnet].gateways)
            for network in self._mapping.networks(subnet, has_gateway=has_gateway):
                yield network, has_gateway

    def _set(self, part: _Part, rows: Iterable[Row]) -> bool:
        """Replace a part's rows; whether any row came or went."""
        now = {row.id: row for row in rows}
        before = self._parts.get(part, frozenset())
        for id in before - now.keys():
            del self._rows[id]
            self._changed.add(id)
        for id, row in now.items():
            known = self._rows.get(id)
            if known != row or known.ours != row.ours:
                self._rows[id] = row
                self._changed.add(id)
        if now:
            self._parts[part] = frozenset(now)
        else:
            self._parts.pop(part, None)
        return before != now.keys()


_V = TypeVar("_V", Address, int)


def _less(counter: Counter[_V], value: _V) -> None:
    counter[value] -= 1
    if not counter[value]:
        del counter[value]


def _discard(index: dict[Target, set[str]], target: Target, key: str) -> None:
    index[target].discard(key)
    if not index[target]:
        del index[target]
