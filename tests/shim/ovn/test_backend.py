from __future__ import annotations

from pathlib import Path

import pytest

from gluon.shim.backend import BackendContext
from gluon.shim.backends.ovn.backend import OvnBackend
from gluon.shim.errors import TemporaryError
from gluon.shim.extensions import Extensions
from gluon.shim.settings import load
from servers.ovn import OvnDatabases


def _backend(folder: Path, connection: str) -> OvnBackend:
    config = folder / "shim.conf"
    config.write_text(
        f"[shim]\nhandlers = net-l3vpn:net-l3vpn-ovn\n[shim_ovn]\nconnection = {connection}\ntimeout = 2\n"
    )
    conf, _ = load(["--config-file", str(config)], "test")
    made = Extensions(conf).backend_class("net-l3vpn-ovn")(BackendContext("net-l3vpn", "shim", conf))
    assert isinstance(made, OvnBackend)
    return made


async def test_a_configuration_can_be_tried_out(databases: OvnDatabases, tmp_path: Path) -> None:
    said = await _backend(tmp_path, databases.connection).check()

    assert said.startswith(f"OVN's northbound database at {databases.connection}, schema version ")


async def test_trying_it_out_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError) as wrong:
        await _backend(tmp_path, f"unix:{tmp_path}/nothing.sock").check()

    assert f"unix:{tmp_path}/nothing.sock: " in wrong.value.reason
