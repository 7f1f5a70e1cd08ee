"""All that Gluon's objects ask of the controller, as of now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gluon.shim.backends.odl.wishes import Attachment, InterfaceWish, VpnWish


class Plan:
    """VPNs, and interfaces by port."""

    def __init__(self) -> None:
        self._vpns: dict[str, VpnWish] = {}
        self._interfaces: dict[str, InterfaceWish] = {}
        self._of_port: dict[str, frozenset[str]] = {}
        self._of_vpn: dict[str, set[str]] = {}

    @property
    def vpns(self) -> tuple[str, ...]:
        """Their keys."""
        return tuple(self._vpns)

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Their keys, also of those that another shim server writes."""
        return tuple(self._interfaces)

    def vpn(self, key: str) -> VpnWish | None:
        """A VPN; None: it isn't to be there."""
        return self._vpns.get(key)

    def interface(self, key: str) -> InterfaceWish | None:
        """An interface, in the VPN only if that is known; None: it isn't to be there."""
        wish = self._interfaces.get(key)
        if wish is None:
            return None
        return replace(wish, attachments=tuple(a for a in wish.attachments if a.vpn in self._vpns))

    def attachments(self, vpn: str) -> tuple[Attachment, ...]:
        """By what addresses interfaces are in a VPN."""
        keys = sorted(self._of_vpn.get(vpn, ()))
        return tuple(a for key in keys for a in self._interfaces[key].attachments if a.vpn == vpn)

    def interfaces_of(self, port: str) -> frozenset[str]:
        """The interfaces of a port."""
        return self._of_port.get(port, frozenset())

    def vpns_of(self, interfaces: Iterable[str]) -> frozenset[str]:
        """The VPNs that these are in."""
        found = (self._interfaces[key].attachments for key in interfaces if key in self._interfaces)
        return frozenset(a.vpn for attachments in found for a in attachments)

    def put_vpn(self, wish: VpnWish) -> None:
        """A VPN is to be so."""
        self._vpns[wish.key] = wish

    def drop_vpn(self, key: str) -> None:
        """A VPN isn't to be there."""
        self._vpns.pop(key, None)

    def put_port(self, port: str, wishes: Mapping[str, InterfaceWish]) -> None:
        """A port is to have these interfaces, and no others; without any it isn't to be there."""
        for key in self.interfaces_of(port):
            for attachment in self._interfaces.pop(key).attachments:
                self._of_vpn.get(attachment.vpn, set()).discard(key)
        for key, wish in wishes.items():
            self._interfaces[key] = wish
            for attachment in wish.attachments:
                self._of_vpn.setdefault(attachment.vpn, set()).add(key)
        self._of_port.pop(port, None)
        if wishes:
            self._of_port[port] = frozenset(wishes)
