"""The connection with the northbound database, and what is written over it, against a real one."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gluon.shim.backends.ovn.changes import Changes
from gluon.shim.backends.ovn.difference import Tags
from gluon.shim.backends.ovn.mapping import Mapping
from gluon.shim.backends.ovn.northbound import Northbound, NorthboundAway
from gluon.shim.backends.ovn.options import OvnSettings
from gluon.shim.backends.ovn.plan import Plan
from gluon.shim.backends.ovn.rows import Kind, Row, RowId
from gluon.shim.backends.ovn.writer import Writer
from gluon.shim.errors import TemporaryError
from servers.certificates import Certificates
from servers.etcd import free_ports
from servers.ovn import OvnDatabases
from shim.ovn.wishing import SETTINGS, attachment, port, vpn


@contextmanager
def _connected(connection: str, controller: str = "one", **settings: object) -> Iterator[Northbound]:
    made: OvnSettings = replace(SETTINGS, connection=connection, **{"timeout": 5.0} | settings)  # type: ignore[arg-type]
    northbound = Northbound(made, Tags("gluon", "net-l3vpn", controller), lambda id: None)
    try:
        northbound.start()
        yield northbound
    finally:
        northbound.stop()


def _plan(ports: int, prefix: str = "p") -> Plan:
    plan = Plan(Mapping("net-l3vpn", SETTINGS))
    plan.put_service(vpn("v"))
    for number in range(ports):
        address = f"10.0.{number // 250}.{number % 250 + 2}/16"
        key = f"{prefix}{number}"
        plan.put_port(port(attachment("v", address, interface=key), key=key))
    return plan


def test_what_is_there_already_is_not_written_again(databases: OvnDatabases) -> None:
    plan = _plan(3)
    with _connected(databases.connection) as northbound:
        assert northbound.commit(plan.all_rows())
        assert northbound.ids() == plan.all_rows().keys()
        assert not northbound.commit(plan.all_rows())
    # Nor by one that was started anew.
    with _connected(databases.connection, "two") as northbound:
        assert not northbound.commit(plan.all_rows())


def test_two_that_make_the_same_at_once_end_with_one_of_each(databases: OvnDatabases) -> None:
    plan = _plan(2)
    rows = plan.all_rows()
    switch = next(id for id in rows if id.kind is Kind.SUBNET)
    with _connected(databases.connection) as northbound:
        northbound.commit(rows)
        # What a race between two leaves: names of switches may be there twice.
        settings = [f'external_ids:"gluon:{tag}"="{text}"' for tag, text in _tags(switch).items()]
        databases.nbctl("ls-add", "twin", "--", "set", "Logical_Switch", "twin", *settings)
        _until(lambda: bool(northbound.differing(rows)))

        assert northbound.differing(rows) == {switch}
        for _ in range(3):
            northbound.commit(rows)

        assert northbound.differing(rows) == set()
    assert len(databases.rows("Logical_Switch", "name")) == 1
    assert len(databases.rows("Logical_Switch_Port", "name")) == 3


def _tags(id: RowId) -> dict[str, str]:
    return {"owner": "gluon", "service": "net-l3vpn", "row": str(id)}


async def test_a_thousand_ports_go_in_one_transaction(
    databases: OvnDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(1000)
    # How long that takes is for the bench to say; here it may take as long as a busy machine needs.
    with _connected(databases.connection, timeout=90.0) as northbound:
        batches: list[int] = []
        commit = northbound.commit

        def counted(wanted: dict[RowId, Row | None]) -> Changes:
            batches.append(len(wanted))
            return commit(wanted)

        monkeypatch.setattr(northbound, "commit", counted)
        writer = Writer(northbound, plan.wanted, 1000)
        await asyncio.gather(*(writer.write(plan.rows_of_port(f"p{number}")) for number in range(1000)))
        assert len(batches) == 1
        # What they share is in it once.
        assert batches[0] == len(plan.all_rows())

        await asyncio.gather(*(writer.write(plan.rows_of_port(f"p{number}")) for number in range(250)))
        assert len(batches) == 2
        await writer.close()

    assert len(databases.rows("Logical_Switch_Port", "name")) == 1001


async def test_a_bad_one_fails_alone(databases: OvnDatabases) -> None:
    databases.nbctl("ls-add", "theirs", "--", "lsp-add", "theirs", "p3")
    plan = _plan(6)
    with _connected(databases.connection) as northbound:
        writer = Writer(northbound, plan.wanted, 1000)
        outcomes = await asyncio.gather(
            *(writer.write(plan.rows_of_port(f"p{number}")) for number in range(6)), return_exceptions=True
        )
        assert [isinstance(outcome, TemporaryError) for outcome in outcomes] == [n == 3 for n in range(6)]
        assert "isn't Gluon's" in str(outcomes[3])
        assert RowId(Kind.INTERFACE, "p3") in writer.failed

        databases.nbctl("ls-del", "theirs")
        await writer.write(writer.failed)
        assert writer.failed == set()
        await writer.close()


def test_a_database_that_comes_back_is_found(databases: OvnDatabases) -> None:
    with _connected(databases.connection) as northbound:
        databases.kill()
        _until(lambda: not northbound.is_connected)
        with pytest.raises(NorthboundAway):
            northbound.commit(_plan(1).all_rows())

        databases.start()
        _until(lambda: northbound.is_connected)
        assert northbound.commit(_plan(1).all_rows())


def test_tls(databases: OvnDatabases, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certificates")
    (number,) = free_ports(1)
    certificate, key = certificates.server
    databases.kill()
    databases.start(
        *(f"--remote=pssl:{number}:127.0.0.1", f"--private-key={key}", f"--certificate={certificate}"),
        f"--ca-cert={certificates.ca}",
    )
    own, own_key = certificates.client("shim")
    files = {"private_key": str(own_key), "certificate": str(own), "ca_cert": str(certificates.ca)}

    with _connected(f"ssl:127.0.0.1:{number}", **files) as northbound:
        assert northbound.commit(_plan(1).all_rows())
        assert northbound.version.count(".") == 2


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NorthboundAway) as away:
        with _connected(f"unix:{tmp_path}/nothing.sock"):
            pass
    assert str(away.value)


def test_a_database_that_hangs_holds_nobody_up_for_long(databases: OvnDatabases) -> None:
    rows = _plan(1).all_rows()
    with _connected(databases.connection, timeout=0.5) as northbound:
        databases.send(signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(NorthboundAway):
                northbound.commit(rows)
        assert time.monotonic() - began < 5
        databases.send(signal.SIGCONT)

        _until(lambda: not northbound.differing(rows))
        assert not northbound.commit(rows)


def test_ports_of_other_shims_hosts_are_left_to_them(databases: OvnDatabases) -> None:
    theirs, ours = _plan(2), Plan(Mapping("net-l3vpn", SETTINGS))
    ours.put_service(vpn("v"))
    for number in range(2):
        wish = theirs.port(f"p{number}")
        assert wish is not None
        ours.put_port(replace(wish, ours=False))
    interface = RowId(Kind.INTERFACE, "p0")

    with _connected(databases.connection) as northbound:
        northbound.commit(ours.all_rows())
        # What all share is there, their ports aren't, and nobody misses them.
        assert interface not in northbound.ids()
        assert RowId(Kind.GATEWAY, "v/10.0.0.0/16") in northbound.ids()
        assert northbound.differing(ours.all_rows()) == set()
        with _connected(databases.connection, "other") as other:
            other.commit(theirs.all_rows())
        _until(lambda: interface in northbound.ids())
        assert northbound.differing(ours.all_rows()) == set()
        # But for all that is gone, whoever made it.
        ours.drop_port("p0")
        northbound.commit(ours.wanted([interface]))
        assert interface not in northbound.ids()


def _until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)
