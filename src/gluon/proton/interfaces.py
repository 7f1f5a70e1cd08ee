"""The default interface: unsegmented, with its port's own id, made and removed with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluon.proton.registry import HostedObject
from gluon.store.paging import Row


def default_interface(interface: HostedObject, port_id: str, port: Mapping[str, Any]) -> Row:
    """The unsegmented interface that every port has: with the port's own id, and named after it."""
    limit = interface.api.attributes["name"].length or 255
    suffix = "_default"
    of_port = port.get("name")
    name = (
        f"{of_port[: max(0, limit - len(suffix))]}{suffix}"
        if of_port and isinstance(of_port, str)
        else "default"
    )
    values: Row = dict.fromkeys(interface.api.attributes)
    values["port_id"] = port_id
    values[interface.api.key] = port_id
    values["tenant_id"] = port.get("tenant_id")
    values["name"] = name[:limit]
    values["segmentation_type"] = "none"
    values["segmentation_id"] = 0
    return values
