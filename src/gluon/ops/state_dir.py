"""The directory that holds all that one installation on this machine keeps."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gluon.ops.errors import CannotStart


def default_state_dir() -> Path:
    """`gluon` in the user's directory for state (XDG Base Directory: `~/.local/state`)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "gluon"


class StateDir:
    """The directory, made if need be, and locked against a second `gluon up` until `release`.

    Raises CannotStart when it can't be made or written, or is in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            # Not inherited: the lock is gone with us, not with the last of our children.
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CannotStart(f"{self.path} can't be used as state directory: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise CannotStart(
                f"{self.path} is in use by another gluon up (pid {holder}); "
                "stop that one, or choose another directory with --state-dir"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    @property
    def logs(self) -> Path:
        """Where each role has its log."""
        return self.path / "log"

    def write(self, name: str, text: str) -> Path:
        """Write a file that only its owner may read (URLs of databases hold passwords), all or nothing."""
        target, fresh = self.path / name, self.path / f".{name}.new"
        fresh.touch(mode=0o600)
        fresh.write_text(text)
        fresh.replace(target)
        return target

    def release(self) -> None:
        """Let another one have it."""
        os.close(self._lock)
