from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_NEEDED = ("bash", "dirname", "id", "mkdir", "flock", "env")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script, a list of one package whose file is `there`, and too few programs to fetch anything."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(_ROOT / "scripts/get-debian", tmp_path / "scripts")
    (tmp_path / "scripts/debian-packages").write_text(f"thing 1.2.* install {tmp_path}/there\n")
    (tmp_path / "bin").mkdir()
    for name in _NEEDED:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def get_debian(checkout: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts/get-debian", *names],
        env={"PATH": str(checkout / "bin"), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_is_there_is_left_alone_without_a_word(checkout: Path) -> None:
    (checkout / "there").touch()

    answer = get_debian(checkout, "thing")

    assert (answer.stdout, answer.stderr, answer.returncode) == ("", "", 0)
    assert not (checkout / ".tools").exists()


def test_what_was_unpacked_is_there(checkout: Path) -> None:
    unpacked = checkout / ".tools/debian" / str(checkout / "there").lstrip("/")
    unpacked.parent.mkdir(parents=True)
    unpacked.touch()

    assert get_debian(checkout, "thing").returncode == 0


def test_where_there_is_no_apt_it_says_which_version_to_install(checkout: Path) -> None:
    answer = get_debian(checkout, "thing")

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "this is no Debian" in answer.stderr
    assert "thing=1.2.*" in answer.stderr


def test_a_package_that_is_not_on_the_list_is_refused(checkout: Path) -> None:
    answer = get_debian(checkout, "other")

    assert answer.returncode == 1
    assert "other is not among the packages" in answer.stderr
