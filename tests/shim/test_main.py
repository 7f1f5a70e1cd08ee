"""`proton-shim-server` as a process: started wrongly, stopped, paused, killed, two of a name."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gluon.ops import leash
from servers.etcd import EtcdServer
from shim.relaying import Relaying, until

COMMAND = Path(sys.executable).with_name("proton-shim-server")
TESTS = Path(__file__).parents[1]
LEASH = Path(leash.__file__)


class Process:
    """A shim server that records its calls."""

    def __init__(self, directory: Path, etcd_url: str, prefix: str) -> None:
        self.directory = directory
        self.config = directory / "proton-shim.conf"
        self._url = urlsplit(etcd_url)
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        self.configure()

    def configure(self, **settings: Any) -> None:
        shim = {
            "name": "shim",
            "etcd_host": self._url.hostname,
            "etcd_port": self._url.port,
            "handlers": "net-l3vpn:shim.recording:RecordingBackend",
            "lease_ttl": 2,
            **settings,
        }
        lines = [f"{name} = {value}" for name, value in shim.items()]
        self.config.write_text("\n".join(["[shim]", *lines, "[etcd]", f"prefix = {self._prefix}", ""]))

    def start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(TESTS), "RECORD": str(self.directory / "calls")}
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # Not by preexec_fn: that forks, which gRPC's threads in this process don't survive.
                [sys.executable, "-I", "-S", LEASH, str(os.getpid()), COMMAND, "--config-file", self.config],
                stdout=log,
                stderr=log,
                env=environment,
            )
        return self._process

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, 20)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def calls(self) -> list[str]:
        file = self.directory / "calls"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()


@pytest.fixture
async def process(tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str) -> AsyncIterator[Process]:
    one = Process(tmp_path, etcd_server.url, etcd_prefix)
    yield one
    one.kill()


async def presence(relay: Relaying) -> dict[str, Any] | None:
    return await relay.value(relay.keys.controller("shim"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"handlers": ""}, "handlers is empty"),
        ({"handlers": "net-l3vpn:dumy"}, "there is no backend 'dumy'; did you mean dummy?"),
        ({"handlers": "net-l3vpn:no.such:Thing"}, "the backend 'no.such:Thing' can't be loaded"),
        ({"handlers": "net-l3vpn:shim.recording:Missing"}, "can't be loaded"),
        ({"etcd_port": "x"}, "etcd_port"),
    ],
)
async def test_a_bad_configuration_is_one_line_and_exit_code_1(
    process: Process, settings: dict[str, Any], says: str
) -> None:
    process.configure(**settings)
    process.start()
    assert await process.ended() == 1, process.log
    assert says in process.log
    assert process.log.startswith("proton-shim-server: ")
    assert process.log.count("\n") == 1


async def test_a_stop_takes_the_name_and_the_claims_away_at_once(relay: Relaying, process: Process) -> None:
    process.configure(lease_ttl=60)
    process.start()
    port = await relay.port()
    await relay.bind(port)
    await relay.answer(port)
    said = await until(lambda: presence(relay))
    assert said["hosts"] == ["*"]
    assert said["backend"] == "shim.recording:RecordingBackend"

    process.send(signal.SIGTERM)

    assert await process.ended() == 0, process.log
    assert await presence(relay) is None
    assert await relay.claims(port) == {}


async def test_a_second_one_of_the_same_name_is_refused_with_a_sentence(
    relay: Relaying, process: Process, tmp_path: Path, etcd_server: EtcdServer, etcd_prefix: str
) -> None:
    process.configure(lease_ttl=60)
    process.start()
    await until(lambda: presence(relay))
    (tmp_path / "second").mkdir()
    second = Process(tmp_path / "second", etcd_server.url, etcd_prefix)
    second.configure(lease_ttl=60)
    second.start()
    assert await second.ended() == 1, second.log
    assert "a shim server named shim is running already" in second.log
    assert "Traceback" not in second.log
    port = await relay.port()
    await relay.bind(port)
    await relay.answer(port)


async def test_killed_and_started_again_it_takes_its_name_at_once_and_misses_nothing(
    relay: Relaying, process: Process
) -> None:
    process.configure(lease_ttl=60)
    process.start()
    vpn, kept, gone = await relay.vpn(), await relay.port(), await relay.port()
    for port in (kept, gone):
        await relay.bind(port)
        await relay.answer(port)
    await relay.until_status("VpnService", vpn)
    process.kill()
    await relay.delete("Port", gone)
    await relay.delete("VpnService", vpn)
    asked = await relay.port()
    await relay.bind(asked)
    before = len(process.calls)

    process.start()

    await relay.answer(asked)
    await relay.until_forgotten("VpnService", vpn)
    await relay.until_forgotten("Port", gone)
    after = process.calls[before:]
    assert sorted(after) == sorted(
        [f"bind_port {asked}", f"unbind_port {gone}", f"delete_port {gone}", f"delete_service {vpn}"]
    )
    assert await relay.claims(kept) == {"compute-1": "shim"}


async def test_killed_at_any_moment_of_many_binds_each_is_answered_once_it_is_back(
    relay: Relaying, process: Process
) -> None:
    process.start()
    ports = [await relay.port() for _ in range(60)]
    for moment in (0.0, 0.02, 0.05):
        for port in ports:
            await relay.bind(port)
        await asyncio.sleep(moment)
        process.kill()
        process.start()
        for port in ports:
            await relay.answer(port)


async def test_paused_past_its_lease_it_answers_what_was_asked_meanwhile(
    relay: Relaying, process: Process
) -> None:
    process.start()
    old = await relay.port()
    await relay.bind(old)
    answer = await relay.answer(old)
    process.send(signal.SIGSTOP)
    port = await relay.port()
    await relay.bind(port)

    async def expired() -> bool:
        return await presence(relay) is None

    await until(expired, "the end of the lease")

    process.send(signal.SIGCONT)

    await relay.answer(port)

    async def claimed() -> bool:
        return await relay.claims(old) == {"compute-1": "shim"}

    await until(claimed, "the claim")
    assert await relay.answer(old) == answer
    assert process.calls.count(f"bind_port {old}") == 1
