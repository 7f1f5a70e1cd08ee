"""Random models that are valid: every type, references in chains and circles, parents, bases, bindings."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SERVICE = "made"

# Names that a careless server would confuse: with SQL, with its own parameters, or with each other.
_NAMES = (
    *("a", "A", "c_a", "c0", "c1", "key", "c_key", "now", "revision", "limit", "marker", "f0_0", "m0", "k0"),
    *("value", "owner", "system_owner", "select", "order", "rowid", "_", "_x", "id", "fields", "cascade"),
    *("bind_id", "status", "self", "sort_key", "tenant_id", "object", "state", "x" * 48, "x" * 47 + "y"),
)
_OBJECTS = ("Thing", "thing", "THING", "Select", "Index", "_Made", "Identities", "O" * 48, "O" * 47 + "P")
_PLURALS = ("status", "bindings", "Things", "all-of-them", "proton", "a", "s" * 64)
_POLICIES = ("rule:admin_or_owner", "rule:admin", "rule:regular_user", "@", "role:admin or tenant_id:%(a)s")

Keywords = dict[str, Any]


def models() -> st.SearchStrategy[dict[str, Any]]:
    """Documents of model files, whose objects can all be created."""
    return _model()


@st.composite
def _model(draw: st.DrawFn) -> dict[str, Any]:
    document: dict[str, Any] = {
        "file_version": "1.0",
        "info": {"name": SERVICE, "version": draw(st.sampled_from(["1.0", "2.10", "0-rc.1"]))},
        "objects": {},
    }
    objects = document["objects"]
    if draw(st.booleans()):
        _binding(draw, document)
    base = draw(st.sampled_from([None, "Base", "Upper"]))
    if base is not None:
        objects["Base"] = {"attributes": _attributes(draw, [], [])}
        if base == "Upper":
            objects["Upper"] = {"extends": "Base", "attributes": _attributes(draw, [], [])}
    before = [name for name, declared in objects.items() if "api" in declared]
    names = draw(st.lists(st.sampled_from(_OBJECTS), unique=True, min_size=1, max_size=4))
    plurals = draw(st.permutations(_PLURALS))
    for index, name in enumerate(names):
        declared: dict[str, Any] = {"api": {"name": f"o{index}"}}
        if draw(st.booleans()):
            declared["api"]["plural_name"] = plurals[index]
        if base is not None and draw(st.booleans()):
            declared["extends"] = base
        inherited = _inherited(objects, declared)
        attributes = _attributes(draw, before, [*before, *names], inherited)
        attributes = {n: k for n, k in attributes.items() if n not in inherited}
        for overridden in sorted(inherited):
            if draw(st.integers(0, 3)) == 0:
                attributes[overridden] = {"description": "overridden", "required": False}
        _key(draw, attributes, inherited, before)
        if before and draw(st.booleans()):
            _parent(draw, declared, attributes, before, inherited)
        declared["attributes"] = attributes
        if draw(st.booleans()):
            action = draw(st.sampled_from(["create", "get", "list", "update", "delete"]))
            rule = draw(st.sampled_from(_POLICIES))
            declared["policies"] = {action: draw(st.sampled_from([rule, {"role": rule}]))}
        objects[name] = declared
        before = [*before, name]
    return document


def _inherited(objects: dict[str, Any], declared: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    while "extends" in declared and declared["extends"] in objects:
        declared = objects[declared["extends"]]
        found |= set(declared["attributes"])
    return found


def _attributes(
    draw: st.DrawFn,
    before: list[str],
    targets: list[str],
    taken: set[str] = frozenset(),  # type: ignore[assignment]
) -> dict[str, Keywords]:
    names = draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=6))
    found: dict[str, Keywords] = {}
    for name in names:
        if name not in taken:
            keywords = draw(_plain())
            if targets and draw(st.integers(0, 3)) == 0:
                # One that is required must point at an object declared earlier, or nothing could come first.
                required = bool(before) and draw(st.booleans())
                keywords = {"type": draw(st.sampled_from(before if required else targets))}
                keywords["required"] = required
            elif draw(st.integers(0, 3)) == 0:
                keywords["required"] = True
            found[name] = keywords
    return found


def _plain() -> st.SearchStrategy[Keywords]:
    formats = ["date-time", "json", "ipv4", "ipv6", "mac", "uri", "url", "email"]
    return st.one_of(
        st.just({"type": "boolean"}),
        st.just({"type": "uuid"}),
        st.just({"type": "string"}),
        st.builds(lambda n: {"type": "string", "length": n}, st.sampled_from([1, 2, 40, 300])),
        st.builds(lambda f: {"type": "string", "format": f}, st.sampled_from(formats)),
        st.just({"type": "integer"}),
        st.builds(lambda f: {"type": "integer", "format": f}, st.sampled_from(["int32", "int64"])),
        st.builds(lambda a, b: {"type": "integer", "min": a, "max": a + b}, _small(), st.integers(0, 9)),
        st.just({"type": "number"}),
        st.builds(lambda a, b: {"type": "number", "min": a - 0.5, "max": a + b}, _small(), st.integers(0, 9)),
        st.builds(lambda v: {"type": "enum", "values": v}, _enum_values()),
    )


def _small() -> st.SearchStrategy[int]:
    return st.integers(-5, 5)


def _enum_values() -> st.SearchStrategy[list[str]]:
    values = ["none", "None", "true", "0", "a b", "a/b", "ü", "'", "x" * 255, "%2F"]
    return st.lists(st.sampled_from(values), unique=True, min_size=1, max_size=4)


def _key(draw: st.DrawFn, attributes: dict[str, Keywords], inherited: set[str], before: list[str]) -> None:
    """None, one or several primary attributes; the identifying one may itself be a reference."""
    count = draw(st.integers(0, 3))
    free = [name for name in ("k1", "k2", "k3") if name not in inherited][:count]
    for name in free:
        keywords = dict(draw(_plain()))
        if keywords["type"] == "string":
            keywords["length"] = min(keywords.get("length", 40), 40)  # so that an index can hold all of them
        if before and draw(st.integers(0, 2)) == 0:
            keywords = {"type": draw(st.sampled_from(before))}
        keywords["primary"] = True
        if name == "k1" or draw(st.booleans()):
            keywords["required"] = True
        attributes[name] = keywords


def _parent(
    draw: st.DrawFn,
    declared: dict[str, Any],
    attributes: dict[str, Keywords],
    before: list[str],
    inherited: set[str],
) -> None:
    parent = draw(st.sampled_from(before))
    plural = declared["api"].get("plural_name")
    if plural in ("status", "bindings"):
        del declared["api"]["plural_name"]
    attributes["parent_key"] = {"type": parent, "required": draw(st.booleans())}
    declared["api"] |= {"parent": parent, "parent_key": "parent_key"}


def _binding(draw: st.DrawFn, document: dict[str, Any]) -> None:
    """A port, its interface, services and service bindings, called what the author likes."""
    objects = document["objects"]
    if draw(st.booleans()):
        document["imports"] = "base/base.yaml"
        key = "id"
    else:
        key = draw(st.sampled_from(["id", "port_key"]))
        _own_bases(draw, objects, key)
    port, interface = draw(
        st.sampled_from([("Port", "Interface"), ("Vnic", "Segment"), ("Interface", "Port")])
    )
    objects[port] = {"api": {"name": "vnic"}, "extends": "BasePort"}
    objects[interface] = {"api": {"name": "segment"}, "extends": "BaseInterface", "attributes": {}}
    if draw(st.booleans()):
        objects[interface]["attributes"]["port_id"] = {"type": port}
    if draw(st.booleans()):
        objects[interface]["api"] |= {"parent": port, "parent_key": "port_id"}
    services = ["Vpn", "Chain"][: draw(st.integers(1, 2))]
    for name in services:
        objects[name] = {"api": {"name": name.lower()}, "extends": "BaseService"}
    for name in ["Use", "Member"][: draw(st.integers(0, 2))]:
        objects[name] = {"api": {"name": name.lower()}, "extends": "BaseServiceBinding", "attributes": {}}
        if draw(st.booleans()):
            objects[name]["attributes"]["service_id"] = {"type": services[-1]}
        if draw(st.booleans()):
            objects[name]["attributes"]["interface_id"] = {"type": interface}


def _own_bases(draw: st.DrawFn, objects: dict[str, Any], key: str) -> None:
    """Base objects of the author's own, with no more than the server needs and perhaps a little else."""
    uuid_key = {key: {"type": "uuid", "primary": True}}
    tenant: Keywords = {}
    if draw(st.booleans()):
        tenant = {"tenant_id": {"type": draw(st.sampled_from(["uuid", "string"]))}}
    text = {"type": "string"}
    objects["BasePort"] = {
        "attributes": {
            **uuid_key,
            **tenant,
            **({"name": {"type": "string", "length": draw(st.sampled_from([1, 20]))}} if tenant else {}),
            "status": {"type": "enum", "values": ["DOWN", "ACTIVE", "BUILD"]},
            "admin_state_up": {"type": "boolean"},
            "device_id": {"type": draw(st.sampled_from(["uuid", "string"]))},
            **dict.fromkeys(("host_id", "vif_type", "vif_details", "profile", "device_owner"), text),
        }
    }
    objects["BaseInterface"] = {
        "attributes": {
            **uuid_key,
            **draw(st.sampled_from([{}, tenant, {"tenant_id": text}])),
            "port_id": {"type": "uuid", "required": True},
            "name": {"type": "string", "length": draw(st.sampled_from([1, 8, 64]))},
            "segmentation_type": {"type": "string", "length": 4},
            "segmentation_id": {"type": "integer", "min": 0, "max": 4095},
        }
    }
    objects["BaseService"] = {"attributes": {"id": {"type": "uuid", "primary": True}}}
    objects["BaseServiceBinding"] = {
        "attributes": {
            "interface_id": {"type": "uuid", "primary": draw(st.booleans())},
            "service_id": {"type": "uuid"},
        }
    }
