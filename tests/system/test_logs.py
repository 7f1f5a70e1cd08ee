"""What the commands log: as text or as JSON, with the ids of requests, and the audit in a file of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proton.serving import TENANT
from servers.etcd import EtcdServer
from system.test_random_requests import listening
from system.wire import Wire

VPNS = "/proton/net-l3vpn/v1.0/vpns"
BODY = json.dumps({"tenant_id": TENANT, "name": "blue"}).encode()
JSON = {"Content-Type": "application/json"}


@dataclass
class Served:
    wire: Wire
    log: Path
    pid: int

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was logged so far, as JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def proton_server(folder: Path, etcd: EtcdServer, *settings: str) -> Iterator[Served]:
    config, log = folder / "proton.conf", folder / "log"
    lines = [
        *("[api]", "port = 0", "bind_timeout = 0.1", f"etcd_port = {etcd.port}"),
        *("[etcd]", f"prefix = /logs-{uuid.uuid4().hex}"),
        *("[database]", f"connection = sqlite:///{folder}/gluon.sqlite", *settings),
    ]
    config.write_text("\n".join(lines))
    command = [str(Path(sys.executable).with_name("proton-server")), "--config-file", str(config)]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
        try:
            yield Served(Wire(*listening(log, process)), log, process.pid)
        finally:
            process.terminate()
            process.wait(30)


def test_json_lines_name_the_request_that_they_belong_to(tmp_path: Path, etcd_server: EtcdServer) -> None:
    request_id = f"req-{uuid.uuid4()}"
    audit = tmp_path / "audit.log"
    settings = ("[log]", "format = json", "access = true", "[audit]", f"file = {audit}")
    with proton_server(tmp_path, etcd_server, *settings) as served:
        headers = {**JSON, "X-Openstack-Request-Id": request_id}
        answer = served.wire.send("POST", VPNS, headers, BODY)
        assert answer.status == 201
        served.wire.send("GET", f"{VPNS}?name=secret")
    of_request = [line for line in served.lines if line.get("request_id") == request_id]
    (access,) = [line for line in of_request if line["logger"] == "gluon.access"]
    assert access["pid"] == served.pid and access["level"] == "INFO"
    said = access["data"]
    assert (said["method"], said["path"], said["status"]) == ("POST", VPNS, 201)
    assert said["bytes"] == len(answer.body) and said["milliseconds"] > 0
    assert (said["user"], said["address"]) == (None, "127.0.0.1")
    assert "secret" not in served.log.read_text()

    (line,) = [json.loads(text) for text in audit.read_text().splitlines()]
    assert (line["request_id"], line["action"], line["key"]) == (request_id, "create", answer.document["id"])
    assert audit.stat().st_mode & 0o777 == 0o640
    assert not [line for line in served.lines if line["logger"] == "gluon.audit"]


def test_without_a_file_of_its_own_the_audit_is_in_the_log(tmp_path: Path, etcd_server: EtcdServer) -> None:
    with proton_server(tmp_path, etcd_server) as served:
        answer = served.wire.send("POST", VPNS, JSON, BODY)
        served.wire.send("GET", VPNS)
    (text,) = [line for line in served.log.read_text().splitlines() if " gluon.audit " in line]
    found = re.fullmatch(rf"\S+ \S+ {served.pid} INFO gluon\.audit \[(req-\S+)\]: (.*)", text)
    assert found is not None
    line = json.loads(found[2])
    assert line["key"] == answer.document["id"] and line["request_id"] == found[1]
    assert "gluon.access" not in served.log.read_text()


def test_an_audit_file_that_can_not_be_opened_keeps_the_server_from_starting(
    tmp_path: Path, etcd_server: EtcdServer
) -> None:
    missing = tmp_path / "missing" / "audit.log"
    with pytest.raises(AssertionError, match=rf"\[audit\] file {re.escape(str(missing))}: No such file"):
        with proton_server(tmp_path, etcd_server, "[audit]", f"file = {missing}"):
            pass


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), {"INFO"}),
        (("log_level = ERROR",), set()),
        (("log_level = ERROR", "[log]", "level = INFO"), {"INFO"}),
    ],
)
def test_a_shim_logs_from_the_level_on_that_it_was_told(
    tmp_path: Path, etcd_server: EtcdServer, settings: tuple[str, ...], expected: set[str]
) -> None:
    config = tmp_path / "shim.conf"
    lines = [
        *("[etcd]", f"prefix = /logs-{uuid.uuid4().hex}"),
        *("[shim]", f"etcd_port = {etcd_server.port}", "handlers = *:dummy", *settings),
    ]
    config.write_text("\n".join([*lines, "[log]", "format = json"]))
    command = [str(Path(sys.executable).with_name("proton-shim-server")), "--config-file", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            levels = {json.loads(process.stderr.readline())["level"]} if expected else set()
        finally:
            process.terminate()
            rest = process.stderr.read()
    assert levels == expected
    assert {json.loads(line)["level"] for line in rest.splitlines()} <= expected
