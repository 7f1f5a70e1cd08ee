"""The wheel in empty environments: what a user of each kind installs, and that it runs there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

# The first test that needs an environment waits for its packages to be fetched and installed.
pytestmark = pytest.mark.timeout(600)

SERVER_ONLY = ("falcon", "sqlalchemy", "grpc", "uvicorn", "uvloop", "google.protobuf")


class Environment:
    """An empty virtual environment with Gluon's wheel, and nothing but what the wheel asks for."""

    def __init__(self, directory: Path, wheel: Path, extra: str) -> None:
        venv.create(directory, with_pip=False)
        self.bin = directory / "bin"
        # The versions that are tested: of the packages that are asked for, those of the lock.
        pip = (
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.bin / "python"),
            "install",
            "--quiet",
            "--no-compile",
        )
        done = subprocess.run(
            [*pip, "--constraint", PROJECT / "requirements.lock", f"{wheel}{extra}"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def environment(self) -> dict[str, str]:
        """Ours without what leads to the checkout."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "COV"))}
        return {**ours, "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / command[0], *command[1:]],
            capture_output=True,
            text=True,
            cwd=self.bin,
            env=self.environment() | environment,
        )

    def can_import(self, module: str) -> bool:
        return self.run("python", "-c", f"import {module}").returncode == 0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory))
    done = subprocess.run([*build, str(PROJECT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = directory.glob("gluon-*.whl")
    return path


@pytest.fixture(scope="module")
def client_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("client"), wheel, extra="")


@pytest.fixture(scope="module")
def everything(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("all"), wheel, extra="[all]")


@pytest.mark.parametrize("module", SERVER_ONLY)
def test_the_client_installs_without_what_servers_need(client_only: Environment, module: str) -> None:
    assert not client_only.can_import(module)


def test_the_client_runs_alone(client_only: Environment) -> None:
    helped = client_only.run("protonclient", "--help")
    assert helped.returncode == 0, helped.stderr
    assert "--api" in helped.stdout
    refused = client_only.run("protonclient", "--api", "net-l3vpn", "port-list", OS_PROTON_PORT="1")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1


def test_models_can_be_checked_with_the_client_alone(client_only: Environment) -> None:
    listed = client_only.run("gluon-api-tool", "list")
    assert listed.returncode == 0, listed.stderr
    for service in ("net-l3vpn", "ietf-sfc", "test"):
        assert service in listed.stdout
    checked = client_only.run("gluon-api-tool", "check", str(PROJECT / "examples" / "models" / "e-line"))
    assert checked.returncode == 0, checked.stderr


def test_what_needs_the_server_says_what_to_install(client_only: Environment) -> None:
    assert client_only.run("gluon", "--help").returncode == 0
    refused = client_only.run("gluon", "up")
    assert refused.returncode == 1
    assert "pip install 'gluon[all]'" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_the_whole_product_runs_from_the_wheel(everything: Environment, tmp_path: Path) -> None:
    up = subprocess.Popen(
        [everything.bin / "gluon", "up", "--json", "--port", "0", "--state-dir", tmp_path / "state"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=everything.environment(),
    )
    try:
        assert up.stdout is not None
        line = up.stdout.readline()
        assert line, up.communicate()[1]
        port = json.loads(line)["proton"].rpartition(":")[2]
        listed = everything.run("protonclient", "--api", "net-l3vpn", "port-list", OS_PROTON_PORT=port)
        assert (listed.returncode, json.loads(listed.stdout)) == (0, {"ports": []}), listed.stderr
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=60)
    assert up.returncode == 0
