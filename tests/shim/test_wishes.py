"""What a backend wants while it works: strays looked for again, everything applied anew."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from gluon.shim.backend import BackendContext, Desired
from gluon.shim.errors import PermanentError
from shim.relaying import Relaying, until
from shim.running import Recorder, Shims


class Wishing(Recorder):
    """One that keeps its context, and remembers when it was to reconcile."""

    def __init__(self) -> None:
        super().__init__()
        self.context: BackendContext | None = None
        self.reconciled = 0

    async def reconcile(self, desired: Desired) -> None:
        self.reconciled += 1

    def wish(self, name: str) -> None:
        """From another thread, as clients of controllers do."""
        assert self.context is not None
        thread = threading.Thread(target=getattr(self.context, name))
        thread.start()
        thread.join()


async def bound(relay: Relaying) -> tuple[str, str]:
    vpn, port = await relay.vpn(), await relay.port()
    await relay.interface(port)
    await relay.binding(port, vpn)
    await relay.bind(port)
    await relay.answer(port)
    for name, key in (("Port", port), ("VpnService", vpn), ("VpnBinding", port), ("Interface", port)):
        await relay.until_status(name, key)
    return vpn, port


async def test_a_backend_that_asks_is_asked_to_reconcile_and_nothing_else(
    relay: Relaying, shims: Shims
) -> None:
    backend = Wishing()
    await shims.ready(backend)
    await bound(relay)
    calls = list(backend.calls)
    backend.wish("reconcile")
    await until(lambda: backend.reconciled == 2, "another reconcile")
    marker = await relay.vpn()
    await backend.until("modify_service", marker)
    assert backend.calls == [*calls, ("modify_service", marker)]


async def test_a_controller_that_forgot_everything_is_told_everything(relay: Relaying, shims: Shims) -> None:
    backend = Wishing()
    await shims.ready(backend)
    vpn, port = await bound(relay)
    answer = await relay.answer(port)
    backend.on("modify_service", PermanentError("too small"))
    refused = await relay.vpn()
    await relay.until_status("VpnService", refused, "FAILED")
    backend.on("modify_service", None)
    backend.calls.clear()
    backend.wish("replay")
    await backend.until("bind_port", port)
    await relay.until_status("VpnService", refused)
    assert backend.reconciled == 2
    assert sorted(backend.names(port)) == ["bind_port", "modify_interface", "modify_service_binding"]
    assert backend.names(vpn) == ["modify_service"]
    assert backend.names(port)[-1] == "bind_port"
    assert await relay.answer(port) == answer


async def test_what_is_being_applied_while_the_controller_forgets_is_applied_again(
    relay: Relaying, shims: Shims
) -> None:
    backend = Wishing()
    may_end = asyncio.Event()
    backend.on("modify_service", lambda view: may_end.wait())
    await shims.ready(backend)
    vpn = await relay.vpn()
    await backend.until("modify_service", vpn)
    backend.wish("replay")
    await until(lambda: backend.reconciled == 2)
    other = await relay.port()
    await backend.until("modify_port", other)
    may_end.set()
    await backend.until("modify_service", vpn, 2)


async def test_strays_are_looked_for_again_and_again(relay: Relaying, shims: Shims) -> None:
    backend = Wishing()
    await shims.ready(backend, reconcile_interval=0.05)
    await until(lambda: backend.reconciled >= 4, "four looks")


async def test_live_changes_come_before_the_replay_of_a_start(relay: Relaying, shims: Shims) -> None:
    for _ in range(40):
        await relay.vpn()
    backend: Any = Wishing()
    gate = asyncio.Event()
    backend.on("modify_service", lambda view: gate.wait())
    await shims.ready(backend, parallel=1)
    await backend.until("modify_service")
    fresh = await relay.vpn()
    port = await relay.port()
    await until(lambda: shims.knows("Port", port), "the port")
    gate.set()
    await backend.until("modify_port", port)
    assert backend.names().index("modify_port") <= 3
    assert backend.count("modify_service", fresh) == 1


async def test_a_controller_is_called_no_more_often_than_it_may(relay: Relaying, shims: Shims) -> None:
    backend = Recorder()
    await shims.ready(backend, rate_limit=20.0)
    loop, begins = asyncio.get_running_loop(), []
    backend.on("modify_service", lambda view: begins.append(loop.time()))
    vpns = [await relay.vpn() for _ in range(12)]
    for vpn in vpns:
        await relay.until_status("VpnService", vpn)
    assert len(begins) == 12
    # Two at once, as many as a tenth of a second has, and then one every 50 ms.
    assert begins[-1] - begins[0] >= 9 * 0.05
