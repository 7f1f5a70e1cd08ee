"""Shim servers in the test's own process, with backends that say what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from oslo_config import cfg

from gluon.etcd.options import EtcdSettings
from gluon.shim.backend import BackendContext
from gluon.shim.backends.dummy import VIF
from gluon.shim.extensions import Extensions
from gluon.shim.server import ShimServer
from gluon.shim.settings import ShimSettings
from gluon.shim.shelf import ObjectId
from gluon.shim.views import View
from shim.relaying import until

Reaction = Callable[[View], Any]


class Recorder:
    """A backend that remembers its calls, and reacts as the test wants it to (`on`)."""

    replay = False

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.views: list[View] = []
        self._reactions: dict[str, Reaction] = {}

    def on(self, callback: str, reaction: Reaction | Exception | None) -> None:
        """What to do at a callback: raise, or call and return (or await) what that gives; None: nothing."""
        self._reactions.pop(callback, None)
        if isinstance(reaction, Exception):
            error = reaction

            def fail(view: View) -> None:
                raise error

            self._reactions[callback] = fail
        elif reaction is not None:
            self._reactions[callback] = reaction

    def names(self, key: str | None = None) -> list[str]:
        """The callbacks so far, in order; of one object."""
        return [name for name, called_for in self.calls if key in (None, called_for)]

    def binds(self, key: str) -> list[str]:
        """The callbacks of a port that make or break it, in order."""
        return [name for name in self.names(key) if name != "modify_port"]

    def count(self, name: str, key: str | None = None) -> int:
        return self.names(key).count(name)

    def last(self, name: str) -> View:
        """What a callback was last called with."""
        return next(
            v for (n, _), v in zip(reversed(self.calls), reversed(self.views), strict=True) if n == name
        )

    async def until(self, name: str, key: str | None = None, count: int = 1) -> None:
        await until(lambda: self.count(name, key) >= count, f"{name} {key or ''} ({self.calls})")

    async def _called(self, name: str, view: View) -> Any:
        self.calls.append((name, view.key))
        self.views.append(view)
        reaction = self._reactions.get(name)
        result = reaction(view) if reaction is not None else None
        if asyncio.iscoroutine(result) or asyncio.isfuture(result):
            result = await result
        return VIF if name == "bind_port" and result is None else result

    async def bind_port(self, port: View) -> Any:
        return await self._called("bind_port", port)

    async def unbind_port(self, port: View) -> None:
        await self._called("unbind_port", port)

    async def modify_port(self, port: View) -> None:
        await self._called("modify_port", port)

    async def delete_port(self, port: View) -> None:
        await self._called("delete_port", port)

    async def modify_interface(self, interface: View) -> None:
        await self._called("modify_interface", interface)

    async def delete_interface(self, interface: View) -> None:
        await self._called("delete_interface", interface)

    async def modify_service(self, service: View) -> None:
        await self._called("modify_service", service)

    async def delete_service(self, service: View) -> None:
        await self._called("delete_service", service)

    async def modify_service_binding(self, binding: View) -> None:
        await self._called("modify_service_binding", binding)

    async def delete_service_binding(self, binding: View) -> None:
        await self._called("delete_service_binding", binding)

    async def modify_object(self, object: View) -> None:
        await self._called("modify_object", object)

    async def delete_object(self, object: View) -> None:
        await self._called("delete_object", object)


class ActivatingRecorder(Recorder):
    """One that is told as well when a port that it has made ready is used."""

    async def activate_port(self, port: View) -> None:
        await self._called("activate_port", port)


class Given(Extensions):
    """Extensions whose backend is an object that is there already."""

    def __init__(self, backend: Any) -> None:
        super().__init__(cfg.ConfigOpts())
        self._given = backend

    def backend_class(self, name: str) -> Callable[[BackendContext], Any]:
        def given(context: BackendContext) -> Any:
            if hasattr(self._given, "context"):
                self._given.context = context
            return self._given

        return given


class Shims:
    """The shim servers of one test."""

    def __init__(self, etcd_url: str, prefix: str) -> None:
        self.settings = ShimSettings(
            name="shim",
            etcd=EtcdSettings(endpoints=(etcd_url,), prefix=prefix),
            handlers={"*": "recorder"},
            parallel=16,
            lease_ttl=30,
        )
        self._running: dict[ShimServer, asyncio.Task[None]] = {}

    def start(self, backend: Any, **settings: Any) -> ShimServer:
        """Start one more; it may not be ready when this returns."""
        server = ShimServer(replace(self.settings, **settings), Given(backend))
        self._running[server] = asyncio.create_task(server.run())
        return server

    async def ready(self, backend: Any, service: str = "net-l3vpn", **settings: Any) -> ShimServer:
        """Start one more, and wait until it serves the service."""
        server = self.start(backend, **settings)
        await until(lambda: self._serves(server, service), "the shim's readiness")
        return server

    def knows(self, object_name: str, key: str, service: str = "net-l3vpn") -> bool:
        """Whether all that run have heard of an object."""
        serving = [server.service(service) for server in self._running]
        return all(s and s.inventory.live.get(ObjectId(object_name, key)) is not None for s in serving)

    async def stop(self, server: ShimServer | None = None) -> None:
        """End one in order, or all."""
        for one in [server] if server is not None else list(self._running):
            one.stop()
            await self._running.pop(one)

    async def outcome(self, server: ShimServer) -> BaseException | None:
        """What a server ended with."""
        task = self._running.pop(server)
        await asyncio.wait((task,))
        return task.exception()

    def _serves(self, server: ShimServer, service: str) -> bool:
        task = self._running[server]
        if task.done():
            task.result()
        serving = server.service(service)
        return serving is not None and serving.started.is_set()
