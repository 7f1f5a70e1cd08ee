"""The suite for backends, against a real northbound database."""

from __future__ import annotations

from pathlib import Path

from gluon.shim.conformance.checks import CHECKS
from servers.etcd import EtcdServer
from servers.ovn import OvnDatabases
from shim.conforming import outcomes, reports

_TABLES = ("Logical_Router", "Logical_Router_Port", "Logical_Switch", "Logical_Switch_Port", "DHCP_Options")


def _config(folder: Path, databases: OvnDatabases, stray_delay: float) -> list[str]:
    file = folder / "shim.conf"
    file.write_text(f"[shim_ovn]\nconnection = {databases.connection}\nstray_delay = {stray_delay}\n")
    return [str(file)]


def _is_empty(databases: OvnDatabases) -> bool:
    return not any(databases.rows(table, "external_ids") for table in _TABLES)


async def test_ovn_conforms(etcd_server: EtcdServer, databases: OvnDatabases, tmp_path: Path) -> None:
    # What is deleted doesn't wait to be taken for a stray, however long that would take.
    checks = tuple(check for check in CHECKS if check != "strays")
    found = await reports(
        etcd_server, "ovn", checks=checks, config_files=_config(tmp_path, databases, stray_delay=3600)
    )

    assert outcomes(found) == dict.fromkeys(checks, "ok")
    assert _is_empty(databases)


async def test_strays_go(etcd_server: EtcdServer, databases: OvnDatabases, tmp_path: Path) -> None:
    found = await reports(
        etcd_server, "ovn", checks=["strays"], config_files=_config(tmp_path, databases, stray_delay=0.5)
    )

    assert outcomes(found) == {"strays": "ok"}
    assert _is_empty(databases)
