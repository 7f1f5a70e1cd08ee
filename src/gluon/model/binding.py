"""What a model that takes part in binding must keep, so that the server can bind its ports.

The server reads and writes these attributes itself: a bind sets `host_id` and `vif_type`, a created port
gets a default interface. A model may add to the objects, but not take this from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gluon.model.inventory import Inventory
from gluon.model.language import BASE_ROLES, DEFAULT_LENGTH, NARROWING
from gluon.model.model import Role
from gluon.model.problems import Report
from gluon.model.resolution import INTERFACE_ID, PORT_ID, SERVICE_ID

BINDING_FAILED = "binding_failed"
"""The `vif_type` of a port whose bind failed."""
DEFAULT_SEGMENTATION = "none"
"""The `segmentation_type` of a port's default interface; its `segmentation_id` is 0."""

_BASE_OF = {role_: base for base, role_ in BASE_ROLES.items()}
_UUID_LENGTH = 36
# What the server fills in when it makes a port's default interface.
_FILLED = frozenset({PORT_ID, "tenant_id", "name", "segmentation_type", "segmentation_id"})


def check_binding(inventory: Inventory, report: Report) -> None:
    """Report what keeps a model's ports from being bound; a model without binding roles is left alone."""
    _BindingCheck(inventory, report).run()


class _BindingCheck:
    def __init__(self, inventory: Inventory, report: Report) -> None:
        self._inventory = inventory
        self._declared = inventory.declared
        self._report = report
        self._by_role = {role: inventory.with_role(role) for role in Role}

    def run(self) -> None:
        if all(not names for role_, names in self._by_role.items() if role_ is not Role.NONE):
            return
        self._roles_are_there()
        for name in self._by_role[Role.PORT]:
            self._port(name)
        for name in self._by_role[Role.INTERFACE]:
            self._interface(name)
        for name in self._by_role[Role.SERVICE_BINDING]:
            self._service_binding(name)

    def _error(self, name: str, message: str, attribute: str | None = None, *keywords: str) -> None:
        if attribute is None:
            self._report.error(self._declared[name].at("extends"), message, name)
            return
        position = self._inventory.position(name, attribute, *keywords)
        self._report.error(position, message, name, attribute)

    def _roles_are_there(self) -> None:
        taking_part = (
            name for name in self._inventory.api_names if self._inventory.role(name) is not Role.NONE
        )
        first = next(taking_part)
        for wanted, why in (
            (Role.PORT, "the port that is bound"),
            (Role.INTERFACE, "the interfaces of a port"),
            (Role.SERVICE, "what interfaces are bound to"),
        ):
            names = self._by_role[wanted]
            if not names:
                needed = f"an API object that extends {_BASE_OF[wanted]}, {why}"
                self._error(first, f"takes part in binding, so the model also needs {needed}")
            elif wanted is not Role.SERVICE:
                for name in names[1:]:
                    message = (
                        f"only one object of a model may extend {_BASE_OF[wanted]}; {names[0]} does already"
                    )
                    self._error(name, message)

    def _has(
        self,
        name: str,
        attribute: str,
        is_right: Callable[[Mapping[str, Any]], bool],
        wanted: str,
        *keywords: str,
    ) -> Mapping[str, Any] | None:
        """The attribute's keywords if it is there and right, else an error."""
        found = self._inventory.attributes[name].get(attribute)
        if found is None:
            self._error(name, f"lacks the attribute {attribute}, {wanted}: the server uses it")
            return None
        if "type" not in found or is_right(found):
            return found
        self._error(name, f"must be {wanted}: the server uses it", attribute, *(keywords or ("type",)))
        return None

    def _uuid_key(self, name: str) -> None:
        for key in self._inventory.primary[name][:1]:
            if self._inventory.attributes[name][key].get("type", "uuid") != "uuid":
                self._error(name, "identifies a port or interface, so it must be of type uuid", key, "type")

    def _port(self, name: str) -> None:
        self._uuid_key(name)
        status = self._has(name, "status", lambda k: k["type"] == "enum", "an enum with ACTIVE and DOWN")
        if status is not None:
            missing = [
                value for value in ("ACTIVE", "DOWN") if value not in status.get("values", ("ACTIVE", "DOWN"))
            ]
            if missing:
                self._error(name, f"values must have {' and '.join(missing)}", "status", "values")
        for attribute in ("host_id", "vif_type", "vif_details", "profile", "device_owner"):
            keywords = self._has(name, attribute, lambda k: k["type"] == "string", "a string")
            if keywords is not None and attribute in ("host_id", "vif_type", "vif_details"):
                self._may_be_empty(name, attribute, keywords)
                self._is_free_text(name, attribute, keywords)
        device = self._has(name, "device_id", lambda k: k["type"] in ("uuid", "string"), "a uuid or a string")
        if device is not None:
            self._may_be_empty(name, "device_id", device)
        self._has(name, "admin_state_up", lambda k: k["type"] == "boolean", "a boolean")
        vif_type = self._inventory.attributes[name].get("vif_type", {})
        if vif_type.get("type") == "string" and vif_type.get("length", 255) < len(BINDING_FAILED):
            message = f"length must be at least {len(BINDING_FAILED)}, for '{BINDING_FAILED}'"
            self._error(name, message, "vif_type", "length")

    def _may_be_empty(self, name: str, attribute: str, keywords: Mapping[str, Any]) -> None:
        for keyword in ("required", "primary"):
            if keywords.get(keyword):
                message = f"can't be {keyword}: it is empty while the port is not bound"
                self._error(name, message, attribute, keyword)

    def _is_free_text(self, name: str, attribute: str, keywords: Mapping[str, Any]) -> None:
        allowed = "json" if attribute == "vif_details" else None
        if keywords.get("format", allowed) != allowed:
            message = f"can't have format {keywords['format']}: the server writes it"
            self._error(name, message, attribute, "format")

    def _interface(self, name: str) -> None:
        self._uuid_key(name)
        self._has(name, "name", lambda k: k["type"] == "string" and "format" not in k, "a string")
        self._segmentation(name)
        ports = self._by_role[Role.PORT]
        self._has(
            name,
            PORT_ID,
            lambda k: k["type"] in ("uuid", *ports),
            f"a uuid or of type {ports[0] if ports else 'Port'}",
        )
        parent = self._declared[name].api.get("parent")
        if parent is not None and ports and parent not in ports and parent in self._declared:
            position = self._declared[name].at("api.parent")
            self._report.error(position, f"the parent of interfaces must be {ports[0]}", name)
        if ports:
            self._tenant_as_of_port(name, ports[0])
        primary = self._inventory.primary[name]
        for attribute, keywords in self._inventory.attributes[name].items():
            if attribute in primary[:1] or attribute in _FILLED:
                continue
            for keyword in ("required", "primary"):
                if keywords.get(keyword):
                    message = (
                        f"can't be {keyword}: the server makes a port's default interface, and can't fill it"
                    )
                    self._error(name, message, attribute, keyword)

    def _tenant_as_of_port(self, name: str, port: str) -> None:
        """The server copies `tenant_id` from a port into its default interface, so the value must fit."""
        own = self._inventory.attributes[name].get("tenant_id")
        of_port = self._inventory.attributes[port].get("tenant_id")
        if own is None or "type" not in own or (of_port is not None and "type" not in of_port):
            return
        if of_port is None:
            if own.get("required"):
                message = f"can't be required: default interfaces get their port's, and {port} has none"
                self._error(name, message, "tenant_id", "required")
            return
        if not _admits(own, of_port):
            message = f"must admit every tenant_id of {port}: default interfaces get their port's"
            self._error(name, message, "tenant_id", "type")
        if own.get("required") and not of_port.get("required"):
            message = f"can't be required where that of {port} is not: default interfaces get their port's"
            self._error(name, message, "tenant_id", "required")

    def _segmentation(self, name: str) -> None:
        wanted = f"an enum with '{DEFAULT_SEGMENTATION}', or a string"
        kind = self._has(name, "segmentation_type", lambda k: k["type"] in ("enum", "string"), wanted)
        if kind is not None and kind.get("type") == "enum":
            if DEFAULT_SEGMENTATION not in kind.get("values", (DEFAULT_SEGMENTATION,)):
                message = f"values must have '{DEFAULT_SEGMENTATION}', for default interfaces"
                self._error(name, message, "segmentation_type", "values")
        elif kind is not None and kind.get("length", 255) < len(DEFAULT_SEGMENTATION):
            message = f"length must be at least {len(DEFAULT_SEGMENTATION)}, for '{DEFAULT_SEGMENTATION}'"
            self._error(name, message, "segmentation_type", "length")
        number = self._has(
            name, "segmentation_id", lambda k: k["type"] == "integer", "an integer that admits 0"
        )
        if number is not None and not number.get("min", 0) <= 0 <= number.get("max", 0):
            keyword = "min" if number.get("min", 0) > 0 else "max"
            self._error(name, "must admit 0, for default interfaces", "segmentation_id", keyword)

    def _service_binding(self, name: str) -> None:
        interfaces, services = self._by_role[Role.INTERFACE], self._by_role[Role.SERVICE]
        self._refers(name, INTERFACE_ID, interfaces, "an interface")
        self._refers(name, SERVICE_ID, services, "a service")

    def _refers(self, name: str, attribute: str, targets: list[str], what: str) -> None:
        wanted = f"a uuid or the name of the object that is {what}"
        keywords = self._has(name, attribute, lambda k: k["type"] in ("uuid", *targets), wanted)
        if keywords is None or keywords.get("type") != "uuid" or not targets:
            return
        if not any(self._inventory.key_keywords(target).get("type") == "uuid" for target in targets):
            message = f"is a plain uuid, but no {targets[0]} is identified by one: type: {targets[0]}"
            self._error(name, message, attribute, "type")


def _admits(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether every value of the other attribute is one of our own attribute, as far as keywords tell."""
    if own["type"] == "string" and "format" not in own and other["type"] in ("uuid", "string"):
        longest = _UUID_LENGTH if other["type"] == "uuid" else other.get("length", DEFAULT_LENGTH)
        return bool(own.get("length", DEFAULT_LENGTH) >= longest)
    return all(own.get(keyword) == other.get(keyword) for keyword in ("type", *NARROWING))
