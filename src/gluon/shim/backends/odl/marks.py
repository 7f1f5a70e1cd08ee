"""How our entries are told from others': names, and ids that follow from what an entry is for.

Neutron's objects have a name, interfaces a description: `gluon/<owner>/<service>/<key>`, with the key of the
VPN or of the port. VPN instances and VPN interfaces have nothing of that kind. A VPN instance is ours while
there is a network of ours of that VPN, a VPN interface while there is an interface of ours of that name:
those are written before, and deleted after it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from gluon.shim.backends.odl.entries import Document, EntryId, Kind, children

_SPACE = uuid.UUID("6e1ab0a5-9d3c-5b0c-8a51-6d9b1c1f0a27")


@dataclass(frozen=True, slots=True)
class Marks:
    """Of one Gluon and one of its services."""

    owner: str
    service: str

    def mark(self, key: str) -> str:
        """What an entry for that VPN or port bears."""
        return f"gluon/{self.owner}/{self.service}/{key}"

    def marked(self, id: EntryId, entry: Document) -> str | None:
        """The key of the VPN or port that an entry of ours is for; None: it isn't ours, or bears no marks."""
        leaf = "description" if id.kind is Kind.INTERFACE else "name"
        text = children(entry, leaf)
        start = self.mark("")
        if id.kind in (Kind.VPN, Kind.VPN_INTERFACE) or not isinstance(text, str):
            return None
        key = text.removeprefix(start)
        return key if text.startswith(start) and key and "/" not in key else None

    def network(self, vpn: str) -> str:
        """The uuid of a VPN's network."""
        return str(uuid.uuid5(_SPACE, self.mark(vpn)))

    def subnet(self, vpn: str, cidr: str) -> str:
        """The uuid of a VPN's subnet."""
        return str(uuid.uuid5(_SPACE, f"{self.mark(vpn)}/{cidr}"))
