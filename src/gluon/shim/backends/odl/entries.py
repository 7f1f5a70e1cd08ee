"""Entries of the controller's lists: which lists there are, and when an entry is as it should be."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Document = Mapping[str, Any]
"""An entry as JSON (RFC 7951)."""

VPN_MODULE = "*vpn*"
"""Stands for the module that VPNs are written by, which depends on the controller."""

_PREFIX = re.compile(r"^[A-Za-z_][\w.-]*:(?=[A-Za-z_])")
_IDENTITIES = frozenset({"type", "network-type", "ip-version"})
_LEARNT = "learnt-ip"


class Kind(enum.Enum):
    """The lists, in the order in which entries are written; they are deleted the other way round.

    That an interface is there before the VPN interface of its name is what YANG asks for (leafref). A VPN's
    network bears the mark of both, so that the VPN's instance is never there without it.
    """

    NETWORK = ("neutron", ("neutron", "networks"), "network", "uuid")
    SUBNET = ("neutron", ("neutron", "subnets"), "subnet", "uuid")
    VPN = (VPN_MODULE, ("vpn-instances",), "vpn-instance", "vpn-instance-name")
    PORT = ("neutron", ("neutron", "ports"), "port", "uuid")
    INTERFACE = ("ietf-interfaces", ("interfaces",), "interface", "name")
    VPN_INTERFACE = (VPN_MODULE, ("vpn-interfaces",), "vpn-interface", "name")

    def __init__(self, module: str, containers: tuple[str, ...], list_name: str, key: str) -> None:
        self.module = module
        self.containers = containers
        self.list_name = list_name
        self.key = key


class EntryId(NamedTuple):
    """An entry of a list."""

    kind: Kind
    key: str

    def __str__(self) -> str:
        return f"{self.kind.list_name} {self.key}"


def as_wanted(there: Document, wanted: Document) -> bool:
    """Whether an entry is what it should be; leafs that we say nothing of may be whatever they are.

    Names and identities are compared without their module, numbers and booleans as text: controllers of
    different releases write them differently.
    """
    found = {_plain(name): value for name, value in there.items()}
    return all(_same(_plain(name), found.get(_plain(name)), value) for name, value in wanted.items())


def _same(name: str, there: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return as_wanted(there if isinstance(there, Mapping) else {}, wanted)
    if isinstance(wanted, (list, tuple)):
        return _same_list(name, there if isinstance(there, list) else [], wanted)
    return there is not None and _text(name, there) == _text(name, wanted)


def _same_list(name: str, there: list[Any], wanted: list[Any] | tuple[Any, ...]) -> bool:
    # The controller adds what it has learnt by itself.
    found = [item for item in there if not (isinstance(item, Mapping) and _LEARNT in item.values())]
    if len(found) != len(wanted):
        return False
    if all(isinstance(item, Mapping) for item in wanted):
        return all(any(isinstance(f, Mapping) and as_wanted(f, item) for f in found) for item in wanted)
    return sorted(_text(name, item) for item in found) == sorted(_text(name, item) for item in wanted)


def _text(name: str, value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _plain(text) if name in _IDENTITIES else text


def _plain(name: str) -> str:
    return _PREFIX.sub("", name)


def children(document: Any, *path: str) -> Any:
    """What is in a document at a path of names, whatever modules they are written with; None: nothing."""
    for wanted in path:
        if not isinstance(document, Mapping):
            return None
        document = next((v for name, v in document.items() if _plain(name) == wanted), None)
    return document


def listed(kind: Kind, document: Any) -> Iterator[tuple[EntryId, Document]]:
    """The entries of a list, from the container that it is in."""
    found = children(document, kind.containers[-1], kind.list_name)
    for entry in found if isinstance(found, list) else []:
        key = children(entry, kind.key)
        if isinstance(key, str):
            yield EntryId(kind, key), entry
