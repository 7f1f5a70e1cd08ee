"""The whole stack, started, hurt and ended as an operator would."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gluon.ops.etcd_server import etcd_command, find_etcd
from gluon.ops.ports import reserve_port
from ops.processes import children_of, eventually, runs
from ops.stacks import GLUON, RunningStack, end, refused, running, start

TENANT = "a868a466bca84df18404a77db0ecac72"
EXAMPLES = Path(__file__).parents[2] / "examples" / "models"
PROTONCLIENT = GLUON.with_name("protonclient")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """For tests that leave it as it is, but for the objects in it."""
    with running(tmp_path_factory.mktemp("shared") / "state") as running_stack:
        yield running_stack


def create_vpn(stack: RunningStack, name: str) -> str:
    body = {"name": name, "tenant_id": TENANT}
    return str(stack.request("POST", "/proton/net-l3vpn/v1.0/vpns", body)["id"])


def vpn_names(stack: RunningStack) -> set[str]:
    return {vpn["name"] for vpn in stack.request("GET", "/proton/net-l3vpn/v1.0/vpns")["vpns"]}


def family(stack: RunningStack) -> set[int]:
    """The processes of all roles, and those that they have started."""
    roles = set(stack.pids_now().values())
    return roles | {child for role in roles for child in children_of(role)}


def test_what_is_announced_is_what_runs(stack: RunningStack) -> None:
    assert stack.answers()
    assert set(stack.pids) == {"etcd", "server", "shim"}
    assert set(stack.pids.values()) == set(children_of(stack.process.pid))
    assert stack.database == f"sqlite:///{stack.state_dir / 'gluon.sqlite'}"
    assert (stack.state_dir / "gluon.sqlite").exists()
    assert {log.name for log in (stack.state_dir / "log").iterdir()} == {"etcd.log", "server.log", "shim.log"}


def test_the_configuration_files_lead_others_to_the_same_stack(stack: RunningStack) -> None:
    proton, shim = configparser.ConfigParser(), configparser.ConfigParser()
    proton.read(stack.state_dir / "proton.conf")
    shim.read(stack.state_dir / "proton-shim.conf")
    assert stack.url == f"http://{proton['api']['host']}:{proton['api']['port']}"
    assert stack.etcd == f"http://{shim['shim']['etcd_host']}:{shim['shim']['etcd_port']}"
    assert proton["database"]["connection"] == stack.database
    assert shim["shim"]["handlers"] == "*:dummy"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_that_was_started_and_nothing_else(tmp_path: Path, signum: int) -> None:
    bystander = subprocess.Popen(["sleep", "1000"])
    with running(tmp_path / "state") as stack:
        started = family(stack)
        stack.process.send_signal(signum)
        stack.process.wait(timeout=30)
        assert stack.process.returncode == 0
        assert not [pid for pid in started if runs(pid)]
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_killed_parent_leaves_no_orphans(tmp_path: Path) -> None:
    with running(tmp_path / "state") as stack:
        started = family(stack)
        stack.process.kill()
        eventually(lambda: not [pid for pid in started if runs(pid)])


def test_each_role_that_is_killed_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    roles = ("etcd", "server", "shim")
    with running(tmp_path / "state") as stack:
        names = {"before"}
        create_vpn(stack, "before")
        for role in roles:
            before = stack.pids_now()
            workers = children_of(before[role])
            os.kill(before[role], signal.SIGKILL)
            after = pids_once_changed(stack, role, before[role])
            assert not [worker for worker in workers if runs(worker)]
            assert {**after, role: 0} == {**before, role: 0}, "no other role may be touched"

            eventually(stack.answers, within=20)
            create_vpn(stack, f"after {role}")
            names.add(f"after {role}")
            assert vpn_names(stack) == names
        code, errors = end(stack.process)
    assert code == 0
    lines = errors.splitlines()
    assert len(lines) == 2 * len(roles), errors
    for role, died, again in zip(roles, lines[::2], lines[1::2], strict=True):
        assert re.fullmatch(
            rf"gluon up: {role} \(pid \d+\) was killed by SIGKILL; it starts again in 1 s", died
        )
        assert re.fullmatch(rf"gluon up: {role} runs again \(pid \d+\)", again)


def pids_once_changed(stack: RunningStack, role: str, old: int) -> dict[str, int]:
    eventually(lambda: stack.pids_now().get(role, old) != old)
    return stack.pids_now()


def test_models_are_served_beside_the_bundled_ones_and_broken_ones_are_told(tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(EXAMPLES / "e-line", models / "e-line")
    (models / "broken").mkdir()
    (models / "broken" / "api.yaml").write_text(
        "file_version: '1.0'\ninfo: {version: 1.0}\nobjects: {Port: {extends: No}}\n"
    )
    with running(tmp_path / "state", "--models", str(models)) as stack:
        services = {p["proton_service"] for p in stack.request("GET", "/proton")["protons"]}
        assert services == {"e-line", "net-l3vpn", "ietf-sfc", "test"}
        _, errors = end(stack.process)
    (line,) = errors.splitlines()
    assert line.startswith(
        f"gluon up: a model of broken is wrong and not served: {models / 'broken' / 'api.yaml'}:"
    )


def test_an_etcd_that_was_given_is_used_and_left_alone(tmp_path: Path) -> None:
    ports = [reserve_port("127.0.0.1", 0), reserve_port("127.0.0.1", 0)]
    command = etcd_command(find_etcd(), tmp_path / "etcd", ports[0].number, ports[1].number)
    etcd = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        endpoint = f"http://127.0.0.1:{ports[0].number}"
        with running(tmp_path / "state", "--etcd", endpoint) as stack:
            assert stack.etcd == endpoint
            assert set(stack.pids) == {"server", "shim"}
            create_vpn(stack, "here")
        assert etcd.poll() is None
    finally:
        etcd.terminate()
        etcd.wait()
        for port in ports:
            port.close()


def test_what_was_stored_is_there_at_the_next_start_wherever_that_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'else.sqlite'}"
    for names in (set[str](), {"before"}):
        with running(tmp_path / "state", "--database", url) as stack:
            assert stack.database == url
            assert vpn_names(stack) == names
            create_vpn(stack, "before")
            assert end(stack.process) == (0, "")
    assert not (tmp_path / "state" / "gluon.sqlite").exists()


def test_people_are_told_what_runs_where_and_what_to_try(tmp_path: Path) -> None:
    command = [GLUON, "up", "--port", "0", "--state-dir", tmp_path / "state"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    page = []
    while line := process.stdout.readline():
        page.append(line)
        if "Ctrl-C" in line:
            break
    end(process)
    text = "".join(page)
    assert "Proton Server   http://127.0.0.1:" in text
    assert "export OS_PROTON_PORT=" in text
    assert "protonclient --api net-l3vpn --help" in text
    assert str(tmp_path / "state") in text


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line = refused(tmp_path / "state", "--port", str(port))
    assert line.startswith(f"gluon: port {port} of 127.0.0.1 is taken")


def test_a_state_directory_in_use_is_refused(stack: RunningStack) -> None:
    line = refused(stack.state_dir)
    assert f"in use by another gluon up (pid {stack.process.pid})" in line
    assert stack.answers()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--backend", "net-l3vpm=dummy"), "there is no service 'net-l3vpm'; did you mean net-l3vpn?"),
        (("--backend", "net-l3vpn=dumy"), "there is no backend 'dumy'; did you mean dummy?"),
        (("--backend", "net-l3vpn"), "give it as SERVICE=NAME"),
        (("--etcd", "http://127.0.0.1:2379/path"), "give it as http://HOST:PORT"),
        (("--etcd", "127.0.0.1:0x"), "give it as http://HOST:PORT"),
        (("--models", "/no/such/directory"), "there is no such directory"),
        (("--database", "oracle://somewhere/else"), "oracle"),
        (("--workers", "2"), "SQLite serves one process"),
    ],
)
def test_wrong_options_are_refused_in_one_line(tmp_path: Path, options: tuple[str, ...], why: str) -> None:
    assert why in refused(tmp_path / "state", *options)


def test_an_etcd_that_does_not_answer_is_refused(
    tmp_path: Path,
) -> None:
    free = reserve_port("127.0.0.1", 0)
    line = refused(tmp_path / "state", "--etcd", f"127.0.0.1:{free.number}")
    assert line.endswith("no etcd answers there")
    free.close()


def test_a_missing_etcd_is_refused_and_leaves_nothing_running(tmp_path: Path) -> None:
    line = refused(tmp_path / "state", GLUON_ETCD="/no/such/etcd", **_path())
    assert "can't be run as etcd" in line


def test_a_start_that_is_interrupted_ends_cleanly(tmp_path: Path) -> None:
    process = start(tmp_path / "state")
    eventually(lambda: (tmp_path / "state" / "log" / "etcd.log").exists())
    children = children_of(process.pid)
    code, errors = end(process)
    assert (code, errors) == (0, "")
    assert not [pid for pid in children if runs(pid)]


def test_the_commands_work_against_it(stack: RunningStack) -> None:
    environment = {
        **os.environ,
        "OS_PROTON_HOST": "127.0.0.1",
        "OS_PROTON_PORT": stack.url.rpartition(":")[2],
    }
    command = [PROTONCLIENT, "--api", "net-l3vpn", "vpn-list"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert "vpns" in json.loads(done.stdout)


def _path() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
