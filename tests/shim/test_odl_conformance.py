"""The suite for backends, against a controller whose data real YANG validates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gluon.shim.conformance.checks import CHECKS
from servers.etcd import EtcdServer
from servers.restconf import KEYS, RestconfServer
from shim.conforming import outcomes, reports

_OLDER: dict[str, Any] = {"root": None, "draft": True, "older": True}


@pytest.mark.parametrize(
    ("kind", "checks", "stray_delay"),
    [
        # What is deleted doesn't wait to be taken for a stray, however long that would take.
        ({}, tuple(check for check in CHECKS if check != "strays"), 3600),
        ({}, ("strays",), 0),
        (_OLDER, ("lifecycle", "restart"), 3600),
    ],
    ids=["today's", "today's with strays", "draft with the older module"],
)
async def test_opendaylight_conforms(
    etcd_server: EtcdServer, tmp_path: Path, kind: dict[str, Any], checks: tuple[str, ...], stray_delay: float
) -> None:
    controller = RestconfServer(**kind)
    await controller.start()
    try:
        config = tmp_path / "shim.conf"
        config.write_text(f"[shim_odl]\nodl_port = {controller.port}\nstray_delay = {stray_delay}\n")
        found = await reports(etcd_server, "odl", checks=checks, config_files=[str(config)])
    finally:
        await controller.stop()

    assert outcomes(found) == dict.fromkeys(checks, "ok")
    assert controller.refused == []
    assert not any(controller.entries(list_name) for list_name in KEYS)
