"""The callbacks: each makes the plan follow one object, and has the entries written that this concerns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from gluon.model.model import Role
from gluon.shim.backend import Backend, BackendContext, Desired, Vif
from gluon.shim.backends.odl.keeper import Keeper
from gluon.shim.backends.odl.marks import Marks
from gluon.shim.backends.odl.options import load_odl_settings
from gluon.shim.backends.odl.plan import Plan
from gluon.shim.backends.odl.reading import check_bindable, read_attachment, read_port, read_vpn
from gluon.shim.backends.odl.restconf import Restconf
from gluon.shim.backends.odl.settling import Settler
from gluon.shim.errors import PermanentError, TemporaryError
from gluon.shim.views import View

_log = logging.getLogger(__name__)


class OdlBackend(Backend):
    """Drives OpenDaylight's NetVirt by RESTCONF, for one service. Needs `gluon[odl]`."""

    def __init__(self, context: BackendContext) -> None:
        super().__init__(context)
        self._settings = settings = load_odl_settings(context.conf)
        # Each callback has one request under way at a time.
        self.parallel = settings.max_requests
        hosts = frozenset(context.conf.shim.host_list)
        self._serves = (lambda host: True) if "*" in hosts else hosts.__contains__
        self._plan = Plan()
        self._restconf = Restconf(settings)
        self._settler = Settler(
            *(self._restconf, self._plan, Marks(settings.owner, context.service), settings.bridge_name),
            on_away=lambda: self._keeper.suspect(),
        )
        self._keeper = Keeper(
            *(self._restconf, self._plan, self._settler),
            interval=settings.audit_interval,
            stray_delay=settings.stray_delay,
        )
        self._keeping: asyncio.Task[None] | None = None
        self._desired: Desired | None = None

    async def start(self) -> None:
        """Find out how to speak with the controller; TemporaryError while it is away or has no NetVirt."""
        await self._restconf.connect()

    async def stop(self) -> None:
        """Disconnect; all entries stay."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait((self._keeping,))
        await self._restconf.close()

    async def check(self) -> str:
        """Connect, and say with what; for trying out a configuration. Raises TemporaryError."""
        try:
            found = await self._restconf.connect()
            return (
                f"OpenDaylight at {self._settings.url}: {found.version.value} under {found.root}, "
                f"VPNs by {found.vpn_module}"
            )
        finally:
            await self._restconf.close()

    async def held_keys(self) -> frozenset[str]:
        """The keys of the VPNs, ports and interfaces that the controller says it has. Raises Away."""
        await self._settler.read()
        return self._settler.held_keys()

    async def reconcile(self, desired: Desired) -> None:
        """Learn all that should be there, make it so, and from now on keep it so."""
        self._desired = desired
        for service in desired.services:
            self._take_service(service)
        for port in desired.ports:
            self._take_port(port)
        try:
            await self._keeper.audit()
        except TemporaryError:
            self._keeper.suspect()
            raise
        finally:
            if self._keeping is None:
                self._keeping = asyncio.create_task(self._keeper.run(), name="odl-keeper")

    async def bind_port(self, port: View) -> Vif:
        """Have the port's interfaces be there, in their VPN."""
        check_bindable(port)
        problems = await self._apply_port(port)
        if problems:
            raise problems[0]
        return {
            "vif_type": "ovs",
            "vif_details": {
                "bridge_name": self._settings.bridge_name,
                "port_filter": False,
                "ovs_hybrid_plug": False,
                "connectivity": "l2",
            },
        }

    async def unbind_port(self, port: View) -> None:
        """Have the port's interfaces be as the port is by now: gone, or for another host."""
        await self._apply_port(port)

    async def activate_port(self, port: View) -> None:
        """Have the port be on its new host."""
        await self._apply_port(port)

    async def modify_port(self, port: View) -> None:
        """The same; what OpenDaylight can't do of a port matters when it is to be bound."""
        await self._apply_port(port)

    async def delete_port(self, port: View) -> None:
        """Have nothing of the port be there."""
        interfaces = {i.key for i in port.referrers_with_role(Role.INTERFACE)}
        await self._drop_port(port, interfaces)

    async def modify_interface(self, interface: View) -> None:
        """Have the port be as it should with this interface."""
        port = interface.to(Role.PORT)
        if port is not None:
            await self._apply_port(port)

    async def delete_interface(self, interface: View) -> None:
        """Have the port be as it should without this interface."""
        port = interface.to(Role.PORT)
        if port is not None:
            await self._apply_port(port)
        await self._settler.settle_interface(interface.key)

    async def modify_service_binding(self, binding: View) -> None:
        """Have the interface be in the VPN, and its subnet there."""
        interface, port, service = (binding.to(r) for r in (Role.INTERFACE, Role.PORT, Role.SERVICE))
        if interface is None or port is None or service is None:
            raise TemporaryError("its interface, port or service isn't there yet")
        read_attachment(binding, service)
        read_vpn(service)
        problems = await self._apply_port(port)
        if problems:
            raise problems[0]
        await self._settler.settle_vpn(service.key, sweep=True)

    async def delete_service_binding(self, binding: View) -> None:
        """Have the interface not be in the VPN, and no subnet that nobody is in."""
        port, service = binding.to(Role.PORT), binding.to(Role.SERVICE)
        if port is not None:
            await self._apply_port(port)
        interface = binding.to(Role.INTERFACE)
        if interface is not None:
            await self._settler.settle_interface(interface.key)
        if service is not None:
            await self._settler.settle_vpn(service.key, sweep=True)

    async def modify_service(self, service: View) -> None:
        """Have the VPN be there, with its route targets."""
        self._plan.put_vpn(read_vpn(service))
        await self._settler.settle_vpn(service.key)

    async def delete_service(self, service: View) -> None:
        """Have nothing of the VPN be there."""
        self._plan.drop_vpn(service.key)
        await self._settler.settle_vpn(service.key, sweep=True)

    async def _apply_port(self, port: View) -> list[PermanentError]:
        """Have the port be as etcd has it by now; what OpenDaylight can't do of it."""
        before = self._plan.interfaces_of(port.key)
        newest = self._newest(port)
        if newest.departed:
            await self._drop_port(newest, before)
            return []
        problems = self._take_port(newest)
        now = self._plan.interfaces_of(port.key)
        for vpn in sorted(self._plan.vpns_of(now)):
            await self._settler.settle_vpn(vpn)
        await self._settle_interfaces(before | now)
        return problems

    async def _drop_port(self, port: View, interfaces: Iterable[str]) -> None:
        known = self._plan.interfaces_of(port.key)
        vpns = self._plan.vpns_of(known)
        self._plan.put_port(port.key, {})
        await self._settle_interfaces({*known, *interfaces, port.key})
        for vpn in sorted(vpns):
            await self._settler.settle_vpn(vpn, sweep=True)

    async def _settle_interfaces(self, keys: Iterable[str]) -> None:
        for key in sorted(keys):
            await self._settler.settle_interface(key)

    def _newest(self, port: View) -> View:
        """The port as etcd has it now; the given view may be of one of its bindings only."""
        if self._desired is None:
            return port
        return self._desired.find(port.object_name, port.key) or port

    def _take_port(self, port: View) -> list[PermanentError]:
        if port.departed:
            self._plan.put_port(port.key, {})
            return []
        wishes, problems = read_port(port, self._serves)
        for interface in port.referrers_with_role(Role.INTERFACE):
            for binding in interface.referrers_with_role(Role.SERVICE_BINDING):
                service = binding.to(Role.SERVICE)
                if service is not None and not service.departed and self._plan.vpn(service.key) is None:
                    self._take_service(service)
        self._plan.put_port(port.key, wishes)
        return problems

    def _take_service(self, service: View) -> None:
        try:
            self._plan.put_vpn(read_vpn(service))
        except PermanentError as error:
            # Its own callback tells the owner.
            _log.debug("%s: %s", service.object_id, error.reason)
