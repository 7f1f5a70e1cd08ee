"""Models made by hand: what the store is tested with, without the compiler."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from gluon.model.model import ApiObject, Attribute, AttributeType, Model, Role

INTEGER, NUMBER, STRING = AttributeType.INTEGER, AttributeType.NUMBER, AttributeType.STRING
BOOLEAN, UUID, ENUM = AttributeType.BOOLEAN, AttributeType.UUID, AttributeType.ENUM


def attribute(name: str, kind: AttributeType = STRING, **given: object) -> Attribute:
    return Attribute(name, kind, kind, **given)  # type: ignore[arg-type]


def reference(name: str, target: str, value_type: AttributeType = UUID, **given: object) -> Attribute:
    return Attribute(name, AttributeType.REFERENCE, value_type, target, (target,), **given)  # type: ignore[arg-type]


def api_object(
    name: str, attributes: Iterable[Attribute], key: str = "id", role: Role = Role.NONE, **given: object
) -> ApiObject:
    return ApiObject(
        name=name,
        api_name=name.lower(),
        plural=name.lower() + "s",
        role=role,
        attributes={a.name: a for a in attributes},
        key=key,
        **given,  # type: ignore[arg-type]
    )


def model(service: str, *objects: ApiObject, version: str = "1.0") -> Model:
    document = {"service": service, "objects": {o.name: {"attributes": list(o.attributes)} for o in objects}}
    digest = hashlib.sha256(f"{service} {version} {sorted(document['objects'])}".encode()).hexdigest()
    return Model(service, version, "", {o.name: o for o in objects}, document, digest)


ID = attribute("id", UUID, primary=True, required=True)
TENANT = attribute("tenant_id", UUID, required=True)
NAME = attribute("name", length=64)

PORT = api_object(
    "Port",
    [
        ID,
        TENANT,
        NAME,
        attribute("mac_address", length=18, format="mac"),
        attribute("admin_state_up", BOOLEAN),
        attribute("status", ENUM, values=("ACTIVE", "DOWN")),
        attribute("mtu", INTEGER),
        attribute("profile", length=128, format="json"),
        attribute("device_id", UUID),
        attribute("host_id", length=64),
        attribute("vif_details", length=128, format="json"),
        attribute("vif_type", length=32),
    ],
    role=Role.PORT,
)
INTERFACE = api_object(
    "Interface",
    [
        ID,
        TENANT,
        NAME,
        reference("port_id", "Port", required=True),
        attribute("segmentation_type", ENUM, values=("none", "vlan")),
        attribute("segmentation_id", INTEGER),
    ],
    role=Role.INTERFACE,
    parent="Port",
    parent_key="port_id",
)
VPN = api_object("Vpn", [ID, TENANT, NAME], role=Role.SERVICE)
CHAIN = api_object("Chain", [ID, TENANT, NAME], role=Role.SERVICE)
BINDING = api_object(
    "Binding",
    [
        TENANT,
        reference("interface_id", "Interface", primary=True),
        Attribute("service_id", UUID, UUID, refers_to=("Vpn", "Chain")),
    ],
    key="interface_id",
    role=Role.SERVICE_BINDING,
)
NETWORK = model("net-test", PORT, INTERFACE, VPN, CHAIN, BINDING)

ALL_TYPES = model(
    "types",
    api_object(
        "Thing",
        [
            attribute("name", length=40, primary=True, required=True),
            attribute("text"),
            attribute("Text"),
            attribute("order", INTEGER),
            attribute("size", NUMBER),
            attribute("on", BOOLEAN),
            attribute("uuid", UUID),
            attribute("colour", ENUM, values=("red", "green")),
            attribute("data", length=65536, format="json"),
        ],
        key="name",
    ),
)
