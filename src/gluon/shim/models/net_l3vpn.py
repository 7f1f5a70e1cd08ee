"""The API model of net-l3vpn: a VPN's route targets, and what changes them.

A VPN names route targets (`ipv4_family`, `ipv6_family`, with commas between them). What each of them does is
said by the VpnAfConfig of that value: import, export or both (RFC 4364, section 4.3.1). Route targets are a
boundary between customers: one that a VPN merely names, without a VpnAfConfig of its own tenant, imports
and exports nothing. An administrator's VpnAfConfig can't be told apart by what is in etcd, so it counts for
its own tenant only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

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

    topology = "routed"
    """How a VPN's ports are joined, for backends that must know: each prefix is a network, between which it
    routes."""

    def config_of(self, route_target: str) -> View | None:
        """The VpnAfConfig of a route target, whoever's it is."""
        config = self._source.find_view(ObjectId(CONFIG, route_target))
        return config if config is not None and not config.departed else None

    @property
    def route_targets(self) -> tuple[RouteTarget, ...]:
        """Those that this VPN may use, in the order in which it names them."""
        found = []
        for family, attribute in FAMILIES.items():
            for value in named_route_targets(self.document, (attribute,)):
                config = self.config_of(value)
                if config is not None and _same_tenant(config, self):
                    found.append(_route_target(value, family, config))
        return tuple(found)


class NetL3vpnApiModel(GenericApiModel):
    """A change of a VpnAfConfig reaches the VPNs that name its route target."""

    with_context = frozenset({VPN})

    def view_bases(self) -> Mapping[str, type[View]]:
        """VPNs know their route targets."""
        return {VPN: VpnServiceView}

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
        return digest.hexdigest()


def named_route_targets(vpn: Document, attributes: Iterable[str] = tuple(FAMILIES.values())) -> Iterator[str]:
    """The values that a VPN names, in their order, without repetition within one family."""
    for attribute in attributes:
        texts = (text.strip() for text in (vpn.get(attribute) or "").split(","))
        yield from dict.fromkeys(text for text in texts if text)


def _same_tenant(one: View, other: View) -> bool:
    return _tenant(one) == _tenant(other) != ""


def _tenant(view: View) -> str:
    # Both spellings of a uuid are the same tenant.
    return str(view.get("tenant_id") or "").replace("-", "").lower()


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
