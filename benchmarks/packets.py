"""Until packets flow: from the PUT of a bind to the first echo reply; and a thousand ports at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ovsdbapp.backend.ovs_idl import connection
from ovsdbapp.schema.ovn_northbound.impl_idl import OvnNbApiIdlImpl

from gluon.shim.backends.ovn.difference import Tags
from gluon.shim.backends.ovn.mapping import Mapping
from gluon.shim.backends.ovn.northbound import Northbound
from gluon.shim.backends.ovn.plan import Plan
from packets.guests import Guest, random_mac
from packets.lab import Lab, Machine, Vpn
from servers.ovn import OvnDatabases
from shim.ovn.wishing import SETTINGS, attachment, port, vpn

from .http_load import percentile
from .results import Figure, Results

_ROUNDS = 15
_PORTS = 1000
_WITHIN = 3.0
"""Seconds for a thousand ports."""


async def measure(results: Results, folder: Path) -> None:
    await asyncio.to_thread(_thousand_ports, results, folder / "database")
    # Processes are started by the main thread, on whose end they end.
    _first_reply(results, folder / "lab")


def _first_reply(results: Results, folder: Path) -> None:
    folder.mkdir()
    lab = Lab(folder)
    try:
        lab.start()
        found = lab.api.create_vpn("bench")
        watcher = lab.boot(found, "10.0.0.10", "host-1")
        # Somebody there already, so that only ports are new in what follows.
        lab.boot(found, "10.0.0.11", "host-2")
        bound = [_bind_and_ping(lab, found, watcher, f"10.0.0.{20 + n}") for n in range(_ROUNDS)]
        with _ovsdbapp(lab.databases) as northbound:
            switch = f"gluon-{found.key}_10.0.0.0_24"
            bare = [
                _add_and_ping(lab, northbound, switch, watcher, f"10.0.0.{120 + n}") for n in range(_ROUNDS)
            ]
    finally:
        lab.close()
    for share, name in ((0.5, "p50"), (0.9, "p90")):
        results.add(
            Figure(
                f"PUT of the bind -> first echo reply from another host, {name}",
                percentile(bound, share) * 1e3,
                "ms",
                percentile(bare, share) * 1e3,
                "OVN alone: lsp_add -> first reply",
            )
        )


def _bind_and_ping(lab: Lab, found: Vpn, watcher: Machine, address: str) -> float:
    machine = lab.create(lab.api, address)
    lab.api.join(machine.port, found, address)
    _plug(lab, machine.guest, machine.port, address)
    return _until_it_answers(watcher, address, lambda: machine.bind("host-2"))


def _add_and_ping(lab: Lab, northbound: Any, switch: str, watcher: Machine, address: str) -> float:
    guest = Guest(lab.namespaces, f"bare{address.rpartition('.')[2]}", random_mac())
    name = f"bare-{address}"
    _plug(lab, guest, name, address)
    addresses = [f"{guest.mac} {address}"]
    add = northbound.lsp_add(switch, name, addresses=addresses, port_security=addresses)
    return _until_it_answers(watcher, address, lambda: add.execute(check_error=True))


def _plug(lab: Lab, guest: Guest, name: str, address: str) -> None:
    guest.plug(lab.hosts["host-2"], name)
    guest.namespace.ip("addr", "add", f"{address}/24", "dev", "eth0")


def _until_it_answers(watcher: Machine, address: str, ask: Callable[[], object]) -> float:
    with watcher.guest.pinger(address, every=0.005) as pinger:
        pinger.run(0.05)
        began = time.monotonic()
        ask()
        asked = time.monotonic()
        waited = pinger.first(10.0)
        assert waited is not None, f"{address} never answered"
    return asked - began + waited


def _thousand_ports(results: Results, folder: Path) -> None:
    measured = {name: _timed(folder / name, write) for name, write in _WAYS.items()}
    took = {name: seconds for name, (seconds, _) in measured.items()}
    results.add(
        Figure(
            f"{_PORTS:,} ports in OVN's northbound database",
            took["gluon"],
            "s",
            took["ovsdbapp"],
            "ovsdbapp's lsp_add in one transaction",
            f"< {_WITHIN:g} s",
            took["gluon"] < _WITHIN,
        )
    )
    results.add(
        Figure(
            f"{_PORTS:,} ports in OVN's northbound database, CPU of the client with its start",
            measured["gluon"][1],
            "s",
            measured["ovsdbapp"][1],
            "ovsdbapp's lsp_add in one transaction",
        )
    )
    results.add(Figure(f"{_PORTS:,} ports with ovn-nbctl in one transaction", took["ovn-nbctl"], "s"))


def _timed(folder: Path, write: Callable[[OvnDatabases], float]) -> tuple[float, float]:
    """Seconds that it took, and of CPU in this process, which a busy machine changes less."""
    databases = OvnDatabases(folder, ["nb"])
    databases.start()
    try:
        began = time.process_time()
        took = write(databases)
        worked = time.process_time() - began
        assert len(databases.rows("Logical_Switch_Port", "name")) >= _PORTS
        return took, worked
    finally:
        databases.kill()


def _with_gluon(databases: OvnDatabases) -> float:
    settings = replace(SETTINGS, connection=databases.connection, timeout=60.0)
    northbound = Northbound(settings, Tags("bench", "net-l3vpn", "bench"), lambda id: None)
    northbound.start()
    began = time.monotonic()
    plan = Plan(Mapping("net-l3vpn", settings))
    plan.put_service(vpn("v"))
    for number, address in enumerate(_addresses()):
        plan.put_port(port(attachment("v", f"{address}/16", interface=f"p{number}"), key=f"p{number}"))
    northbound.commit(plan.all_rows())
    took = time.monotonic() - began
    northbound.stop()
    return took


def _with_ovsdbapp(databases: OvnDatabases) -> float:
    with _ovsdbapp(databases) as northbound:
        northbound.ls_add("switch").execute(check_error=True)
        began = time.monotonic()
        with northbound.transaction(check_error=True) as transaction:
            for number, address in enumerate(_addresses()):
                known = [f"02:00:00:00:00:01 {address}"]
                transaction.add(
                    northbound.lsp_add("switch", f"p{number}", addresses=known, port_security=known)
                )
        return time.monotonic() - began


def _with_nbctl(databases: OvnDatabases) -> float:
    commands = ["ls-add", "switch"]
    for number, address in enumerate(_addresses()):
        known = f"02:00:00:00:00:01 {address}"
        commands += ["--", "lsp-add", "switch", f"p{number}"]
        commands += ["--", "lsp-set-addresses", f"p{number}", known]
        commands += ["--", "lsp-set-port-security", f"p{number}", known]
    began = time.monotonic()
    databases.nbctl(*commands)
    return time.monotonic() - began


_WAYS = {"gluon": _with_gluon, "ovsdbapp": _with_ovsdbapp, "ovn-nbctl": _with_nbctl}


def _addresses() -> Iterator[str]:
    return (f"10.0.{number // 250}.{number % 250 + 2}" for number in range(_PORTS))


@contextmanager
def _ovsdbapp(databases: OvnDatabases) -> Iterator[Any]:
    """ovsdbapp's own commands, on a connection of their own."""
    idl = connection.OvsdbIdl.from_server(databases.connection, "OVN_Northbound")
    made = connection.Connection(idl, 60)

    class Api(OvnNbApiIdlImpl):  # type: ignore[misc]  # ovsdbapp has no types
        # ovsdbapp keeps the first connection of a class for good.
        _ovsdb_connection = None

    api = Api(made)
    try:
        yield api
    finally:
        made.stop(10)
