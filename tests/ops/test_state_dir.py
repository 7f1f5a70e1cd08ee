from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gluon.ops.errors import CannotStart
from gluon.ops.state_dir import StateDir, default_state_dir


def test_a_state_directory_serves_one_at_a_time(tmp_path: Path) -> None:
    first = StateDir(tmp_path / "state")
    with pytest.raises(CannotStart, match=rf"in use by another gluon up \(pid {os.getpid()}\)"):
        StateDir(tmp_path / "state")
    first.release()
    StateDir(tmp_path / "state").release()


def test_what_is_written_is_for_its_owner_only(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    path = state.write("proton.conf", "secret")
    state.release()
    assert path.read_text() == "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_directory_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="can't be used as state directory"):
        StateDir(tmp_path / "file" / "state")


def test_the_default_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir() == tmp_path / "gluon"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_state_dir() == Path("/home/someone/.local/state/gluon")
