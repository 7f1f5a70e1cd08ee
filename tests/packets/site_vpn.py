"""The API model of `models/site-vpn`: where its route targets stand."""

from __future__ import annotations

from collections.abc import Mapping

from gluon.shim.models.generic import GenericApiModel
from gluon.shim.models.net_l3vpn import RouteTarget
from gluon.shim.views import View


class SiteVpnView(View):
    __slots__ = ()

    topology = "routed"

    @property
    def route_targets(self) -> tuple[RouteTarget, ...]:
        imports, exports = (
            {text for text in (self.get(name) or "").split(",") if text} for name in ("imports", "exports")
        )
        return tuple(
            RouteTarget(value, "ipv6", value in imports, value in exports, None, None)
            for value in sorted(imports | exports)
        )


class SiteVpnApiModel(GenericApiModel):
    def view_bases(self) -> Mapping[str, type[View]]:
        return {"SiteVpn": SiteVpnView}
