"""`gluon sync` and `gluon controller forget`, as operators call them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.ops import repair
from gluon.ops.main import main
from ops.stacks import GLUON, RunningStack, running
from proton.resyncing import Town, relaying, town
from servers.etcd import EtcdServer

T = TypeVar("T")


@dataclass(frozen=True)
class Installation:
    """A database with objects and an etcd, and no server."""

    config: Path
    database_url: str
    etcd_url: str
    keys: Keys

    def do(self, work: Callable[[Town], Awaitable[T]]) -> T:
        async def run() -> T:
            async with town(self.database_url, self.etcd_url, self.keys.prefix) as here:
                return await work(here)

        return asyncio.run(run())

    def gluon(self, *arguments: str) -> Result:
        group, command, *rest = arguments
        return CliRunner().invoke(main, [group, command, "--config-file", str(self.config), *rest])


@pytest.fixture
def installation(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> Installation:
    """With two ports, whose keys have reached etcd."""
    config = tmp_path / "proton.conf"
    url = f"sqlite:///{tmp_path / 'gluon.sqlite'}"
    config.write_text(
        f"[api]\npublic_url = http://proton.example:2705\n[database]\nconnection = {url}\n"
        f"[etcd]\nendpoints = {etcd_server.url}\nprefix = {etcd_prefix}\n"
    )
    made = Installation(config, url, etcd_server.url, Keys(etcd_prefix))

    async def fill(here: Town) -> None:
        async with relaying(here):
            await here.create_ports(2)
            await here.drained()

    made.do(fill)
    return made


async def lose_ports(here: Town) -> None:
    await here.etcd.delete_prefix(here.keys.objects("acme", "Port"))


def test_agreement(installation: Installation) -> None:
    for command in ("check", "repair"):
        result = installation.gluon("sync", command)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        assert json.loads(result.stdout) == {"correct": 5, "created": 0, "updated": 0, "deleted": 0}


def test_a_difference_is_told_and_nothing_is_done(installation: Installation) -> None:
    installation.do(lose_ports)
    for _ in range(2):
        result = installation.gluon("sync", "check", "--format", "json")
        assert result.exit_code == 1
        assert json.loads(result.stdout) == {"correct": 3, "created": 2, "updated": 0, "deleted": 0}
    assert installation.do(Town.depth) == 0


def test_a_table(installation: Installation) -> None:
    result = installation.gluon("sync", "check", "--format", "table")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["correct", "created", "updated", "deleted"],
        ["5", "0", "0", "0"],
    ]


def test_a_repair_without_a_relay_is_left_in_the_outbox(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "STALLED", 0.2)
    installation.do(lose_ports)
    result = installation.gluon("sync", "repair", "--service", "acme", "--object", "ports")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"correct": 2, "created": 2, "updated": 0, "deleted": 0}
    assert result.stderr == (
        "gluon: 2 changes in the outbox: no relay is running; they reach etcd when a proton-server does\n"
    )
    # Nor do they agree as long as nobody brings them.
    checked = installation.gluon("sync", "check", "--service", "acme", "--object", "ports")
    assert (checked.exit_code, checked.stderr) == (1, result.stderr)

    async def relay(here: Town) -> None:
        async with relaying(here):
            await here.drained()

    installation.do(relay)
    assert installation.gluon("sync", "check").exit_code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--service", "acmee"), "the database has no service 'acmee'; did you mean acme?"),
        (("--object", "Prot"), "no service of the database has an object 'Prot'; did you mean Port?"),
        (("--id", "nothing"), "neither the database nor etcd has an object 'nothing' there"),
    ],
)
def test_a_scope_that_is_nowhere(installation: Installation, options: tuple[str, ...], says: str) -> None:
    for command in ("check", "repair"):
        result = installation.gluon("sync", command, *options)
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"gluon: {says}\n")


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("endpoints", "http://127.0.0.1:9", "etcd at http://127.0.0.1:9"),
        ("connection", "sqlite:////nowhere/gluon.sqlite", "there is no database /nowhere/gluon.sqlite"),
        ("connection", "oracle://somewhere", "can not be used"),
        ("endpoints", "somewhere", "somewhere"),
    ],
)
def test_what_can_not_be_reached(installation: Installation, setting: str, value: str, says: str) -> None:
    lines = installation.config.read_text().splitlines()
    lines = [f"{setting} = {value}" if line.startswith(setting) else line for line in lines]
    installation.config.write_text("\n".join(lines))
    result = installation.gluon("sync", "check")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_refused_changes_are_shown_and_go_again(installation: Installation) -> None:
    key = installation.keys.object("acme", "Word", "large")

    async def refuse(here: Town) -> None:
        await here.database.write(lambda tx: here.outbox.add(tx, [(key, bytes(3 << 20))]))
        async with relaying(here) as relay:
            while not relay.counters.set_aside:
                await asyncio.sleep(0.02)

    installation.do(refuse)
    [row] = json.loads(installation.gluon("sync", "refused", "--format", "json").stdout)
    assert row["key"] == key
    assert "too large" in row["reason"] or "larger than" in row["reason"]
    assert key in installation.gluon("sync", "refused", "--format", "table").stdout
    result = installation.gluon("sync", "check")
    assert (result.exit_code, result.stderr) == (
        1,
        "gluon: etcd refuses 1 change: gluon sync refused shows why\n",
    )
    assert installation.gluon("sync", "retry", "999999").exit_code == 2
    assert installation.gluon("sync", "retry", str(row["id"])).stdout == "1 goes again\n"
    assert json.loads(installation.gluon("sync", "refused").stdout) == []
    assert installation.gluon("sync", "retry").stdout == "0 go again\n"


def test_a_controller_that_is_gone_is_forgotten(installation: Installation) -> None:
    keys = installation.keys
    own = [keys.status("acme", "Port", f"p{n}", "ovn-1") for n in range(250)]
    others = [keys.status("acme", "Port", "p", "ovn-2"), keys.claim("acme", "p", "host-2")]
    claim = keys.claim("acme", "p", "host-1")

    async def fill(here: Town) -> None:
        for key in (*own, others[0]):
            await here.etcd.put(key, b"{}")
        await here.etcd.put(claim, b'{"controller": "ovn-1", "bind_id": "b"}')
        await here.etcd.put(others[1], b'{"controller": "ovn-2", "bind_id": "b"}')
        await here.etcd.put(keys.controller("ovn-1"), b"{}")

    installation.do(fill)
    result = installation.gluon("controller", "forget", "ovn-1")
    assert result.exit_code == 2
    assert "is there: stop its shim first" in result.stderr
    installation.do(lambda here: here.etcd.delete(keys.controller("ovn-1")))
    assert "did you mean ovn-1?" in installation.gluon("controller", "forget", "ovn1").stderr
    result = installation.gluon("controller", "forget", "ovn-1")
    assert (result.exit_code, result.stdout) == (0, "forgotten: 250 statuses, 1 claims\n")

    async def left(here: Town) -> list[str]:
        items = [i for p in (keys.statuses(), keys.claims()) for i in (await here.etcd.list(p)).items]
        return [item.key for item in items]

    assert installation.do(left) == others
    assert "has left nothing" in installation.gluon("controller", "forget", "ovn-1").stderr


# -- beside a running server --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running(tmp_path_factory.mktemp("sync")) as stack:
        yield stack


def gluon(stack: RunningStack, *arguments: str) -> tuple[int, dict[str, int]]:
    command = [GLUON, "sync", *arguments, "--config-file", stack.state_dir / "proton.conf"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_beside_a_running_server(stack: RunningStack) -> None:
    bodies = [{"name": f"vpn-{n}", "tenant_id": str(uuid.uuid4())} for n in range(20)]
    made: list[dict[str, Any]] = stack.request("POST", "/proton/net-l3vpn/v1.0/vpns", {"vpns": bodies})[
        "vpns"
    ]
    keys = Keys()

    async def damage() -> None:
        etcd = Etcd([stack.etcd])
        await etcd.delete(keys.object("net-l3vpn", "VpnService", made[0]["id"]))
        await etcd.put(keys.object("net-l3vpn", "VpnService", made[1]["id"]), b"{}")
        await etcd.put(keys.object("net-l3vpn", "VpnService", str(uuid.uuid4())), b"{}")
        await etcd.close()

    code, before = gluon(stack, "check")
    assert code == 0
    asyncio.run(damage())
    right = before["correct"]
    different = {"correct": right - 2, "created": 1, "updated": 1, "deleted": 1}
    assert gluon(stack, "check") == (1, different)
    assert gluon(stack, "repair") == (0, different)
    assert gluon(stack, "check") == (0, before)
    with closing(sqlite3.connect(stack.state_dir / "gluon.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
