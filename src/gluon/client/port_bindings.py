"""The bindings of a port in the SDK: where it is bound, and where it is being made ready.

bindings = l3vpn.port_bindings(port_id)
bindings.create("compute-9")        # the virtual machine moves
bindings.activate("compute-9")
bindings.delete("compute-7")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gluon.client.errors import InvalidRequest
from gluon.client.session import ProtonSession, Query

Document = dict[str, Any]
"""`host`, `status` (ACTIVE or INACTIVE), `vnic_type`, `profile`, `vif_type`, `vif_details`."""


class PortBindings:
    """The bindings of one port. With `dry_run` nothing is done: what would be returned is, or raised."""

    def __init__(self, session: ProtonSession, port_path: str) -> None:
        self._session = session
        self._path = f"{port_path}/bindings"

    def list(self) -> tuple[Document, ...]:
        """All of them, the active one first; raises NotFound."""
        with self._session.reading(self._path):
            answer = self._session.request("GET", self._path)
            return tuple(dict(binding) for binding in answer["bindings"])

    def get(self, host: str) -> Document:
        """The one on a host; raises NotFound."""
        return self._asked("GET", self._on(host))

    def create(self, host: str, *, profile: str | None = None, dry_run: bool = False) -> Document:
        """Make the port ready on a host. It answers when a controller has, or the server's wait is over:
        `vif_type` is `binding_failed` then. Raises Conflict where there is one on that host.
        """
        body = {"host": host, **({"profile": profile} if profile is not None else {})}
        return self._asked("POST", self._path, body, dry_run)

    def update(self, host: str, body: Mapping[str, Any], *, dry_run: bool = False) -> Document:
        """Change the `profile`; with the `host` in it, a bind that has failed is tried once more."""
        return self._asked("PUT", self._on(host), dict(body), dry_run)

    def activate(self, host: str, *, dry_run: bool = False) -> Document:
        """Make it the active one, and the active one inactive. Raises Conflict for one that isn't bound."""
        return self._asked("PUT", f"{self._on(host)}/activate", None, dry_run)

    def delete(self, host: str, *, dry_run: bool = False) -> None:
        """Unbind the port on that host only."""
        self._session.request("DELETE", self._on(host), query=_dry(dry_run))

    def _asked(self, method: str, path: str, body: object = None, dry_run: bool = False) -> Document:
        answer = self._session.request(method, path, query=_dry(dry_run), body=body)
        if not isinstance(answer, dict):
            raise self._session.unexpected(path)
        return answer

    def _on(self, host: str) -> str:
        # HTTP clients take `.` and `..` for steps in the path, however they are encoded.
        if host in ("", ".", ".."):
            raise InvalidRequest(f"{host!r} can't stand for a host in a URL")
        try:
            return f"{self._path}/{quote(host, safe='')}"
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"not valid UTF-8: {host!r}") from error


def _dry(dry_run: bool) -> Query:
    return [("dry_run", "true")] if dry_run else []
