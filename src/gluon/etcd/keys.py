"""Every key that Gluon reads or writes in etcd is built here, and nowhere else.

Path segments are percent-encoded as RFC 3986 has it for path segments: unreserved characters,
sub-delimiters, `:` and `@` stand for themselves, all else (a `/` above all) is encoded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

_SAFE = ":@!$&'()*+,;="


# Nearly every key is made of segments that stand for themselves, and one look finds that out.
_PLAIN = re.compile(rf"[A-Za-z0-9_.~{re.escape(_SAFE)}-]*\Z")


def segment(text: str) -> str:
    """One percent-encoded path segment."""
    return text if _PLAIN.match(text) else quote(text, safe=_SAFE)


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """A key taken apart: the root (`proton`, `controller`, …) and the decoded segments behind it."""

    root: str
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys below one prefix (a setting; empty, or like `/site-a`)."""

    prefix: str = ""

    def _key(self, *parts: str) -> str:
        segments = parts if _PLAIN.match("".join(parts)) else map(segment, parts)
        return "/".join((self.prefix, *segments))

    def parse(self, key: str) -> ParsedKey:
        """Take a key apart; raises ValueError for a key that is not below the prefix."""
        if not key.startswith(self.prefix + "/"):
            raise ValueError(f"{key!r} is not below {self.prefix!r}")
        parts = key[len(self.prefix) + 1 :].split("/")
        if "%" in key:
            parts = [unquote(part) for part in parts]
        return ParsedKey(parts[0], tuple(parts[1:]))

    def object(self, service: str, object_name: str, key: str) -> str:
        """The object as JSON; written by the relay."""
        return self._key("proton", service, object_name, key)

    def objects(self, service: str | None = None, object_name: str | None = None) -> str:
        """Prefix of all objects, those of one service, or those of one object type."""
        return self._key("proton", *[p for p in (service, object_name) if p is not None]) + "/"

    def port(self, port_id: str) -> str:
        """Which Proton owns a port; written by the relay."""
        return self._key("gluon", "port", port_id)

    def ports(self) -> str:
        """Prefix of all ports' owners."""
        return self._key("gluon", "port") + "/"

    def model(self, service: str, version: str) -> str:
        """A served model in the terms of the language; written by the relay."""
        return self._key("gluon", "models", service, version)

    def models(self) -> str:
        """Prefix of all served models."""
        return self._key("gluon", "models") + "/"

    def relay(self) -> str:
        """Ids of the last batch of outbox rows; written by the relay."""
        return self._key("gluon", "relay")

    def relay_election(self) -> str:
        """Who is the relay; held by lease, and compared in each of its transactions."""
        return self._key("gluon", "election", "relay")

    def trace(self, service: str, object_name: str, key: str) -> str:
        """The trace that an object was last changed in; written by the relay, where there are traces."""
        return self._key("gluon", "traces", service, object_name, key)

    def traces(self, service: str | None = None) -> str:
        """Prefix of all traces, or of those of one service's objects."""
        return self._key("gluon", "traces", *([service] if service is not None else [])) + "/"

    def server(self, server_id: str) -> str:
        """A live Proton Server; held by lease."""
        return self._key("gluon", "servers", server_id)

    def servers(self) -> str:
        """Prefix of all live Proton Servers."""
        return self._key("gluon", "servers") + "/"

    def controller(self, name: str) -> str:
        """A live shim server with its hosts and services; held by lease."""
        return self._key("gluon", "controllers", name)

    def controllers(self) -> str:
        """Prefix of all live shim servers."""
        return self._key("gluon", "controllers") + "/"

    def claim(self, service: str, port_id: str, host: str) -> str:
        """Which controller binds a port on a host; held by the controller's lease."""
        return self._key("gluon", "claims", service, port_id, host)

    def claims(self, service: str | None = None, port_id: str | None = None) -> str:
        """Prefix of all claims, of one service's, or of one port's."""
        parts = [p for p in (service, port_id) if p is not None]
        return self._key("gluon", "claims", *parts) + "/"

    def answer(self, service: str, port_object: str, port_id: str, host: str | None = None) -> str:
        """A shim's answer to a bind; with `host` for an inactive binding."""
        parts = [service, port_object, port_id] + ([host] if host is not None else [])
        return self._key("controller", *parts)

    def answers(self, *parts: str) -> str:
        """Prefix of all answers to binds, or of those below service, port object and port."""
        return self._key("controller", *parts) + "/"

    def status(self, service: str, object_name: str, key: str, controller: str) -> str:
        """A controller's journal of one object."""
        return self._key("status", service, object_name, key, controller)

    def statuses(self, *parts: str) -> str:
        """Prefix of all journals, or of those below service, object and key."""
        return self._key("status", *parts) + "/"
