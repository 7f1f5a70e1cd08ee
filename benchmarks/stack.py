"""The product as users run it, for the length of a benchmark: `gluon up` in a temporary folder."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GLUON = str(Path(sys.executable).with_name("gluon"))
PROTON_SERVER = str(Path(sys.executable).with_name("proton-server"))
TENANT = "a868a466bca84df18404a77db0ecac72"


@dataclass(frozen=True)
class Stack:
    proton: str
    etcd: str
    pids: dict[str, int]
    state_dir: Path


@contextmanager
def running_stack(*arguments: str) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="gluon-bench-") as folder:
        command = [GLUON, "up", "--json", "--state-dir", folder, "--port", "0", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{' '.join(command)} did not come up")
            ready = json.loads(line)
            yield Stack(ready["proton"], ready["etcd"], ready["pids"], Path(ready["state_dir"]))
        finally:
            process.terminate()
            process.wait(30)


def port_body(number: int) -> dict[str, object]:
    """A port as the user guide creates it."""
    return {
        "tenant_id": TENANT,
        "name": f"port-{number}",
        "mac_address": f"c8:2a:14:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
        "mtu": 1500,
        "admin_state_up": True,
        "vlan_transparency": True,
        "vnic_type": "normal",
        "status": "ACTIVE",
    }


@contextmanager
def proton_server(folder: Path, models: Path | None, etcd: str) -> Iterator[tuple[str, int]]:
    """A server of its own in `folder`, on an etcd that runs; its URL and process id, once it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    etcd_port = etcd.rsplit(":", 1)[1].rstrip("/")
    config = folder / "proton.conf"
    config.write_text(
        f"[api]\nport = {port}\netcd_port = {etcd_port}\n"
        + (f"models_dir = {models}\n" if models else "")
        + f"[database]\nconnection = sqlite:///{folder / 'gluon.sqlite'}\n"
        + f"[etcd]\nprefix = /bench-{uuid.uuid4()}\n"
    )
    log = (folder / "log").open("ab")
    process = subprocess.Popen([PROTON_SERVER, "--config-file", str(config)], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not come up: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthcheck", timeout=5):
            return True
    except OSError:
        return False
