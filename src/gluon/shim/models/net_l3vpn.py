"""The API model of net-l3vpn: a VPN's route targets, and what changes them.

A VPN names route targets (`ipv4_family`, `ipv6_family`, with commas between them). What each of them does is
said by the VpnAfConfig of that value: import, export or both (RFC 4364, section 4.3.1). Route targets are a
boundary between customers: one that a VPN merely names, without a VpnAfConfig of its own tenant or of an
administrators' one (`[shim] admin_tenants`), imports and exports nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from gluon.shim.inventory import Inventory
from gluon.shim.models.generic import GenericApiModel
from gluon.shim.shelf import Document, ObjectId, Term
from gluon.shim.views import View

VPN = "VpnService"
CONFIG = "VpnAfConfig"
FAMILIES: Mapping[str, str] = {"ipv4": "ipv4_family", "ipv6": "ipv6_family"}
"""The attribute of a VPN that names the route targets of an address family."""

_NAMED = "route target"


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """A route target that a VPN may use, and how."""

    value: str
    """As in the model: `64512:100` (RFC 4360, section 4)."""
    family: str
    """`ipv4` or `ipv6`."""
    imports: bool
    exports: bool
    import_policy: str | None
    export_policy: str | None


class VpnServiceView(View):
    """A VPN, with its route targets."""

    __slots__ = ()

    admin_tenants: ClassVar[frozenset[str]] = frozenset()
    """Those whose VpnAfConfigs hold for all; without dashes."""

    topology = "routed"
    """How a VPN's ports are joined, for backends that must know: each prefix is a network, between which it
    routes."""

    def config_of(self, route_target: str) -> View | None:
        """The VpnAfConfig of a route target, whoever's it is."""
        config = self._source.find_view(ObjectId(CONFIG, route_target))
        return config if config is not None and not config.departed else None

    def is_held_to(self, config: View) -> bool:
        """Whether a VpnAfConfig holds for this VPN."""
        tenant = _tenant(config)
        return tenant != "" and (tenant == _tenant(self) or tenant in self.admin_tenants)

    @property
    def route_targets(self) -> tuple[RouteTarget, ...]:
        """Those that this VPN may use, in the order in which it names them."""
        found = []
        for family, attribute in FAMILIES.items():
            for value in named_route_targets(self.document, (attribute,)):
                config = self.config_of(value)
                if config is not None and self.is_held_to(config):
                    found.append(_route_target(value, family, config))
        return tuple(found)


class NetL3vpnApiModel(GenericApiModel):
    """A change of a VpnAfConfig reaches the VPNs that name its route target."""

    with_context = frozenset({VPN})

    def view_bases(self) -> Mapping[str, type[View]]:
        """VPNs know their route targets."""
        tenants = frozenset(_plain(tenant) for tenant in self.admin_tenants)
        known = {"__slots__": (), "admin_tenants": tenants}
        return {VPN: type("VpnServiceView", (VpnServiceView,), known)}

    def further_terms(self, object_name: str) -> Callable[[Document], Iterable[Term]] | None:
        """VPNs are found by the route targets that they name."""
        if object_name != VPN:
            return None

        def terms(document: Document) -> Iterator[Term]:
            return ((VPN, _NAMED, value) for value in named_route_targets(document))

        return terms

    def affected(self, inventory: Inventory, object_id: ObjectId) -> Iterable[ObjectId]:
        """The VPNs that name a VpnAfConfig."""
        if object_id.object_name != CONFIG:
            return ()
        return (ObjectId(VPN, key) for key in inventory.find((VPN, _NAMED, object_id.key), departed=False))

    def context(self, view: View) -> str | None:
        """What the VpnAfConfigs say that a VPN names, whether they are for it or not."""
        if not isinstance(view, VpnServiceView):
            return None
        digest = hashlib.blake2b(digest_size=8)
        for value in sorted(set(named_route_targets(view.document))):
            config = view.config_of(value)
            if config is not None:
                digest.update(repr(sorted(config.document.items())).encode())
                if view.is_held_to(config) and _tenant(config) != _tenant(view):
                    # By a setting, which may be another at the next start.
                    digest.update(b"administrator's")
        return digest.hexdigest()


def named_route_targets(vpn: Document, attributes: Iterable[str] = tuple(FAMILIES.values())) -> Iterator[str]:
    """The values that a VPN names, in their order, without repetition within one family."""
    for attribute in attributes:
        texts = (text.strip() for text in (vpn.get(attribute) or "").split(","))
        yield from dict.fromkeys(text for text in texts if text)


def _tenant(view: View) -> str:
    return _plain(str(view.get("tenant_id") or ""))


def _plain(tenant: str) -> str:
    # Both spellings of a uuid are the same tenant.
    return tenant.replace("-", "").lower()


def _route_target(value: str, family: str, config: View) -> RouteTarget:
    kind = config.get("vrf_rt_type")
    return RouteTarget(
        value=value,
        family=family,
        imports=kind in ("import_extcommunity", "both"),
        exports=kind in ("export_extcommunity", "both"),
        import_policy=config.get("import_route_policy"),
        export_policy=config.get("export_route_policy"),
    )
