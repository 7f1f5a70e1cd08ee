"""A controller that isn't one: it logs what it is asked and says yes. For trials, demonstrations, tests."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from gluon.shim.backend import Backend, BackendContext, Vif
from gluon.shim.views import View

VIF: Vif = {"vif_type": "ovs", "vif_details": {"port_filter": False, "bridge_name": "br-gluon"}}
_log = logging.getLogger(__name__)


class DummyBackend(Backend):
    """Logs a line for each callback. It keeps nothing, so there is nothing to apply again at a start."""

    def __init__(self, context: BackendContext) -> None:
        super().__init__(context)
        self._service = context.service

    async def bind_port(self, port: View) -> Vif:
        """Yes, as Open vSwitch would do it."""
        device = f" for {port.device_id}" if port.get("device_id") else ""
        self._tell("bind_port", port, f"on {port.host_id}{device}: {VIF['vif_type']}")
        return VIF

    async def unbind_port(self, port: View) -> None:
        """Log it."""
        self._tell("unbind_port", port, f"from {port.host_id}")

    async def activate_port(self, port: View) -> None:
        """Log it."""
        self._tell("activate_port", port, f"on {port.host_id}")

    async def modify_port(self, port: View) -> None:
        """Log it."""
        self._tell("modify_port", port, _attributes(port, "mac_address", "host_id"))

    async def delete_port(self, port: View) -> None:
        """Log it."""
        self._tell("delete_port", port)

    async def modify_interface(self, interface: View) -> None:
        """Log it."""
        segment = _attributes(interface, "segmentation_type", "segmentation_id")
        self._tell("modify_interface", interface, _joined(f"of {_name(interface.port)}", segment))

    async def delete_interface(self, interface: View) -> None:
        """Log it."""
        self._tell("delete_interface", interface)

    async def modify_service(self, service: View) -> None:
        """Log it, with the route targets of those that have any."""
        targets = getattr(service, "route_targets", ())
        ways = {(True, True): "both", (True, False): "import", (False, True): "export"}
        texts = (f"{t.family} {t.value} {ways.get((t.imports, t.exports), 'unused')}" for t in targets)
        self._tell("modify_service", service, ", ".join(texts))

    async def delete_service(self, service: View) -> None:
        """Log it."""
        self._tell("delete_service", service)

    async def modify_service_binding(self, binding: View) -> None:
        """Log it."""
        between = f"of {_name(binding.interface)} to {_name(binding.service)}"
        self._tell("modify_service_binding", binding, _joined(between, _attributes(binding, "ipaddress")))

    async def delete_service_binding(self, binding: View) -> None:
        """Log it."""
        self._tell("delete_service_binding", binding)

    async def modify_object(self, object: View) -> None:
        """Log it."""
        self._tell("modify_object", object)

    async def delete_object(self, object: View) -> None:
        """Log it."""
        self._tell("delete_object", object)

    def _tell(self, callback: str, view: View, text: str = "") -> None:
        _log.info("%s %s %s%s", self._service, callback, _name(view), f" {text}" if text else "")


def _name(view: Any) -> str:
    if not isinstance(view, View):
        return "nothing"
    name = view.get("name")
    return f"{view.object_id} {name!r}" if name else str(view.object_id)


def _attributes(view: View, *names: str) -> str:
    found: Mapping[str, Any] = {name: view.get(name) for name in names}
    return ", ".join(f"{name} {value}" for name, value in found.items() if value not in (None, ""))


def _joined(*texts: str) -> str:
    return ", ".join(text for text in texts if text)
