"""The callbacks: each makes the plan follow one object, and has the rows written that this concerns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from gluon.model.model import Role
from gluon.shim.backend import Backend, BackendContext, Desired, Vif
from gluon.shim.backends.ovn.difference import Tags
from gluon.shim.backends.ovn.keeper import Keeper
from gluon.shim.backends.ovn.mapping import Mapping
from gluon.shim.backends.ovn.northbound import Northbound, NorthboundAway
from gluon.shim.backends.ovn.options import load_ovn_settings
from gluon.shim.backends.ovn.plan import Plan
from gluon.shim.backends.ovn.reading import (
    check_bindable,
    read_attachment,
    read_port,
    read_service,
    read_subnet,
)
from gluon.shim.backends.ovn.rows import RowId, held_keys
from gluon.shim.backends.ovn.writer import Writer
from gluon.shim.errors import PermanentError, TemporaryError
from gluon.shim.views import View

_RETRY = 2.0
"""Seconds until a database that is away at the start is tried again."""

_log = logging.getLogger(__name__)


class OvnBackend(Backend):
    """Drives OVN by its northbound database, for one service. Needs `gluon[ovn]`."""

    def __init__(self, context: BackendContext) -> None:
        super().__init__(context)
        self._settings = settings = load_ovn_settings(context.conf)
        hosts = frozenset(context.conf.shim.host_list)
        self._serves = (lambda host: True) if "*" in hosts else hosts.__contains__
        tags = Tags(settings.owner, context.service, context.controller)
        self._plan = Plan(Mapping(context.service, settings))
        self._northbound = Northbound(settings, tags, lambda id: self._keeper.told(id))
        self._writer = Writer(self._northbound, self._plan.wanted, settings.batch_size)
        self._keeper = Keeper(
            *(self._northbound, self._plan, self._writer),
            interval=settings.audit_interval,
            stray_delay=settings.stray_delay,
        )
        self._keeping: asyncio.Task[None] | None = None
        self._desired: Desired | None = None

    async def start(self) -> None:
        """Connect with the northbound database; TemporaryError while it is away."""
        try:
            await asyncio.to_thread(self._northbound.start)
        except NorthboundAway as error:
            raise TemporaryError(
                f"OVN's northbound database at {self._settings.connection}: {error}", _RETRY
            ) from error

    async def stop(self) -> None:
        """Disconnect; all rows stay."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait((self._keeping,))
        await self._writer.close()
        await asyncio.to_thread(self._northbound.stop)

    async def check(self) -> str:
        """Connect, and say with what; for trying out a configuration. Raises TemporaryError."""
        await self.start()
        try:
            return (
                f"OVN's northbound database at {self._settings.connection}, "
                f"schema version {self._northbound.version}"
            )
        finally:
            await self.stop()

    async def held_keys(self) -> frozenset[str]:
        """The keys of the services, interfaces and ports that the database has rows of ours for."""
        return held_keys(await asyncio.to_thread(self._northbound.ids))

    async def reconcile(self, desired: Desired) -> None:
        """Learn all that should be there, make it so, and from now on keep it so."""
        self._desired = desired
        for service in desired.services:
            self._take_service(service)
        for port in desired.ports:
            self._take_port(port)
        self._plan.take_changed()
        try:
            await self._keeper.audit()
        except NorthboundAway as error:
            raise TemporaryError("OVN's northbound database can't be reached", _RETRY) from error
        finally:
            if self._keeping is None:
                self._keeping = asyncio.create_task(self._keeper.run(), name="ovn-keeper")

    async def bind_port(self, port: View) -> Vif:
        """Have the port's switch ports be there, for `port.host_id`."""
        check_bindable(port)
        problems = await self._apply_port(port)
        if problems:
            raise problems[0]
        return {
            "vif_type": "ovs",
            "vif_details": {
                "bridge_name": self._settings.bridge_name,
                "datapath_type": self._settings.datapath_type,
                "port_filter": True,
                "ovs_hybrid_plug": False,
                "connectivity": "l2",
            },
        }

    async def unbind_port(self, port: View) -> None:
        """Have the port's switch ports be as the port is by now: gone, or for another host."""
        await self._apply_port(port)

    async def activate_port(self, port: View) -> None:
        """Have the port be its new host's alone, or first."""
        await self._apply_port(port)

    async def modify_port(self, port: View) -> None:
        """The same; what OVN can't do of a port matters when it is to be bound."""
        await self._apply_port(port)

    async def delete_port(self, port: View) -> None:
        """Have nothing of the port be there."""
        interfaces = port.referrers_with_role(Role.INTERFACE)
        bindings = (b for i in interfaces for b in i.referrers_with_role(Role.SERVICE_BINDING))
        rows = self._plan.rows_of_port(port.key)
        self._plan.drop_port(port.key)
        there = self._there(port.key, *(i.key for i in interfaces), *_subnets(bindings))
        await self._write(rows | there)

    async def modify_interface(self, interface: View) -> None:
        """Have the port be as it should with this interface."""
        port = interface.to(Role.PORT)
        if port is not None:
            await self._apply_port(port)

    async def delete_interface(self, interface: View) -> None:
        """Have the port be as it should without this interface."""
        await self._apply_port_of(interface.key, interface.to(Role.PORT), interface.key)

    async def modify_service_binding(self, binding: View) -> None:
        """Have the port be as it should with this binding, and the network that it is in."""
        interface, port, service = (binding.to(r) for r in (Role.INTERFACE, Role.PORT, Role.SERVICE))
        if interface is None or port is None or service is None:
            raise TemporaryError("its interface, port or service isn't there yet")
        read_attachment(port, interface, binding, service)
        await self._apply_port(port)

    async def delete_service_binding(self, binding: View) -> None:
        """Have the port be as it should without this binding."""
        interface = binding.to(Role.INTERFACE)
        key = interface.key if interface is not None else binding.key
        await self._apply_port_of(key, binding.to(Role.PORT), key, *_subnets((binding,)))

    async def modify_service(self, service: View) -> None:
        """Have the service's router be there, and its routes be as its route targets say."""
        self._plan.put_service(read_service(service))
        await self._write(self._plan.rows_of_service(service.key))

    async def delete_service(self, service: View) -> None:
        """Have nothing of the service be there."""
        rows = self._plan.rows_of_service(service.key)
        self._plan.drop_service(service.key)
        await self._write(rows | self._there(service.key))

    async def _apply_port_of(self, interface: str, port: View | None, *whose: str) -> None:
        """Have the port be as it should that had an interface which is gone; `whose`: as in `_there`."""
        key = self._plan.port_of(interface)
        if port is None and key is not None and self._desired is not None:
            known = [found for found in self._desired.ports if found.key == key]
            port = known[0] if known else None
        if port is not None:
            await self._apply_port(port, *whose)
        else:
            await self._write(self._there(*whose))

    async def _apply_port(self, port: View, *whose: str) -> list[PermanentError]:
        """What OVN can't do of it."""
        newest = self._newest(port)
        rows = self._plan.rows_of_port(port.key)
        problems = self._take_port(newest)
        interfaces = (interface.key for interface in newest.referrers_with_role(Role.INTERFACE))
        there = self._there(port.key, *interfaces, *whose)
        await self._write(rows | self._plan.rows_of_port(port.key) | there)
        return problems

    def _there(self, *whose: str) -> set[RowId]:
        """The rows that the database has for interfaces, ports, services, subnets: of what was deleted or
        unbound while the shim server was away, the plan knows nothing.
        """
        return self._northbound.ids_for(whose)

    def _newest(self, port: View) -> View:
        """The port as etcd has it now, with all its bindings; the given view may be of one of them only."""
        if self._desired is None:
            return port
        return self._desired.find(port.object_name, port.key) or port

    def _take_port(self, port: View) -> list[PermanentError]:
        if port.departed:
            self._plan.drop_port(port.key)
            return []
        for interface in port.referrers_with_role(Role.INTERFACE):
            for binding in interface.referrers_with_role(Role.SERVICE_BINDING):
                service = binding.to(Role.SERVICE)
                if service is None or service.departed:
                    continue
                if not self._plan.knows_service(service.key):
                    self._take_service(service)
        wish, problems = read_port(port, self._serves)
        self._plan.put_port(wish)
        return problems

    def _take_service(self, service: View) -> None:
        try:
            self._plan.put_service(read_service(service))
        except PermanentError as error:
            # Its own callback tells the owner.
            _log.debug("%s: %s", service.object_id, error.reason)

    async def _write(self, rows: Iterable[RowId]) -> None:
        self._plan.refresh()
        await self._writer.write({*rows, *self._plan.take_changed()})


def _subnets(bindings: Iterable[View]) -> set[str]:
    """The keys of the networks that bindings led into."""
    services = ((binding, binding.to(Role.SERVICE)) for binding in bindings)
    subnets = (read_subnet(binding, service) for binding, service in services if service is not None)
    return {subnet.key for subnet in subnets if subnet is not None}
