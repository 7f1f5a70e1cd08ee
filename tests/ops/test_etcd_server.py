from __future__ import annotations

from pathlib import Path

import pytest

from gluon.ops.errors import CannotStart
from gluon.ops.etcd_server import etcd_command, etcd_environment, find_etcd


def program(directory: Path, version: str) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / "etcd"
    path.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\n")
    path.chmod(0o755)
    return path


def test_the_one_that_is_named_comes_before_the_one_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = program(tmp_path / "named", "3.5.30")
    monkeypatch.setenv("PATH", str(program(tmp_path / "path", "3.6.0").parent))
    monkeypatch.setenv("GLUON_ETCD", str(named))
    assert find_etcd().path == str(named)
    monkeypatch.delenv("GLUON_ETCD")
    assert find_etcd().path == str(tmp_path / "path" / "etcd")


def test_one_that_is_named_on_purpose_may_be_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLUON_ETCD", str(program(tmp_path, "3.5.1")))
    assert find_etcd().doubt


@pytest.mark.parametrize("version", ["3.3.25", "2.3.8"])
def test_one_that_is_too_old_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("GLUON_ETCD", str(program(tmp_path, version)))
    with pytest.raises(CannotStart, match=rf"is version {version}, too old: .*apt-get install etcd-server"):
        find_etcd()


@pytest.mark.parametrize(
    ("named", "why"),
    [("/no/such/etcd", "can't be run as etcd"), ("/bin/true", "doesn't answer as etcd does")],
)
def test_what_is_no_etcd_is_refused(monkeypatch: pytest.MonkeyPatch, named: str, why: str) -> None:
    monkeypatch.setenv("GLUON_ETCD", named)
    with pytest.raises(CannotStart, match=why):
        find_etcd()


def test_one_on_path_that_loses_writes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLUON_ETCD", raising=False)
    monkeypatch.setenv("PATH", f"{program(tmp_path, '3.5.1').parent}:/bin:/usr/sbin")
    monkeypatch.setattr("gluon.ops.etcd_server._fetched_into_checkout", lambda: None)
    with pytest.raises(CannotStart, match=r"etcd 3.5.1 can lose acknowledged writes.*GLUON_ETCD="):
        find_etcd()


def test_a_missing_etcd_is_refused_with_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLUON_ETCD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("gluon.ops.etcd_server._fetched_into_checkout", lambda: None)
    with pytest.raises(CannotStart, match="no etcd on this machine: install one") as refused:
        find_etcd()
    assert "\n" not in str(refused.value)


def test_settings_in_the_environment_do_not_reach_our_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_DATA_DIR", "/var/lib/etcd")
    monkeypatch.setenv("HOME", "/root")
    assert "ETCD_DATA_DIR" not in etcd_environment()
    assert etcd_environment()["HOME"] == "/root"


def test_our_etcd_listens_on_this_machine_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLUON_ETCD", str(program(tmp_path, "3.5.30")))
    command = etcd_command(find_etcd(), tmp_path, 1234, 1235)
    urls = [word for word in command if "http" in word]
    assert all("127.0.0.1" in url for url in urls)
