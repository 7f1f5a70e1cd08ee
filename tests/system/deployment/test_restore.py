"""The database is put back to a backup, by the commands of the guide: etcd and the shims follow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from servers.etcd import EtcdServer
from servers.postgresql import PostgresqlServer
from servers.programs import find_program, program_environment
from system.deployment.site import Site
from system.faults.eventually import eventually
from system.faults.stack import DEVICE, SERVICE, Shim, port

COMMAND = str(Path(sys.executable).with_name("gluon"))


@pytest.fixture
async def site(
    tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str, postgresql_server: PostgresqlServer
) -> AsyncIterator[Site]:
    """One server and one shim."""
    with postgresql_server.fresh_database() as url:
        site = Site(tmp_path, etcd_server, etcd_prefix, url, nodes=1)
        config = tmp_path / "shim.conf"
        config.write_text(
            f"[shim]\nname = shim\nhandlers = {SERVICE}:dummy\nlease_ttl = 2\n"
            f"[etcd]\nendpoints = {etcd_server.url}\nprefix = {etcd_prefix}\n"
        )
        shim = Shim.installed("proton-shim-server", config, "shim")
        site.servers["node-1"].start()
        shim.start()
        try:
            yield site
        finally:
            site.kill()
            shim.kill()
            await site.etcd.close()


class Ports:
    """The ports of a site, by its API."""

    def __init__(self, site: Site) -> None:
        self._url = f"{site.url_of('node-1')}/proton/{SERVICE}/v1.0/ports"

    async def all(self) -> dict[str, dict[str, Any]]:
        async with httpx.AsyncClient(timeout=15) as http:
            return {p["id"]: p for p in (await http.get(self._url)).raise_for_status().json()["ports"]}

    async def create(self, name: str) -> str:
        async with httpx.AsyncClient(timeout=15) as http:
            return str((await http.post(self._url, json=port(name))).raise_for_status().json()["id"])

    async def change(self, port_id: str, **changes: Any) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=15) as http:
            answer = await http.put(f"{self._url}/{port_id}", json=changes)
            return dict(answer.raise_for_status().json())

    async def delete(self, port_id: str) -> None:
        async with httpx.AsyncClient(timeout=15) as http:
            (await http.delete(f"{self._url}/{port_id}")).raise_for_status()


async def in_etcd(site: Site) -> dict[str, dict[str, Any]]:
    """The ports in etcd, by their id, with what the API shows of them."""
    listing = await site.etcd.list(site.keys.objects(SERVICE, "Port"))
    documents = [msgspec.json.decode(item.value) for item in listing.items]
    return {d["id"]: {n: v for n, v in d.items() if n not in ("bind_id", "bindings")} for d in documents}


async def applied_by_the_shim(site: Site) -> dict[str, dict[str, Any]]:
    """The ports that the shim has on its books, by their id."""
    listing = await site.etcd.list(site.keys.statuses(SERVICE, "Port"))
    entries = [msgspec.json.decode(item.value) for item in listing.items]
    assert all(entry["state"] == "APPLIED" for entry in entries), entries
    return {entry["applied"]["id"]: entry["applied"] for entry in entries}


async def all_have(site: Site, expected: dict[str, dict[str, Any]]) -> None:
    async def check() -> None:
        assert await in_etcd(site) == expected
        applied = await applied_by_the_shim(site)
        assert {key: entry["name"] for key, entry in applied.items()} == {
            key: entry["name"] for key, entry in expected.items()
        }

    await eventually(check)


def run(command: list[str], expect: int = 0) -> str:
    answer = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=program_environment(), check=False
    )
    assert answer.returncode == expect, f"{command}: {answer.returncode} {answer.stdout} {answer.stderr}"
    return answer.stdout


async def test_what_came_after_the_backup_is_undone_everywhere(
    site: Site, postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    ports, backup = Ports(site), tmp_path / "gluon.dump"
    server, config = site.servers["node-1"], site.config_of("node-1")
    (line,) = (line for line in config.read_text().splitlines() if line.startswith("connection"))
    database = line.partition("= ")[2].replace("$$", "$")

    async def answers() -> None:
        await ports.all()

    await eventually(answers)
    kept, changed, deleted = [await ports.create(name) for name in ("kept", "changed", "deleted")]
    bound = await ports.change(kept, host_id="compute-1", device_id=DEVICE)
    assert bound["vif_type"] == "ovs"
    before = await ports.all()
    run([str(find_program("pg_dump")), "--format=custom", f"--file={backup}", database])

    await ports.change(changed, name="changed after the backup")
    await ports.delete(deleted)
    await ports.create("created after the backup")
    await all_have(site, await ports.all())

    server.stop()
    restore = [str(find_program("pg_restore")), "--clean", "--if-exists", "--single-transaction"]
    run([*restore, f"--dbname={database}", str(backup)])
    server.start()
    await eventually(answers)
    assert await ports.all() == before

    sync = [COMMAND, "sync"]
    options = ["--config-file", str(config), "--format", "json"]
    differences = msgspec.json.decode(run([*sync, "check", *options], expect=1))
    run([*sync, "repair", *options])
    assert min(differences["created"], differences["updated"], differences["deleted"]) >= 1, differences
    await all_have(site, before)
    agreement = msgspec.json.decode(run([*sync, "check", *options]))
    assert (agreement["created"], agreement["updated"], agreement["deleted"]) == (0, 0, 0)
    # The database goes on from there, and nothing that etcd remembers of the lost time is in the way.
    moved = await ports.change(kept, host_id="compute-2")
    assert (moved["vif_type"], moved["revision_number"]) == ("ovs", bound["revision_number"] + 2)
    await all_have(site, await ports.all())
