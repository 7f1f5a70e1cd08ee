"""Who asks for a write, and how: what handlers know of a request and operations need of it."""

from __future__ import annotations

from dataclasses import dataclass

from gluon.proton.identity import Identity


@dataclass(frozen=True, slots=True)
class Author:
    """Whose doing a change is, as the audit names it."""

    actor: str
    """`user:<id>`, `noauth` for anybody, `controller:<name>`, or `server` for what that does by itself."""
    tenant_id: str | None = None
    roles: tuple[str, ...] = ()
    address: str | None = None
    request_id: str | None = None

    @classmethod
    def controller(cls, name: str) -> Author:
        """A controller that answered a bind."""
        return cls(f"controller:{name}")

    @classmethod
    def server(cls, request_id: str | None) -> Author:
        """The server itself, perhaps on behalf of a request that nobody answered."""
        return cls("server", request_id=request_id)


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A client's wish to change something."""

    identity: Identity
    address: str | None = None
    """IP address that it came from."""
    request_id: str | None = None
    dry_run: bool = False
    """Only tell what would come of it, and change nothing."""

    @property
    def author(self) -> Author:
        """Who asks for it."""
        user = self.identity.user_id
        return Author(
            actor="noauth" if user is None else f"user:{user}",
            tenant_id=self.identity.tenant_id,
            roles=tuple(sorted(self.identity.roles)),
            address=self.address,
            request_id=self.request_id,
        )
