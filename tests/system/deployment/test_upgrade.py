"""What an earlier release has stored is served by this one, and goes on from there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gluon import __version__
from system.deployment.releases import old_program, unpack_release
from system.faults.agreement import agreed
from system.faults.eventually import eventually
from system.faults.processes import Program
from system.faults.stack import Stack


@pytest.fixture
def started_with_an_old_server(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path, bind_timeout=4.0, lease_ttl=2)
    stack.add_shim("shim", ["*"])
    config = tmp_path / "proton.conf"
    # The first release knows no `[etcd] endpoints`; this one prefers them.
    config.write_text(config.read_text().replace("[api]\n", f"[api]\netcd_port = {stack.etcd_server.port}\n"))
    release = unpack_release("0.1.0", tmp_path)
    stack.server = old_program(release, "gluon.proton.main", config, "server")
    return stack


async def serves(stack: Stack, release: str) -> None:
    """Return when a server of that release says in etcd that it is there."""

    async def check() -> None:
        listing = await stack.etcd.list(stack.keys.servers())
        assert release in {msgspec.json.decode(item.value)["version"] for item in listing.items}

    await eventually(check)


async def test_a_database_of_the_first_release_is_served_after_the_upgrade(
    started_with_an_old_server: Stack, tmp_path: Path
) -> None:
    stack = started_with_an_old_server
    old_server = stack.server
    try:
        stack.etcd_server.start()
        old_server.start()
        stack.shim.start()
        await stack.server_ready()
        await stack.shim_ready()
        await serves(stack, "0.1.0")
        before = [await stack.create_port(f"port-{number}") for number in range(5)]
        bound = await stack.bind(before[0]["id"], "compute-1")
        assert bound["vif_type"] == "ovs"
        before[0] = bound
        # What it can't send any more is there for the next release to send.
        stack.etcd_server.kill()
        before.append(await stack.create_port("written-while-etcd-was-away"))
        old_server.stop()

        stack.server = Program.installed("proton-server", tmp_path / "proton.conf", "new-server")
        stack.server.start()
        stack.etcd_server.start()
        await stack.server_ready()
        await serves(stack, __version__)
        for port in before:
            assert await stack.port(port["id"]) == port
        await stack.bind(before[1]["id"], "compute-2")

        async def is_bound() -> None:
            # The shim may take longer to find etcd again than the bind waits: then it answers late.
            found = await stack.port(before[1]["id"])
            assert (found["host_id"], found["vif_type"], found["status"]) == ("compute-2", "ovs", "ACTIVE")

        await eventually(is_bound)
        collections = await agreed(stack)
        assert len(collections["ports"]) == len(before)
    finally:
        await stack.http.aclose()
        await stack.etcd.close()
        for program in (old_server, stack.server, stack.shim):
            program.kill()
            print(f"--- the end of {program.name}'s log:\n{program.log()[-3000:]}")
        stack.etcd_server.kill()
