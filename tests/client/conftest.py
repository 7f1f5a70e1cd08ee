"""A Proton Server for the tests of the client: the real command, on a database of its own, without etcd.

No controller answers here, so binds fail after the wait, which is short. Pages are short too, so that
lists of a few objects already have several.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.answering import unused_url
from client.runner import Command

MAX_LIMIT = 3
BIND_TIMEOUT = 0.3

UPSTREAM_MODELS = Path(__file__).parents[3] / "shared" / "upstream-models"
"""Models as upstream has them, where they lie beside the project; without them the bundled ones serve."""


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server."""
    directory = tmp_path_factory.mktemp("server")
    models = f"models_dir = {UPSTREAM_MODELS}" if UPSTREAM_MODELS.is_dir() else ""
    config = directory / "proton.conf"
    config.write_text(
        f"""
[api]
port = 0
max_limit = {MAX_LIMIT}
bind_timeout = {BIND_TIMEOUT}
etcd_port = {unused_url().rpartition(":")[2]}
{models}

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
