"""Backends that are wrong in one way each."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from gluon.shim.backend import Backend, BackendContext, Desired, Vif
from gluon.shim.backends.dummy import VIF
from gluon.shim.errors import PermanentError
from gluon.shim.views import View


class Silent(Backend):
    def bind_port(self, port: View) -> Vif:
        return VIF


class NoVifType(Backend):
    def bind_port(self, port: View) -> Vif:
        return {"vif_type": "", "vif_details": {}}


class NeedsBinding(Silent):
    """It refuses a port that has no network yet."""

    def bind_port(self, port: View) -> Vif:
        if not any(interface.bindings for interface in port.interfaces):
            raise PermanentError("no network")
        return VIF


class CreatesTwice(Silent):
    def __init__(self, context: BackendContext) -> None:
        super().__init__(context)
        self.seen: dict[str, int | None] = {}

    def modify_service(self, service: View) -> None:
        if self.seen.get(service.key) == service.revision_number:
            raise PermanentError("exists already")
        self.seen[service.key] = service.revision_number


class Remembers(Silent):
    """It finds its handles in memory only."""

    def __init__(self, context: BackendContext) -> None:
        super().__init__(context)
        self.handles: dict[str, object] = {}

    def modify_service(self, service: View) -> None:
        self.handles[service.key] = object()

    def delete_service(self, service: View) -> None:
        self.handles[service.key]


CONTROLLER: set[str] = set()


class LeavesStrays(Silent):
    """Its controller is a set; reconcile looks at nothing."""

    def modify_service(self, service: View) -> None:
        CONTROLLER.add(service.key)

    def delete_service(self, service: View) -> None:
        CONTROLLER.discard(service.key)

    def reconcile(self, desired: Desired) -> None:
        pass

    def held_keys(self) -> set[str]:
        return set(CONTROLLER)


class Hangs(Silent):
    async def modify_service(self, service: View) -> None:
        await asyncio.sleep(3600)


class Blocks(Silent):
    async def modify_service(self, service: View) -> Any:
        time.sleep(0.7)  # noqa: ASYNC251
