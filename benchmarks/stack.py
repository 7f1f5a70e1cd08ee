"""The product as users run it, for the length of a benchmark: `gluon up` in a temporary folder."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GLUON = str(Path(sys.executable).with_name("gluon"))
TENANT = "a868a466bca84df18404a77db0ecac72"


@dataclass(frozen=True)
class Stack:
    proton: str
    etcd: str
    pids: dict[str, int]


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
            yield Stack(ready["proton"], ready["etcd"], ready["pids"])
        finally:
            process.terminate()
            process.wait(30)


def port_body(number: int) -> dict[str, object]:
    """A port as the user guide creates it."""
    return {
        "tenant_id": TENANT,
        "name": f"port-{number}",
        "mac_address": "c8:2a:14:%02x:%02x:%02x" % (number >> 16 & 255, number >> 8 & 255, number & 255),
        "mtu": 1500,
        "admin_state_up": True,
        "vlan_transparency": True,
        "vnic_type": "normal",
        "status": "ACTIVE",
    }
