"""Who sends a request: the identity that access rules are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller. `tenant_id` is None for one that acts for no tenant (noauth)."""

    user_id: str | None
    tenant_id: str | None
    roles: frozenset[str]


class Unauthenticated(Exception):
    """The request names nobody whom this server knows; answered with 401."""


class AuthStrategy(Protocol):
    """Finds out who sent a request."""

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """The caller; raises Unauthenticated."""


class NoAuth:
    """Everyone is the administrator. For loopback and trials only."""

    _ADMINISTRATOR = Identity(user_id=None, tenant_id=None, roles=frozenset({"admin"}))

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """The administrator, whatever the request says."""
        return self._ADMINISTRATOR
