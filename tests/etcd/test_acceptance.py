"""An etcd of a version that loses writes is refused, by whichever of its members that is seen."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gluon.etcd.acceptance import UnsafeVersion, refuse_unsafe_version
from gluon.etcd.client import Etcd
from servers.etcd import EtcdServer, free_ports
from servers.etcd_version import member_of_version


async def accepted(*urls: str, allowed: bool = False) -> bool:
    client = Etcd(urls)
    try:
        return await refuse_unsafe_version(client, allowed=allowed)
    finally:
        await client.close()


async def test_the_etcd_that_tests_use_is_accepted(etcd_server: EtcdServer) -> None:
    assert await accepted(etcd_server.url)


@pytest.mark.parametrize("version", ["3.3.27", "3.5.1"])
async def test_an_unsafe_version_is_refused_with_those_that_will_do(version: str) -> None:
    async with member_of_version(version) as url:
        with pytest.raises(UnsafeVersion, match=rf"{url}.*{version}.*use 3\.4\.22 or later") as caught:
            await accepted(url)
    assert "allow_unsafe_version" in str(caught.value)


async def test_one_unsafe_member_is_enough() -> None:
    async with member_of_version("3.5.30") as good, member_of_version("3.5.0") as bad:
        with pytest.raises(UnsafeVersion, match=r"3\.5\.0"):
            await accepted(good, bad)


async def test_it_can_be_allowed_for_a_trial() -> None:
    async with member_of_version("3.5.1") as url:
        assert await accepted(url, allowed=True)


async def test_of_an_etcd_that_is_away_nothing_is_known() -> None:
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert not await accepted(away)
    async with member_of_version("3.5.30") as url:
        assert await accepted(away, url)


@pytest.mark.parametrize(
    ("program", "settings"),
    [
        ("proton-server", "[api]\nport = 0\n[database]\nconnection = sqlite:///{folder}/gluon.sqlite\n"),
        ("proton-shim-server", "[shim]\nhandlers = *:dummy\n"),
    ],
)
async def test_server_and_shim_refuse_it_at_the_start(tmp_path: Path, program: str, settings: str) -> None:
    async with member_of_version("3.5.1") as url:
        file = tmp_path / "some.conf"
        file.write_text(f"{settings.format(folder=tmp_path)}[etcd]\nendpoints = {url}\n")
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name(program)), "--config-file", str(file)),
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), 30)
        except TimeoutError:
            process.kill()
            raise
    assert process.returncode == 1
    last = said.decode().splitlines()[-1]
    assert last.startswith(f"{program}: etcd at {url} is refused: etcd 3.5.1")
    assert "3.4.22 or later" in last
