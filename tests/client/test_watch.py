"""Watching with the SDK and with `--watch`, against a real server that comes and goes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest

from client.answering import Environ, answering, unused_url
from client.runner import PROTONCLIENT
from client.serving import ServerProcess
from gluon.client.errors import ClientError, InvalidFields, NotFound, ServerUnreachable
from gluon.client.sdk import Client, Proton
from gluon.client.session import ProtonSession
from gluon.client.watching import Change, Watching
from servers.etcd import EtcdServer

TENANT = "a868a466bca84df18404a77db0ecac72"
PATIENCE = 60
"""Seconds after which something that should come counts as missing, on however busy a machine."""

BIND_TIMEOUT = 45.0
"""Seconds. What keeps a server from stopping does so for as long."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, etcd_server: EtcdServer) -> Iterator[ServerProcess]:
    folder, prefix = tmp_path_factory.mktemp("server"), f"/watch-{uuid.uuid4().hex}"
    server = ServerProcess(folder, etcd_server.port, prefix, bind_timeout=BIND_TIMEOUT)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def l3vpn(running: ServerProcess) -> Iterator[Proton]:
    with Client(running.url) as client:
        proton = client.proton("net-l3vpn")
        yield proton
        for vpn in list(proton.list("vpns")):
            proton.delete("vpns", vpn["id"])
        # The next one's watches begin with what etcd has.
        relayed(running)


def relayed(running: ServerProcess) -> None:
    """Return when etcd has all that was written."""
    deadline = time.monotonic() + PATIENCE
    while httpx.get(f"{running.url}/healthcheck").json()["checks"]["relay"]["depth"]:
        assert time.monotonic() < deadline, "etcd still lacks something"
        time.sleep(0.02)


class Watched:
    """Changes as they come, from a thread that watches; it ends with the process."""

    def __init__(self, url: str, name: str, /, **arguments: Any) -> None:
        self.troubles: list[ClientError] = []
        self._queue: Queue[Change | ClientError] = Queue()
        self._url = url
        self._name = name
        self._arguments = arguments
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            with Client(self._url) as client:
                proton = client.proton("net-l3vpn")
                for change in proton.watch(self._name, on_trouble=self.troubles.append, **self._arguments):
                    self._queue.put(change)
        except ClientError as error:
            self._queue.put(error)

    def next(self) -> Change:
        """The next change."""
        change = self._queue.get(timeout=PATIENCE)
        assert isinstance(change, Change), change
        return change

    def until(self, type: str, key: str) -> list[Change]:
        """The changes up to this one."""
        changes = [self.next()]
        while (changes[-1].type, changes[-1].object["id"]) != (type, key):
            changes.append(self.next())
        return changes


def new(proton: Proton, name: str, **further: Any) -> dict[str, Any]:
    return proton.create("vpns", {"tenant_id": TENANT, "name": name, **further})


class TestSdk:
    def test_what_is_there_then_what_changes(self, running: ServerProcess, l3vpn: Proton) -> None:
        there = new(l3vpn, "a")
        relayed(running)
        watched = Watched(running.url, "vpns")
        first = watched.next()
        assert (first.type, first.object, first.last_event_id) == ("ADDED", there, None)
        changed = l3vpn.update("vpns", there["id"], {"name": "b"})
        second = watched.next()
        assert (second.type, second.object) == ("MODIFIED", changed) and second.last_event_id
        l3vpn.delete("vpns", there["id"])
        third = watched.next()
        assert (third.type, third.object) == ("DELETED", changed)
        again = Watched(running.url, "vpns", last_event_id=second.last_event_id)
        assert again.next().object == changed

    def test_filters_and_fields(self, running: ServerProcess, l3vpn: Proton) -> None:
        watched = Watched(running.url, "vpn", name="in", fields=["name", "description"])
        new(l3vpn, "out")
        inside = new(l3vpn, "in", description="d")
        assert watched.next().object == {"name": "in", "description": "d"}
        l3vpn.update("vpns", inside["id"], {"name": "gone"})
        gone = watched.next()
        assert (gone.type, gone.object) == ("DELETED", {"name": "in", "description": "d"})

    def test_a_server_that_is_restarted_or_killed_interrupts_nothing(
        self, running: ServerProcess, l3vpn: Proton
    ) -> None:
        watched = Watched(running.url, "vpns")
        known = new(l3vpn, "a")
        watched.until("ADDED", known["id"])
        began = time.monotonic()
        running.stop()
        # Streams don't keep a server from stopping.
        assert time.monotonic() - began < BIND_TIMEOUT / 2
        running.start()
        second = new(l3vpn, "b")
        assert watched.next().object == second
        running.kill()
        running.start()
        l3vpn.delete("vpns", known["id"])
        deleted = watched.next()
        assert (deleted.type, deleted.object["id"]) == ("DELETED", known["id"])
        assert all(isinstance(error, ClientError) for error in watched.troubles)

    def test_refusals_are_raised(self, running: ServerProcess, l3vpn: Proton) -> None:
        with pytest.raises(InvalidFields) as caught:
            next(l3vpn.watch("vpns", limit=1, nme="x"))
        assert {error.field for error in caught.value.errors} == {"limit", "nme"}
        with Client(running.url) as client, pytest.raises(NotFound):
            next(client.proton("net-l3vpn", "9.9").watch("vpns"))
        session = ProtonSession(unused_url())
        with pytest.raises(ServerUnreachable):
            next(iter(watching(session)))


def watching(session: ProtonSession, **further: Any) -> Watching:
    arguments: dict[str, Any] = {"key": "id", "fields": (), "last_event_id": None, "on_trouble": None}
    return Watching(session, "/things", [], **{**arguments, **further})


class TestRelist:
    """A server that says TOO_OLD: what was missed shows as differences."""

    STREAMS = [
        'event: ADDED\ndata: {"id": 1, "n": 1}\n\nevent: ADDED\ndata: {"id": 2, "n": 1}\n\n'
        'event: BOOKMARK\nid: c-5\ndata: {"snapshot_complete": true}\n\n'
        'event: ADDED\nid: c-6\ndata: {"id": 3, "n": 1}\n\n',
        'event: TOO_OLD\nid:\ndata: {"reason": "compacted"}\n\n',
        'event: ADDED\ndata: {"id": 2, "n": 2}\n\n',
        'event: ADDED\ndata: {"id": 2, "n": 2}\n\nevent: ADDED\ndata: {"id": 3, "n": 1}\n\n'
        'event: ADDED\ndata: {"id": 4, "n": 1}\n\n'
        'event: BOOKMARK\nid: c-9\ndata: {"snapshot_complete": true}\n\n'
        'event: DELETED\nid: c-10\ndata: {"id": 4, "n": 1}\n\n',
    ]

    def test_differences_are_told_and_nothing_twice(self) -> None:
        streams = list(self.STREAMS)
        asked: list[str | None] = []
        waits: list[float] = []

        def app(environ: Environ, start_response: Any) -> list[bytes]:
            asked.append(environ.get("HTTP_LAST_EVENT_ID"))
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return [streams.pop(0).encode()] if streams else []

        with answering(app) as url:
            session = ProtonSession(url)
            changes = iter(watching(session, sleep=waits.append))
            told = [next(changes) for _ in range(7)]
            session.close()
        assert [(c.type, c.object["id"], c.object["n"]) for c in told] == [
            ("ADDED", 1, 1), ("ADDED", 2, 1), ("ADDED", 3, 1),
            ("MODIFIED", 2, 2), ("ADDED", 4, 1), ("DELETED", 1, 1), ("DELETED", 4, 1),
        ]  # fmt: skip
        assert asked == [None, "c-6", None, None]
        assert len(waits) == 3


class TestCommand:
    def command(self, running: ServerProcess, *arguments: str) -> list[str]:
        return [PROTONCLIENT, "--url", running.url, "--api", "net-l3vpn", "vpn-list", "--watch", *arguments]

    def test_a_pipe_gets_a_line_of_json_for_each_change(self, running: ServerProcess, l3vpn: Proton) -> None:
        new(l3vpn, "out")
        vpn = new(l3vpn, "in")
        command = self.command(running, "-c", "id,name", "--name", "in")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stderr is not None
        try:
            assert json.loads(process.stdout.readline()) == {
                "type": "ADDED",
                "object": {"id": vpn["id"], "name": "in"},
            }
            l3vpn.delete("vpns", vpn["id"])
            assert json.loads(process.stdout.readline())["type"] == "DELETED"
            running.kill()
            said = process.stderr.readline()
            assert said.startswith("protonclient: ") and said.endswith("; trying again\n")
            running.start()
            again = new(l3vpn, "in")
            assert json.loads(process.stdout.readline())["object"]["id"] == again["id"]
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
            assert process.stderr.read() == ""
        finally:
            process.kill()
            process.communicate()

    def test_a_terminal_gets_rows(self, running: ServerProcess, l3vpn: Proton, tmp_path: Path) -> None:
        vpn = new(l3vpn, "a name that is too long for its column\x1b[31m")
        ours, theirs = pty.openpty()
        environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
        process = subprocess.Popen(self.command(running), stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        try:
            printed = b""
            while printed.count(b"\n") < 2:
                printed += os.read(ours, 65536)
            l3vpn.delete("vpns", vpn["id"])
            while printed.count(b"\n") < 3:
                printed += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        head, added, deleted = printed.decode().splitlines()
        assert head.split()[:3] == ["event", "id", "name"]
        assert added.split()[:2] == ["ADDED", vpn["id"]] and "a name that is too …" in added
        assert deleted.startswith("DELETED") and "\x1b" not in printed.decode()
        assert max(map(len, (head, added, deleted))) <= 100

    @pytest.mark.parametrize(
        ("format", "first", "second"),
        [
            ("csv", "event,name,description", 'ADDED,"a,b",'),
            ("value", "ADDED\ta,b\t", None),
            ("yaml", "---", "type: ADDED"),
        ],
    )
    def test_other_formats(
        self, running: ServerProcess, l3vpn: Proton, format: str, first: str, second: str | None
    ) -> None:
        new(l3vpn, "a,b")
        command = self.command(running, "-f", format, "-c", "name,description")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline().rstrip("\n") == first
            if second is not None:
                assert process.stdout.readline().rstrip("\n") == second
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
