"""The lock that keeps a SQLite database to one server process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gluon.store.database import DatabaseLocked, DatabaseUnavailable


class LockFile:
    """A file that one process at a time holds; the kernel lets go of it when that process dies.

    The file stays when it is released: removing it would let a third process lock a new file while a
    second one still waits for the old one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise DatabaseLocked naming the process that has it."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise DatabaseUnavailable(
                f"the lock file {self.path} can not be opened: {error.strerror}"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise DatabaseLocked(
                f"another server{f' (process {holder})' if holder else ''} uses this database and holds "
                f"{self.path}: a SQLite database belongs to one server process with one worker"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise DatabaseUnavailable(f"{self.path} can not be locked: {error.strerror}") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
