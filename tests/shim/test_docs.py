"""docs/shim.md: the backend in it works, and it says all that there is."""

from __future__ import annotations

import inspect
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gluon.shim.backend import Backend, BackendContext, Desired
from gluon.shim.views import View
from shim.relaying import Relaying, until
from shim.running import Shims

PAGE = (Path(__file__).parents[2] / "docs" / "shim.md").read_text()


class LabController(BaseHTTPRequestHandler):
    """What the backend of the page drives: it keeps what it is told, by path."""

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(409 if body.get("name") == "refused" else 200)
        if body.get("name") != "refused":
            self.server.told[self.path] = body  # type: ignore[attr-defined]

    def do_DELETE(self) -> None:
        known = self.server.told.pop(self.path, None)  # type: ignore[attr-defined]
        self.answer(200 if known is not None else 404)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def controller() -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), LabController)
    server.told = {}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def example() -> str:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_it_is_fifty_lines() -> None:
    assert len([line for line in example().splitlines() if line.strip()]) <= 50


async def test_the_example_drives_a_controller(relay: Relaying, shims: Shims, controller: Any) -> None:
    namespace: dict[str, Any] = {}
    exec(compile(example(), "docs/shim.md", "exec"), namespace)
    backend = namespace["LabBackend"](BackendContext("net-l3vpn", "shim", None))
    backend.url = f"http://127.0.0.1:{controller.server_address[1]}"
    await shims.ready(backend)
    told = controller.told
    await relay.put("VpnAfConfig", vrf_rt_value="64512:1", vrf_rt_type="both")
    vpn, port = await relay.vpn(ipv4_family="64512:1"), await relay.port()
    await relay.interface(port)
    await relay.binding(port, vpn, ipaddress="10.0.0.2", subnet_prefix=24)
    await relay.until_status("VpnBinding", port)

    await relay.bind(port)

    assert (await relay.answer(port))["vif_details"] == {"bridge_name": "br-lab"}
    assert told[f"/networks/{vpn}"] == {"name": "vpn", "imports": ["64512:1"]}
    assert told[f"/networks/{vpn}/{port}"] == {"address": "10.0.0.2/24"}
    assert told[f"/ports/{port}"]["networks"] == [vpn]
    refused = await relay.vpn(name="refused")
    status = await relay.until_status("VpnService", refused, "FAILED")
    assert status["reason"].startswith("the controller refuses it")
    for name, key in (("VpnBinding", port), ("Port", port), ("VpnService", vpn), ("VpnService", refused)):
        await relay.delete(name, key)
    await until(lambda: not told, "an empty controller")


def members(of: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(of) if not name.startswith("_")]


@pytest.mark.parametrize(
    "name", sorted({*members(Backend), *members(Desired), *members(View)} - {"api_object", "ways"})
)
def test_everything_a_vendor_meets_is_documented(name: str) -> None:
    assert re.search(rf"`[^`]*\b{name}\b[^`]*`", PAGE), f"docs/shim.md says nothing of {name}"
