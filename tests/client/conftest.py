"""A Proton Server for the tests of the client: the real command, on a database of its own, without etcd.

No controller answers here, so binds fail after the wait, which is short. Pages are short too, so that
lists of a few objects already have several.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.answering import unused_url
from client.runner import Command
from gluon.client.sdk import Client
from shared_models import upstream_models

MAX_LIMIT = 3
BIND_TIMEOUT = 0.3


ODD_MODEL = """
file_version: "1.0"
info: {name: odd, version: 1.0, description: Attributes called like options}
objects:
  Thing:
    api: {name: thing}
    attributes:
      key: {type: string, primary: true}
      format: {type: string}
      columns: {type: integer}
      clear: {type: string}
      help: {type: boolean}
      limit: {type: integer}
      fields: {type: string}
      cascade: {type: string}
      dry_run: {type: string}
      self: {type: string}
      option_0: {type: string}
      Format: {type: string}
      _x: {type: string}
"""


def models_dir() -> Path | None:
    """Upstream's models; None, where they are not at hand, for the bundled ones with the same objects."""
    try:
        return upstream_models()
    except pytest.skip.Exception:
        return None


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server."""
    directory = tmp_path_factory.mktemp("server")
    models = directory / "models"
    if upstream := models_dir():
        shutil.copytree(upstream, models)
    (models / "odd").mkdir(parents=True)
    (models / "odd" / "api.yaml").write_text(ODD_MODEL)
    config = directory / "proton.conf"
    config.write_text(
        f"""
[api]
port = 0
max_limit = {MAX_LIMIT}
bind_timeout = {BIND_TIMEOUT}
etcd_port = {unused_url().rpartition(":")[2]}
models_dir = {models}

[database]
connection = sqlite:///{directory}/gluon.sqlite
"""
    )
    command = [str(Path(sys.executable).with_name("proton-server")), "--config-file", str(config)]
    log = directory / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            url = None
            for line in process.stderr:
                stderr.write(line)
                if found := re.search(r"listening on (\S+)", line):
                    url = f"http://{found[1]}"
                    break
            assert url is not None, log.read_text()
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=stderr)
            yield url
        finally:
            process.terminate()
            process.wait(30)
            drain.wait(10)


@pytest.fixture
def protonclient(server_url: str) -> Command:
    """Runs command lines against the server."""
    return Command(server_url)


@pytest.fixture
def vpns(protonclient: Command) -> Iterator[list[dict[str, Any]]]:
    """Seven VPNs of a tenant that has no others, by name."""
    with Client(protonclient.url) as client:
        tenant = str(uuid.uuid4())
        bodies = [{"name": f"vpn {n}", "description": f"d{n % 2}", "tenant_id": tenant} for n in range(7)]
        yield list(client.proton("net-l3vpn").create_many("vpns", bodies))
