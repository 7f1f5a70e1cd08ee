"""`proton-server --workers`: real processes on a real database."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import httpx

from ops.processes import runs
from system.faults.eventually import eventually
from system.faults.processes import Program
from system.faults.stack import DEVICE, port
from system.servers.cluster import Cluster, Server, Shared, Wish, cluster


async def gone(*pids: int) -> None:
    async def check() -> None:
        assert not any(map(runs, pids)), pids

    await eventually(check)


def _owner(client_port: int, server: Server) -> int:
    """The worker whose socket's other end has that port."""
    inodes = set()
    remote = f":{client_port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(remote):
            inodes.add(f"socket:[{fields[9]}]")
    for worker in server.workers():
        for descriptor in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(FileNotFoundError):
                if str(descriptor.readlink()) in inodes:
                    return worker
    raise AssertionError(f"nobody has the connection from {client_port}")


async def all_present(site: Cluster, count: int) -> list[dict[str, object]]:
    (server,) = site.servers

    async def check() -> list[dict[str, object]]:
        found = await site.present()
        assert {entry["pid"] for entry in found} >= set(server.workers())
        assert len(server.workers()) == count
        return found

    return await eventually(check)


async def test_workers_are_whole_servers_that_share_an_address(shared: Shared) -> None:
    async with cluster(shared, Wish(workers=2)) as site:
        (server,) = site.servers
        found = await all_present(site, 2)
        assert len({str(entry["models"]) for entry in found}) == 1, "all serve the same models"
        leader, _ = await site.leads_in()
        assert int(leader.rsplit(":", 1)[1]) in server.workers(), "one of them is the relay"

        limits = httpx.Limits(max_connections=40, max_keepalive_connections=40)
        async with httpx.AsyncClient(limits=limits, timeout=30) as http:
            answers = await asyncio.gather(*[http.get(f"{server.url}/") for _ in range(40)])
            local = [a.extensions["network_stream"].get_extra_info("client_addr")[1] for a in answers]
            workers = [_owner(number, server) for number in local]
        assert len(set(local)) == 40
        counts = sorted(workers.count(worker) for worker in set(workers))
        assert len(counts) == 2 and counts[0] >= 10, f"connections are spread unevenly: {counts}"


async def test_a_killed_worker_is_started_again_and_a_killed_parent_leaves_none(shared: Shared) -> None:
    async with cluster(shared, Wish(workers=2)) as site:
        (server,) = site.servers
        await all_present(site, 2)
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        # On a connection of its own: those to the one that was killed are gone.
        async with httpx.AsyncClient(base_url=server.http.base_url, timeout=30) as http:
            answer = await http.post("ports", json=port("beside"))
        assert answer.status_code == 201, answer.text
        await site.in_etcd(answer.json()["id"])
        await all_present(site, 2)
        assert victim not in server.workers()
        assert server.log().count("was killed by signal 9") == 1

        workers = server.workers()
        # A worker that can't run can't look after itself either.
        os.kill(workers[0], signal.SIGSTOP)
        server.kill()
        await gone(*workers)


async def test_a_server_listens_while_it_can_answer_and_a_stop_answers_what_is_under_way(
    shared: Shared,
) -> None:
    async with cluster(shared) as site:
        server = site.add(Wish(workers=2, bind_timeout=2.0))
        server.start()
        while not server.log().count("listening on"):
            server.must_run()
            # Refused or answered, but never made to wait: clients go elsewhere meanwhile.
            with suppress(httpx.ConnectError):
                await server.health()
            await asyncio.sleep(0.01)
        workers = server.workers()
        created = await server.request("POST", "ports", 201, port("one"))
        bind = {"host_id": "nobody-there", "device_id": DEVICE}
        waiting = asyncio.create_task(server.put(f"ports/{created['id']}", **bind))

        async def begun() -> None:
            assert (await site.in_etcd(created["id"])).get("host_id") == "nobody-there"

        await eventually(begun)
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))

        async def refused() -> None:
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", _port(server)), 1):
                raise AssertionError("somebody still listens")

        await eventually(refused)
        assert not waiting.done()
        assert (await waiting)["vif_type"] == "binding_failed"
        assert await stopping == 0
        await gone(*workers)


async def test_a_server_that_cannot_start_says_why_in_one_line(shared: Shared) -> None:
    config = shared.folder / "broken.conf"
    config.write_text(
        f"[api]\nport = 0\nworkers = 2\nservice_list = no-such-service\n"
        f"[etcd]\nendpoints = {shared.etcd.url}\nprefix = {shared.prefix}\n"
        f"[database]\nconnection = {shared.database_url.replace('$', '$$')}\n"
    )
    program = Program.installed("proton-server", config, "broken")
    assert await _exit_code(program) == 1
    (line,) = [line for line in program.log().splitlines() if line.startswith("proton-server: ")]
    assert "no-such-service" in line
    assert "Traceback" not in program.log()


async def test_sqlite_has_one_worker(tmp_path: Path) -> None:
    config = tmp_path / "sqlite.conf"
    config.write_text(f"[api]\nport = 0\nworkers = 2\n[database]\nconnection = sqlite:///{tmp_path / 'db'}\n")
    program = Program.installed("proton-server", config, "sqlite")
    assert await _exit_code(program) == 1
    (line,) = program.log().splitlines()
    assert line.startswith("proton-server: 2 workers can't share a SQLite database")


async def _exit_code(program: Program) -> int:
    program.start()

    async def check() -> None:
        assert not program.is_running

    try:
        await eventually(check)
    finally:
        code = program.stop()
    return code


def _port(server: Server) -> int:
    return int(server.url.rsplit(":", 1)[1])
