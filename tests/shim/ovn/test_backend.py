from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gluon.shim.backend import BackendContext
from gluon.shim.backends.ovn.backend import OvnBackend
from gluon.shim.errors import TemporaryError
from gluon.shim.extensions import Extensions
from gluon.shim.settings import load
from servers.certificates import Certificates
from servers.etcd import EtcdServer, free_ports
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


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_command_tries_out_tls(
    databases: OvnDatabases, etcd_server: EtcdServer, tmp_path: Path, trusted: bool
) -> None:
    certificates, strangers = Certificates(tmp_path / "ours"), Certificates(tmp_path / "theirs")
    (number,) = free_ports(1)
    certificate, key = certificates.server
    databases.kill()
    databases.start(
        *(f"--remote=pssl:{number}:127.0.0.1", f"--private-key={key}", f"--certificate={certificate}"),
        f"--ca-cert={certificates.ca}",
    )
    own, own_key = (certificates if trusted else strangers).client("shim")
    config = tmp_path / "shim.conf"
    config.write_text(
        f"[shim]\nhandlers = net-l3vpn:ovn\n[etcd]\nendpoints = {etcd_server.url}\n"
        f"[shim_ovn]\nconnection = ssl:127.0.0.1:{number}\ntimeout = 5\n"
        f"private_key = {own_key}\ncertificate = {own}\nca_cert = {certificates.ca}\n"
    )

    done = await asyncio.to_thread(
        subprocess.run,
        [Path(sys.executable).with_name("proton-shim-server"), "--check", "--config-file", config],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )

    last = done.stdout.splitlines()[-1]
    assert done.returncode == (0 if trusted else 1), done.stdout + done.stderr
    start = "ok      " if trusted else "FAILED  "
    assert last.startswith(f"{start}net-l3vpn: backend ovn: OVN's northbound database at ssl:"), last
