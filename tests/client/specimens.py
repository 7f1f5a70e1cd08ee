"""Values for the attributes of any model, as a user would type them."""

from __future__ import annotations

import uuid
from typing import Any

from gluon.model.model import Attribute, AttributeType

TENANT = "a868a466bca84df18404a77db0ecac72"

PORT = (
    *("--mac_address", "c8:2a:14:04:43:80", "--mtu", "1500", "--admin_state_up", "True"),
    *("--vlan_transparency", "True", "--vnic_type", "normal", "--status", "ACTIVE", "--tenant_id", TENANT),
)
"""Options of a `port-create` that is enough."""

_BY_FORMAT = {
    "mac": ("c8:2a:14:04:43:80", "C8:2A:14:04:43:81"),
    "ipv4": ("10.10.0.2", "10.10.0.3"),
    "ipv6": ("2001:db8::1", "2001:DB8:0::2"),
    "date-time": ("2026-11-22T04:15:36Z", "2026-11-22T04:15:36.5+01:00"),
    "json": ('{"a": [1, null, "ü"]}', "{}"),
    "uri": ("https://example.test/x?y=1", "https://example.test/z"),
    "url": ("https://example.test/x?y=1", "https://example.test/z"),
    "email": ("someone@example.test", "another@example.test"),
}


def specimen(attribute: Attribute, *, other: bool = False) -> tuple[str, Any]:
    """A text for the command line and the value that the API must show for it; `other`: another one."""
    pick = 1 if other else 0
    kind = attribute.value_type
    if attribute.name == "tenant_id":
        return TENANT, TENANT
    if kind is AttributeType.UUID:
        text = str(uuid.uuid4())
        return text, text
    if kind is AttributeType.BOOLEAN:
        return (("True", True), ("false", False))[pick]
    if kind is AttributeType.INTEGER:
        low, high = attribute.minimum, attribute.maximum
        number = int((high if high is not None else 1500) if other else (low if low is not None else 0))
        return str(number), number
    if kind is AttributeType.NUMBER:
        return (("2.5", 2.5), ("3", 3.0))[pick]
    if kind is AttributeType.ENUM:
        value = attribute.values[-1 if other else 0]
        return value, value
    if attribute.format in _BY_FORMAT:
        text = _BY_FORMAT[attribute.format][pick]
        return text, text
    # Unique, because some strings identify their object; not ASCII alone, because users' aren't.
    text = f"{uuid.uuid4().hex[:8]} ü {attribute.name}"[: attribute.length or 255]
    return text, text
