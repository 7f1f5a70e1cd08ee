"""Whatever a client sends: its dry run answers what the request itself answers then, and changes nothing."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluon.model.catalog import load_catalog
from servers.etcd import EtcdServer
from system.effort import FACTOR, effort
from system.hostile_requests import HostileRequest, requests
from system.test_random_requests import JSON, PORT, TENANT, listening
from system.wire import PATIENCE, Answer, Wire

MODEL = load_catalog(None).newest("test")
ROOT = f"/proton/test/{MODEL.version_id}"
KEYS = tuple(str(uuid.UUID(int=n)) for n in range(1, 4))
WRITES = ("POST", "PUT", "PATCH", "DELETE")
UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
OF_THE_MOMENT = re.compile(r'"(created_at|updated_at|request_id)":"[^"]*"')


class Installation:
    """A server with bind requests that nobody answers, and all that it keeps."""

    def __init__(self, wire: Wire, database: Path, etcd: EtcdServer, prefix: str) -> None:
        self.wire = wire
        self._database = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        self._etcd = etcd
        self._prefix = prefix

    def everything(self) -> tuple[Any, ...]:
        """All rows of all tables, and all keys of etcd with their revisions, once the outbox is empty."""
        deadline = time.monotonic() + PATIENCE
        while self._database.execute("SELECT count(*) FROM gluon_outbox").fetchone() != (0,):
            assert time.monotonic() < deadline, "the outbox doesn't empty itself"
            time.sleep(0.005)
        tables = [n for (n,) in self._database.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        rows = {n: sorted(map(repr, self._database.execute(f'SELECT * FROM "{n}"'))) for n in tables}
        return rows, self._in_etcd()

    def _in_etcd(self) -> Any:
        first, behind = f"{self._prefix}/".encode(), f"{self._prefix}0".encode()
        wanted = {"key": b64encode(first).decode(), "range_end": b64encode(behind).decode()}
        url = f"{self._etcd.url}/v3/kv/range"
        with urllib.request.urlopen(url, json.dumps(wanted).encode(), timeout=PATIENCE) as answer:
            return json.load(answer)["kvs"]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, etcd_server: EtcdServer) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("dry")
    config, log, prefix = folder / "proton.conf", folder / "log", f"/dry-{uuid.uuid4().hex}"
    lines = [
        *("[api]", "port = 0", "service_list = test", "bind_timeout = 0", f"etcd_port = {etcd_server.port}"),
        *("[etcd]", f"prefix = {prefix}", "[database]", f"connection = sqlite:///{folder}/gluon.sqlite"),
    ]
    config.write_text("\n".join(lines))
    command = [str(Path(sys.executable).with_name("proton-server")), "--config-file", str(config)]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
        try:
            wire = Wire(*listening(log, process))
            bodies: tuple[tuple[str, dict[str, Any]], ...] = (
                ("tests", {"id": KEYS[0]}),
                ("ports", {"id": KEYS[0], **PORT}),
                ("ports", {"id": KEYS[1], **PORT}),
                ("TestBindings", {"interface_id": KEYS[0], "service_id": KEYS[0]}),
            )
            for plural, body in bodies:
                text = json.dumps({"tenant_id": TENANT, **body}).encode()
                assert wire.send("POST", f"{ROOT}/{plural}", JSON, text).status == 201
            yield Installation(wire, folder / "gluon.sqlite", etcd_server, prefix)
        finally:
            process.terminate()
            process.wait(30)
    assert "Traceback" not in log.read_text()


@st.composite
def sound_writes(draw: st.DrawFn) -> HostileRequest:
    """Writes that have a chance: of objects that may be there, with values that may be right."""
    key = st.sampled_from(KEYS)
    values: dict[str, st.SearchStrategy[Any]] = {
        "tests": st.fixed_dictionaries(
            {"tenant_id": st.just(TENANT)},
            optional={"name": st.sampled_from(["a", "b", "", None]), "int_num": st.integers(0, 2)},
        ),
        "ports": st.fixed_dictionaries(
            {"tenant_id": st.just(TENANT), **{name: st.just(value) for name, value in PORT.items()}},
            optional={
                "id": key,
                "name": st.sampled_from(["a", None]),
                "host_id": st.sampled_from(["compute-1", "compute-1", "compute-2", "", None]),
                "device_id": st.sampled_from([KEYS[0], KEYS[0], None]),
            },
        ),
        "interfaces": st.fixed_dictionaries(
            {"tenant_id": st.just(TENANT), "port_id": key},
            optional={"segmentation_type": st.just("vlan"), "segmentation_id": st.integers(1, 2)},
        ),
        "TestBindings": st.fixed_dictionaries(
            {"tenant_id": st.just(TENANT), "interface_id": key, "service_id": key}
        ),
    }
    plural = draw(st.sampled_from(["ports", "ports", "ports", *sorted(values)]))
    method = draw(st.sampled_from(["POST", "POST", "PUT", "PUT", "PATCH", "DELETE"]))
    collection = f"{ROOT}/{plural}"
    if method == "POST":
        bodies = st.one_of(values[plural], st.lists(values[plural], max_size=3).map(lambda b: {plural: b}))
        body = draw(bodies)
        if plural not in body and draw(st.booleans()):
            body["id"] = draw(key)
        return HostileRequest(method, collection, JSON, json.dumps(body).encode())
    member = f"{collection}/{draw(key)}"
    guard = draw(st.sampled_from([{}, {}, {"If-Match": '"1"'}, {"If-Match": "*"}]))
    if method == "DELETE":
        return HostileRequest(method, member + draw(st.sampled_from(["", "?cascade=true"])), guard)
    whole = draw(values[plural])
    fixed = {"id", "tenant_id", "interface_id", "port_id"}
    names = st.sampled_from(sorted(whole.keys() - fixed) or sorted(whole))
    part = {name: whole[name] for name in draw(st.lists(names, unique=True, max_size=3))}
    if "host_id" in whole and draw(st.booleans()):
        part |= {name: whole[name] for name in ("host_id", "device_id") if name in whole}
    return HostileRequest(method, member, {**JSON, **guard}, json.dumps(part).encode())


def rehearsal_of(request: HostileRequest) -> HostileRequest:
    path = f"{request.path}{'&' if '?' in request.path else '?'}dry_run=true"
    return HostileRequest(request.method, path, request.headers, request.body)


def comparable(answer: Answer, known: str, *, settled: bool) -> tuple[Any, ...]:
    """What two answers have in common that say the same: without times, and keys that were made up.

    A port as it is committed becomes one whose bind nobody answered, which the wait would have made of it.
    """
    text = OF_THE_MOMENT.sub("", answer.body.decode())
    names = {found: "made up" for found in UUID.findall(text) if found not in known}
    location, etag = answer.headers.get("location"), answer.headers.get("etag")
    for found, name in names.items():
        text = text.replace(found, name)
        location = location and location.replace(found, name)
    if settled:
        text = re.sub(r'"vif_type":(null|"binding_failed")', "", text)
        text, etag = re.sub(r'"revision_number":\d+', "", text), None
    return answer.status, answer.media_type, text, etag, location


@pytest.mark.timeout(300 * FACTOR)
@effort(30)
@given(data=st.data())
def test_a_dry_run_answers_as_the_request_does_and_changes_nothing(
    installation: Installation, data: st.DataObject
) -> None:
    hostile = requests(MODEL, KEYS).filter(lambda r: r.method in WRITES and "dry_run" not in r.path)
    # Not by one_of, which would take the same strategy five times for once.
    writes = st.sampled_from([sound_writes()] * 5 + [hostile]).flatmap(lambda chosen: chosen)
    for request in data.draw(st.lists(writes, min_size=10, max_size=15)):
        rehearsal = rehearsal_of(request)
        before = installation.everything()
        dry = installation.wire.send(rehearsal.method, rehearsal.path, rehearsal.headers, rehearsal.body)
        assert installation.everything() == before, rehearsal
        real = installation.wire.send(request.method, request.path, request.headers, request.body)
        known = request.path + request.body.decode("latin-1") + " ".join(KEYS) + TENANT
        bound = b'"vif_type":"binding_failed"' in real.body
        answers = [comparable(a, known, settled=bound) for a in (dry, real)]
        assert answers[0] == answers[1], f"{request}: {dry} {real}"
