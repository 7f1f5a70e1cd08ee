"""`proton-shim-server --check`: a line for each thing that is tried, and an exit code."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gluon.shim.backend import BackendContext
from gluon.shim.check import check
from gluon.shim.errors import TemporaryError
from shim.relaying import Relaying
from shim.running import Given, Recorder, Shims

COMMAND = Path(sys.executable).with_name("proton-shim-server")


class Reachable(Recorder):
    def check(self) -> str:
        return "a lab controller, version 7"


class Unreachable(Recorder):
    async def check(self) -> None:
        raise TemporaryError("nobody listens there")


class Hanging(Recorder):
    def check(self) -> None:
        time.sleep(5)


async def findings(shims: Shims, backend: Any, **settings: Any) -> list[str]:
    given = replace(shims.settings, **settings)
    return [str(finding) async for finding in check(given, Given(backend))]


@pytest.mark.parametrize(
    ("backend", "line"),
    [
        (Reachable, "ok      net-l3vpn: backend recorder: a lab controller, version 7"),
        (Unreachable, "FAILED  net-l3vpn: backend recorder: nobody listens there"),
        (Hanging, "FAILED  net-l3vpn: backend recorder: check has not returned within 0.2 s"),
        (Recorder, "ok      net-l3vpn: backend recorder: loaded; it has no check of its own"),
    ],
)
async def test_each_backend_is_asked_about_its_controller(
    relay: Relaying, shims: Shims, backend: type[Recorder], line: str
) -> None:
    one = backend()
    found = await findings(shims, one, callback_timeout=0.2)
    assert found[0] == "ok      configuration: shim server shim, all hosts"
    assert found[1].startswith("ok      etcd at ") and found[1].endswith("serves net-l3vpn")
    assert found[2:] == [line]
    assert one.calls == []
    assert await relay.value(relay.keys.controller("shim")) is None


async def test_a_constructor_that_fails_is_a_line(relay: Relaying, shims: Shims) -> None:
    class Broken(Given):
        def backend_class(self, name: str) -> Any:
            def broken(context: BackendContext) -> Any:
                raise ValueError("no address")

            return broken

    found = [str(finding) async for finding in check(shims.settings, Broken(None))]
    assert found[-1] == "FAILED  net-l3vpn: backend recorder: no address"


def config(folder: Path, port: int | None, prefix: str, handlers: str) -> Path:
    file = folder / "proton-shim.conf"
    file.write_text(
        f"[shim]\nname = shim\nhandlers = {handlers}\netcd_port = {port}\n[etcd]\nprefix = {prefix}\n"
    )
    return file


@pytest.mark.parametrize(("reachable", "code", "word"), [(True, 0, "ok"), (False, 1, "FAILED")])
async def test_the_exit_code_says_whether_all_is_well(
    relay: Relaying, tmp_path: Path, etcd_server: Any, etcd_prefix: str, reachable: bool, code: int, word: str
) -> None:
    port = urlsplit(etcd_server.url).port if reachable else 1
    file = config(tmp_path, port, etcd_prefix, "net-l3vpn:dummy, other:net-l3vpn-dummy")
    done = await asyncio.to_thread(
        subprocess.run,
        [COMMAND, "--check", "--config-file", file],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", word, "ok", "ok"]
    assert lines[2].startswith("ok      net-l3vpn: backend dummy")
