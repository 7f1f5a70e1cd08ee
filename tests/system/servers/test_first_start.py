"""Servers that start at the same time on a database that nobody has used yet."""

from __future__ import annotations

import shutil
from pathlib import Path

from system.faults.eventually import eventually
from system.faults.stack import SERVICE, port
from system.servers.cluster import Cluster, Shared, Wish, cluster

MODELS = Path(__file__).parents[3] / "src/gluon/models"


async def digests(site: Cluster, servers: int) -> set[str]:
    async def check() -> set[str]:
        found = await site.present()
        assert len(found) == servers
        return {str(sorted(entry["models"][SERVICE].items())) for entry in found}

    return await eventually(check)


async def test_servers_that_start_together_serve_what_the_database_got_first(shared: Shared) -> None:
    other = shared.folder / "models"
    shutil.copytree(MODELS / SERVICE, other / SERVICE)
    file = other / SERVICE / "api.yaml"
    file.write_text(file.read_text().replace('name: "Gluon"', 'name: "Somebody else"'))
    async with cluster(
        shared, Wish(api={"service_list": ""}), Wish(), Wish(api={"models_dir": other})
    ) as site:
        assert len(await digests(site, 3)) == 1
        problems = [(await server.health())["checks"]["models"].get("problems") for server in site.servers]
        differ = [bool(problem) for problem in problems]
        assert differ in ([False, False, True], [True, True, False]), problems
        for server in site.servers:
            created = await server.request("POST", "ports", 201, port("one"))
            await site.in_etcd(created["id"])
