"""Ports over Gluon beside ports over Neutron's ML2: same machine, PostgreSQL, number of workers, client.

Neutron runs as operators run it (gunicorn, PostgreSQL, ML2), but for three things, all in its favour: no
message bus, no agents to notify, and a mechanism driver that binds at once. Gluon's bind goes through etcd
to a shim and back.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.postgresql import PostgresqlServer

from .http_load import Connection, Task, percentile, run
from .results import Figure, Results
from .stack import TENANT, port_body, running_stack

ROOT = Path(__file__).resolve().parent.parent
LAB = Path(__file__).with_name("neutron_lab")
GLUON_PORTS = "/proton/net-l3vpn/v1.0/ports"
GLUON_COUNT = int(os.environ.get("BENCH_GLUON_PORTS", "2000"))
NEUTRON_COUNT = int(os.environ.get("BENCH_NEUTRON_PORTS", "60"))
LISTED = int(os.environ.get("BENCH_NEUTRON_LISTED", "1000"))
"""How many ports are created one by one, and how many are in a list; the environment may ask for fewer."""
BINDS = 16
"""Binds in flight at once."""

# What Neutron's Nova-facing policy asks for, as a trusted proxy in front of it would send it.
HEADERS = {
    "X-User-Id": "bench",
    "X-Project-Id": TENANT,
    "X-Roles": "service,admin,member,reader",
}

_NEUTRON_CONF = """
[DEFAULT]
auth_strategy = trusted
core_plugin = ml2
service_plugins =
transport_url = fake://
api_paste_config = {folder}/api-paste.ini
state_path = {folder}
dhcp_agent_notification = false
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[database]
connection = {database}
[oslo_concurrency]
lock_path = {folder}/lock
[oslo_messaging_notifications]
driver = noop
[quotas]
default_quota = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers = bench
extension_drivers = port_security
[securitygroup]
enable_security_group = true
"""

_TRUSTED = "cors http_proxy_to_wsgi request_id catch_errors osprofiler keystonecontext extensions"


@dataclass
class Rates:
    """What one of the two did: ports created, lists answered and ports bound, a second."""

    create: float = 0.0
    listing: float = 0.0
    bind: float = 0.0
    bind_latencies: list[float] = field(default_factory=list)


async def measure(results: Results, folder: Path) -> None:
    server = PostgresqlServer(folder / "postgresql", durable=True)
    server.start()
    try:
        await asyncio.to_thread(server.wait_ready)
        with server.fresh_database() as database:
            neutron = await _neutron(folder / "neutron", database)
        with server.fresh_database() as database:
            gluon = await _gluon(database)
    finally:
        server.stop()
    name = "Neutron 29 ML2, same PostgreSQL"
    for what, ours, theirs in (
        ("create a port, 16 at a time", gluon.create, neutron.create),
        (f"list {LISTED:,} ports", gluon.listing, neutron.listing),
        (f"bind a port, {BINDS} at a time", gluon.bind, neutron.bind),
    ):
        results.add(Figure(what, ours, "/s", theirs, name, ">= 100 x", ours >= 100 * theirs))
    for label, rates in (("Gluon", gluon), ("Neutron", neutron)):
        p50 = percentile(rates.bind_latencies, 0.5) * 1e3
        results.add(Figure(f"{label}: bind, {BINDS} at a time, p50", p50, "ms"))


async def _gluon(database: str) -> Rates:
    with running_stack("--database", database) as stack:
        ids: list[str] = []

        def create(number: int) -> Task:
            async def task(connection: Connection) -> None:
                ids.append((await _ok(connection, "POST", GLUON_PORTS, port_body(number)))["id"])

            return task

        def bind(port_id: str) -> Task:
            async def task(connection: Connection) -> None:
                body = {"host_id": "compute-1", "device_id": str(uuid.uuid4())}
                answer = await _ok(connection, "PUT", f"{GLUON_PORTS}/{port_id}", body)
                assert answer["vif_type"] != "binding_failed", answer

            return task

        return await _rates(stack.proton, create, GLUON_COUNT, f"{GLUON_PORTS}?limit={LISTED}", ids, bind, {})


async def _neutron(folder: Path, database: str) -> Rates:
    with _neutron_server(folder, database) as url:
        setting_up = await Connection.open(url)
        setting_up.headers = HEADERS
        network = (await _ok(setting_up, "POST", "/v2.0/networks", {"network": {"name": "bench"}}))["network"]
        subnet = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/16", "enable_dhcp": False}
        await _ok(setting_up, "POST", "/v2.0/subnets", {"subnet": subnet})
        numbers = itertools.count()

        def port(**values: str) -> dict[str, str]:
            # With a MAC address, as Gluon's ports: those that Neutron draws by itself may be taken.
            digits = f"fa163e{next(numbers):06x}"
            mac = ":".join(digits[n : n + 2] for n in range(0, 12, 2))
            return {"network_id": network["id"], "mac_address": mac, **values}

        # The list is of as many ports as Gluon's, made in bulk: one at a time would take minutes.
        for _ in range((LISTED - NEUTRON_COUNT) // 50 + 1):
            bulk = {"ports": [port() for _ in range(50)]}
            await _ok(setting_up, "POST", "/v2.0/ports", bulk)
        setting_up.close()
        ids: list[str] = []

        def create(number: int) -> Task:
            async def task(connection: Connection) -> None:
                body = {"port": port(name=f"port-{number}")}
                ids.append((await _ok(connection, "POST", "/v2.0/ports", body))["port"]["id"])

            return task

        def bind(port_id: str) -> Task:
            async def task(connection: Connection) -> None:
                body = {"port": {"binding:host_id": "compute-1", "device_id": str(uuid.uuid4())}}
                answer = await _ok(connection, "PUT", f"/v2.0/ports/{port_id}", body)
                assert answer["port"]["binding:vif_type"] == "ovs", answer

            return task

        path = f"/v2.0/ports?limit={LISTED}"
        return await _rates(url, create, NEUTRON_COUNT, path, ids, bind, HEADERS)


async def _rates(
    url: str,
    create: Any,
    count: int,
    list_path: str,
    ids: list[str],
    bind: Any,
    headers: dict[str, str],
) -> Rates:
    await run(url, 16, [create(number) for number in range(16)], headers)
    wall, _ = await run(url, 16, [create(number) for number in range(count)], headers)
    rates = Rates(create=count / wall)

    async def listing(connection: Connection) -> None:
        status, answer = await connection.request("GET", list_path)
        assert status == 200 and answer.count(b'"mac_address"') == LISTED, answer[:200]

    wall, _ = await run(url, 1, [listing] * 4, headers)
    rates.listing = 4 / wall
    chosen = ids[:count]
    wall, rates.bind_latencies = await run(url, BINDS, [bind(port_id) for port_id in chosen], headers)
    rates.bind = len(chosen) / wall
    return rates


async def _ok(connection: Connection, method: str, path: str, body: Any) -> Any:
    status, answer = await connection.request(method, path, body)
    assert status in (200, 201), f"{method} {path}: {status} {answer[:500]!r}"
    return json.loads(answer)


@contextmanager
def _neutron_server(folder: Path, database: str) -> Iterator[str]:
    home = Path(subprocess.check_output([ROOT / "scripts/get-neutron"], text=True).strip())
    folder.mkdir(parents=True)
    # Its environment has this driver; which one the URL was made for is Gluon's affair.
    database = f"postgresql+psycopg2://{database.split('://', 1)[1]}"
    (folder / "neutron.conf").write_text(_NEUTRON_CONF.format(folder=folder, database=database))
    (folder / "api-paste.ini").write_text(_paste((home / "etc/neutron/api-paste.ini").read_text()))
    plugins = folder / "plugins" / "bench_mechanism-1.0.dist-info"
    plugins.mkdir(parents=True)
    (plugins / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-mechanism\nVersion: 1.0\n")
    (plugins / "entry_points.txt").write_text(
        "[neutron.ml2.mechanism_drivers]\nbench = bench_mechanism:BenchMechanism\n"
    )
    environment = os.environ | {
        "PYTHONPATH": f"{LAB}:{plugins.parent}",
        "PYTHONWARNINGS": "ignore",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "OS_NEUTRON_CONFIG_DIR": str(folder),
        "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
    }
    subprocess.run([home / "bin/python", LAB / "make_schema.py", database], env=environment, check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [home / "bin/gunicorn", "-w", "1", "--threads", "16", "-b", f"127.0.0.1:{port}"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "bench_wsgi:application"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        _wait_until_it_answers(process, port, folder / "log")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _paste(stock: str) -> str:
    """The stock pipelines and one more, `trusted`: identity by headers, and the real policy engine."""
    lines = []
    for line in stock.splitlines():
        lines.append(line)
        if line.strip() == "[composite:neutronapi_v2_0]":
            lines.append(f"trusted = {_TRUSTED} neutronapiapp_v2_0")
        elif line.strip() == "[composite:neutronversions_composite]":
            lines.append("trusted = cors http_proxy_to_wsgi neutronversions")
    return "\n".join(lines) + "\n"


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Neutron did not come up: {log.read_text()[-2000:]}") from None
            time.sleep(0.1)
