"""Whatever a client sends: never a server error, for each refusal a reason, and nothing stored by one."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluon.model.catalog import load_catalog
from servers.etcd import EtcdServer
from system.effort import FACTOR, effort
from system.hostile_requests import requests
from system.wire import PATIENCE, Answer, Wire, read_answer

MODEL = load_catalog(None).newest("test")
ROOT = f"/proton/test/{MODEL.version_id}"
TENANT = "a868a466bca84df18404a77db0ecac72"
KEYS = tuple(str(uuid.UUID(int=n)) for n in range(1, 4))
JSON = {"Content-Type": "application/json"}
SOUND = json.dumps({"tenant_id": TENANT}).encode()


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory, etcd_server: EtcdServer) -> Iterator[Wire]:
    """The real command with a few objects; its log must not speak of mistakes of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    config, log = folder / "proton.conf", folder / "log"
    config.write_text(
        f"""
[api]
port = 0
service_list = test
bind_timeout = 0.1
etcd_port = {etcd_server.port}
[etcd]
prefix = /hostile-{uuid.uuid4().hex}
[database]
connection = sqlite:///{folder}/gluon.sqlite
"""
    )
    command = [str(Path(sys.executable).with_name("proton-server")), "--config-file", str(config)]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
        try:
            wire = Wire(*listening(log, process))
            bodies: tuple[tuple[str, dict[str, Any]], ...] = (
                ("tests", {"id": KEYS[0]}),
                ("ports", {"id": KEYS[1], **PORT}),
                ("TestBindings", {"interface_id": KEYS[1], "service_id": KEYS[0]}),
            )
            for plural, body in bodies:
                text = json.dumps({"tenant_id": TENANT, **body}).encode()
                assert wire.send("POST", f"{ROOT}/{plural}", JSON, text).status == 201
            yield wire
        finally:
            process.terminate()
            process.wait(30)
    assert "Traceback" not in log.read_text()


PORT = {
    "mac_address": "c8:2a:14:04:43:80",
    "admin_state_up": True,
    "status": "ACTIVE",
    "vnic_type": "normal",
    "mtu": 1500,
    "vlan_transparency": True,
}


def listening(log: Path, process: subprocess.Popen[bytes]) -> tuple[str, int]:
    """Where the server says that it listens."""
    while process.poll() is None:
        if found := re.search(r"listening on ([\d.]+):(\d+)", log.read_text()):
            return found[1], int(found[2])
    raise AssertionError(log.read_text())


def stored(wire: Wire) -> dict[str, Any]:
    """All that there is."""
    lists = {o.plural: wire.send("GET", f"{ROOT}/{o.plural}") for o in MODEL.objects.values()}
    return {plural: answer.document for plural, answer in lists.items()}


def assert_answered(answer: Answer, what: object) -> None:
    """No server error, and for a refusal a problem document that is about it."""
    assert 200 <= answer.status < 500, f"{what}: {answer}"
    if answer.status < 400:
        return
    assert answer.media_type == "application/problem+json", f"{what}: {answer}"
    if answer.body:  # there is none for HEAD
        problem = answer.document
        assert problem["status"] == answer.status and problem["detail"] and problem["request_id"]


@pytest.mark.timeout(300 * FACTOR)
@effort(40)
@given(data=st.data())
def test_any_request_is_answered_and_a_refused_one_changes_nothing(wire: Wire, data: st.DataObject) -> None:
    before = stored(wire)
    for request in data.draw(st.lists(requests(MODEL, KEYS), min_size=10, max_size=20)):
        answer = wire.send(request.method, request.path, request.headers, request.body)
        assert_answered(answer, request)
        if answer.status < 400 and request.method not in ("GET", "HEAD", "OPTIONS"):
            before = stored(wire)
    assert stored(wire) == before


@pytest.mark.timeout(300 * FACTOR)
@effort(200)
@given(st.binary(max_size=100))
def test_any_bytes_are_answered_or_hung_up_on(wire: Wire, content: bytes) -> None:
    answer = wire.exchange(content + b"\r\n\r\n", half_close=True)
    if answer.status:
        assert_answered(answer, content)


def post(body: bytes, *headers: bytes, path: str = "tests") -> bytes:
    lines = [b"POST " + f"{ROOT}/{path}".encode() + b" HTTP/1.1", b"Host: a", *headers, b"", body]
    return b"\r\n".join(lines)


LENGTH = b"Content-Length: %d" % len(SOUND)
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "request_text",
    [
        pytest.param(post(SOUND, b"Content-Length: -5"), id="negative length"),
        pytest.param(post(SOUND, b"Content-Length: 5x"), id="length that is no number"),
        pytest.param(post(SOUND, LENGTH, b"Content-Length: 3"), id="two lengths"),
        pytest.param(post(SOUND, LENGTH, CHUNKED), id="length and chunks"),
        pytest.param(post(b"zz\r\n" + SOUND, CHUNKED), id="chunk without a size"),
        pytest.param(post(b"f" * 20 + b"\r\n" + SOUND, CHUNKED), id="chunk of any size"),
        pytest.param(post(SOUND, LENGTH, b"X-A: \x00"), id="NUL in a header"),
        pytest.param(post(SOUND, LENGTH, b"X-A : b"), id="space in a header's name"),
        pytest.param(post(SOUND, LENGTH, b"X-A: b\r\n c"), id="folded header"),
        pytest.param(post(SOUND, LENGTH, b"Content-Encoding: gzip"), id="encoded content"),
        pytest.param(post(SOUND, LENGTH, b"Content-Type: text/plain"), id="no JSON"),
        pytest.param(post(SOUND, LENGTH).replace(b"HTTP/1.1", b"HTTP/9.9"), id="HTTP of another time"),
        pytest.param(post(SOUND, LENGTH).replace(b"\r\n", b"\n"), id="lines that end with LF alone"),
        pytest.param(post(SOUND, LENGTH, path="t\xff"), id="path that is not ASCII"),
        pytest.param(post(SOUND, LENGTH, path="x" * 70000), id="path of 70,000 characters"),
        pytest.param(post(SOUND, LENGTH, path="tests?a=" + "b" * 60000), id="query of 60,000 characters"),
        pytest.param(post(SOUND, LENGTH, b"Host: b"), id="two hosts"),
        pytest.param(post(SOUND, LENGTH, b"Host: a"), id="the same host twice"),
        pytest.param(post(SOUND, LENGTH).replace(b"Host: a\r\n", b""), id="no host"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x00\xc8\x01\x00\r\n\r\n", id="TLS"),
    ],
)
def test_what_is_not_quite_http_is_refused(wire: Wire, request_text: bytes) -> None:
    before = stored(wire)
    answer = wire.exchange(request_text)
    assert_answered(answer, request_text[:200])
    assert answer.status >= 400
    assert stored(wire) == before


@pytest.mark.parametrize(
    "cut_short",
    [
        pytest.param(post(SOUND, b"Content-Length: %d" % (len(SOUND) + 1)), id="of a known length"),
        pytest.param(post(b"%x\r\n%s\r\n" % (len(SOUND), SOUND), CHUNKED), id="in chunks"),
    ],
)
def test_a_body_that_ends_early_stores_nothing(wire: Wire, cut_short: bytes) -> None:
    before = stored(wire)
    # What was sent is a whole object by itself, but not all that the client had to say.
    assert wire.exchange(cut_short, half_close=True).status == 0
    assert stored(wire) == before


def test_a_slow_body_is_waited_for_and_others_are_served_meanwhile(wire: Wire) -> None:
    request = post(SOUND, LENGTH)
    with socket.create_connection(wire.address, timeout=PATIENCE) as slow:
        for byte in request[:-1]:
            slow.sendall(bytes([byte]))
        assert wire.send("GET", f"{ROOT}/tests").status == 200
        slow.sendall(request[-1:])
        assert read_answer(slow).status == 201


def test_requests_in_a_row_on_one_connection_are_answered_in_their_order(wire: Wire) -> None:
    with socket.create_connection(wire.address, timeout=PATIENCE) as connection:
        known = len(stored(wire)["tests"]["tests"])
        missing = f"GET {ROOT}/nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        connection.sendall(post(SOUND, LENGTH) * 5 + missing)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"201"] * 5 + [b"404"]
    assert len(stored(wire)["tests"]["tests"]) == known + 5


def test_a_refused_body_is_never_taken_for_the_next_request(wire: Wire) -> None:
    hidden = f"DELETE {ROOT}/ports/{KEYS[1]}?cascade=true HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    before = stored(wire)
    answer = wire.exchange(post(hidden, b"Content-Length: %d" % len(hidden), path="tests?x=1"))
    assert answer.status == 400
    assert stored(wire) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"tenant_id":"%s","name":"\\ud834\\udd1e"}' % TENANT.encode(), 201),
        (b'{"tenant_id":"%s","name":"\\ud834"}' % TENANT.encode(), 400),
        (b'{"tenant_id":"%s","name":"\\u0000"}' % TENANT.encode(), 422),
        (b'{"tenant_id":"%s","int_num":%s}' % (TENANT.encode(), b"1" * 5000), 400),
        (b"[" * 1_000_000, 400),
        (b'{"x":' + b"[" * 300 + b"]" * 300 + b"}", 422),
        (b'{"a":"' + b"x" * 17_000_000 + b'"}', 413),
    ],
    ids=["surrogate pair", "half of one", "NUL", "5,000 digits", "a million deep", "300 deep", "17 MB"],
)
def test_odd_bodies(wire: Wire, body: bytes, status: int) -> None:
    answer = wire.send("POST", f"{ROOT}/tests", JSON, body)
    assert_answered(answer, body[:200])
    assert answer.status == status


@pytest.mark.parametrize("host", ["b\xfccher", "a:b:c", "a:99999", '"><script>', "", "[::1", "x" * 300])
def test_a_host_that_is_none_gets_into_no_link(wire: Wire, host: str) -> None:
    before = stored(wire)
    for answer in (
        wire.send("GET", f"{ROOT}/docs", {"Host": host}),
        wire.send("GET", f"{ROOT}/openapi.json", {"Host": host}),
        wire.send("POST", f"{ROOT}/tests", {**JSON, "Host": host}, SOUND),
    ):
        assert_answered(answer, host)
        assert answer.status == 400
    assert stored(wire) == before


def test_links_begin_as_the_server_was_called(wire: Wire) -> None:
    for host in ("gluon.example", "[2001:db8::1]:8080", "10.0.0.1:1"):
        links = wire.send("GET", "/", {"Host": host}).document["default_version"]["links"]
        assert links == [{"href": f"http://{host}/proton", "rel": "self"}]
