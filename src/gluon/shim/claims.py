"""Who binds which port where: the claims of all shims on one service's ports.

A claim is a key under its controller's lease. It is made before `bind_port` is called and stays while the
port is bound; it goes with its controller.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import msgspec

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.etcd.mirror import Change, Mirror

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A port on `host` is `controller`'s to bind."""

    host: str
    controller: str


def claim_value(controller: str, bind_id: str) -> bytes:
    """A claim as it stands in etcd, always spelt the same: it is compared byte for byte."""
    return msgspec.json.encode({"controller": controller, "bind_id": bind_id})


def claim_holder(value: bytes) -> str:
    """The controller of a claim; empty for a value that is none."""
    try:
        controller = msgspec.json.decode(value, type=dict[str, object]).get("controller")
    except msgspec.DecodeError:
        return ""
    return controller if isinstance(controller, str) else ""


class Claims:
    """Follows the claims of one service. `released` is told of ports that another controller lets go of."""

    def __init__(
        self, etcd: Etcd, keys: Keys, service: str, controller: str, released: Callable[[str], None]
    ) -> None:
        self.mirror = Mirror(etcd, keys.claims(service), self._changed, keep_values=False)
        self._keys = keys
        self._controller = controller
        self._released = released
        self._by_port: dict[str, tuple[Claim, ...]] = {}
        # The same few claims stand on very many ports.
        self._known: dict[Claim, Claim] = {}

    def holder(self, port_key: str, host: str) -> str | None:
        """The other controller that has a port on a host, if there is one."""
        for claim in self._by_port.get(port_key, ()):
            if claim.host == host and claim.controller != self._controller:
                return claim.controller
        return None

    def left_behind(self, port_key: str, hosts: Container[str]) -> Claim | None:
        """Another controller's claim on a port for none of these hosts: of that which the port comes from."""
        for claim in self._by_port.get(port_key, ()):
            if claim.host not in hosts and claim.controller != self._controller:
                return claim
        return None

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            segments = self._keys.parse(change.key).segments
            if len(segments) != 4:
                _log.warning("ignoring the claim %s: its key makes no sense", change.key)
                continue
            port_key, host = sys.intern(segments[2]), segments[3]
            if change.value is None:
                self._forget(port_key, host)
            else:
                self._learn(port_key, Claim(host, claim_holder(change.value)))

    def _learn(self, port_key: str, claim: Claim) -> None:
        claim = self._known.setdefault(claim, claim)
        others = tuple(c for c in self._by_port.get(port_key, ()) if c.host != claim.host)
        self._by_port[port_key] = (*others, claim)

    def _forget(self, port_key: str, host: str) -> None:
        claims = self._by_port.get(port_key, ())
        left = tuple(claim for claim in claims if claim.host != host)
        if left:
            self._by_port[port_key] = left
        else:
            self._by_port.pop(port_key, None)
        if any(claim.host == host and claim.controller != self._controller for claim in claims):
            self._released(port_key)
