"""The suite for backends: good ones pass it, and each kind of bad one fails the check that belongs to it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gluon.shim.conformance.checks import CHECKS
from servers.etcd import EtcdServer, program
from shim.conforming import outcomes, reports

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "shim" / "lab_files.py"
PAGE = ROOT / "docs" / "backends.md"


async def test_the_bundled_dummy_conforms(etcd_server: EtcdServer) -> None:
    found = outcomes(await reports(etcd_server, "dummy"))
    assert found == dict.fromkeys(CHECKS, "ok") | {"strays": "skipped"}


async def test_the_dummy_serves_a_model_never_seen_before(etcd_server: EtcdServer) -> None:
    some = ("lifecycle", "ordering", "restart")
    assert outcomes(await reports(etcd_server, "dummy", "e-line", checks=some)) == dict.fromkeys(some, "ok")


@pytest.mark.parametrize(("service", "checks"), [("net-l3vpn", tuple(CHECKS)), ("e-line", ("lifecycle",))])
async def test_the_example_conforms(
    etcd_server: EtcdServer,
    service: str,
    checks: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    config = tmp_path / "lab.conf"
    config.write_text(f"[shim_lab]\ndirectory = {tmp_path / 'lab'}\n")
    found = await reports(
        etcd_server, "lab_files:LabFiles", service, checks=checks, config_files=[str(config)]
    )
    assert outcomes(found) == dict.fromkeys(checks, "ok")
    assert list((tmp_path / "lab" / service).iterdir()) == []


def test_the_page_has_the_example_and_it_is_short() -> None:
    shown = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert shown is not None
    assert shown[1] == EXAMPLE.read_text()
    assert len([line for line in shown[1].splitlines() if line.strip()]) <= 50
    for check in CHECKS:
        assert f"`{check}`" in PAGE.read_text()


@pytest.mark.parametrize(
    ("backend", "check", "reason"),
    [
        ("NoVifType", "lifecycle", "bind_port gave the vif_type"),
        ("NeedsBinding", "ordering", "bind_port refused: no network"),
        ("CreatesTwice", "idempotence", "modify_service refused when called again: exists already"),
        ("CreatesTwice", "retries", "modify_service refused: exists already"),
        ("Remembers", "restart", "delete_service raised: KeyError"),
        ("LeavesStrays", "strays", "the controller still has a VpnService that is gone"),
        ("Hangs", "hanging", "modify_service"),
        ("Blocks", "hanging", "the event loop stood still"),
    ],
)
async def test_a_broken_backend_fails_the_check_that_belongs(
    etcd_server: EtcdServer, backend: str, check: str, reason: str
) -> None:
    patience = 3.0 if backend in ("Hangs", "LeavesStrays") else 20.0
    name = f"shim.broken_backends:{backend}"
    [report] = await reports(etcd_server, name, checks=[check], patience=patience)
    assert report.outcome == "FAILED", str(report)
    assert reason in report.reason


async def test_the_command_brings_its_own_etcd(tmp_path: Path, etcd_server: EtcdServer) -> None:
    command = "from gluon.shim.conformance.main import main; main()"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", command, "shim.broken_backends:NoVifType", "--check", "lifecycle"],
        capture_output=True,
        text=True,
        timeout=100,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "GLUON_ETCD": program(),
        },
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("FAILED   lifecycle: bind_port gave the vif_type")
