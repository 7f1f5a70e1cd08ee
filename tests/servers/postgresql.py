"""A real PostgreSQL for tests: on a free loopback port, in a directory of its own, and easy to hurt."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from servers.etcd import free_ports
from servers.process import ServerProcess
from servers.programs import find_program, program_environment

USER = "gluon"
PASSWORD = "s3cret-pässword"
_POLL = 0.01
_ACCOUNT = "postgres"
"""Who runs it when we are root: it refuses to run as root itself."""


class PostgresqlServer:
    """One postgres. It comes back on the same port and with the same data as often as it is started.

    `durable` makes commits wait for the disk, as they do where it matters; without it they survive a killed
    process all the same, and tests are quicker. With `unix_socket` it listens on one, too, beside its data.
    """

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = False,
        unix_socket: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        # pytest closes its folders to all other users, again and again.
        self._home = tempfile.TemporaryDirectory(prefix="gluon-postgresql-") if os.getuid() == 0 else None
        self.data = Path(self._home.name if self._home else directory) / "data"
        (self.port,) = free_ports(1)
        # Making the data takes so long that others might take the port. Bound like this it looks taken.
        self._reserved: socket.socket | None = socket.socket()
        self._reserved.bind(("127.0.0.1", self.port))
        self._durable = durable
        self._unix_socket = unix_socket
        self._options = tuple(options)
        self._process = ServerProcess("postgres", directory / "postgres.log")
        self._spare: list[str] = []
        self._prefix = _as_account() if os.getuid() == 0 else ()

    @property
    def pid(self) -> int:
        """The process that runs now; its children serve the connections."""
        return self._process.pid

    def start(self) -> None:
        """Start it, making its data directory first if there is none; `wait_ready` tells when it answers."""
        if not self.data.exists():
            self._install()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        self._process.start(self._command(), program_environment())

    def wait_ready(self) -> None:
        """Return when it answers."""
        self._process.wait_until(self.answers)

    def stop(self) -> None:
        """Ask it to end at once, as an operator would; return when it has."""
        self._process.end(signal.SIGINT)

    def kill(self) -> None:
        """kill -9, all of it, paused or not; return when it is gone."""
        children = self._children() if self._process.running else []
        for child in children:
            _signal(child, signal.SIGKILL)
        self._process.end(signal.SIGKILL)
        # While one of them has the shared memory, the server does not start again.
        while any(Path("/proc", str(child)).exists() for child in children):
            time.sleep(_POLL)

    def restart(self) -> None:
        """Stop it in an orderly way and have it back."""
        self.stop()
        self.start()
        self.wait_ready()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers."""
        for process in (self.pid, *self._children()):
            _signal(process, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        for process in (self.pid, *self._children()):
            _signal(process, signal.SIGCONT)

    def url(self, database: str) -> str:
        """The URL of a database of this server."""
        password = "".join(f"%{byte:02X}" for byte in PASSWORD.encode())
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def query(self, statement: str, database: str = "postgres") -> list[list[str]]:
        """What the server says to a statement, as text; for what tests do behind the product's back."""
        answer = subprocess.run(
            [
                str(find_program("psql")),
                *(
                    "--no-psqlrc",
                    "--quiet",
                    "--set=VERBOSITY=terse",
                    "--tuples-only",
                    "--no-align",
                    "--field-separator=\t",
                ),
                *("--set=ON_ERROR_STOP=1", f"--command={statement}", self.url(database)),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            env={**program_environment(), "PGCONNECT_TIMEOUT": "5"},
            check=False,
        )
        if answer.returncode != 0:
            raise RuntimeError(f"{statement}: {answer.stderr.strip()}")
        return [line.split("\t") for line in answer.stdout.splitlines()]

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """The URL of an empty database, which the block has to itself.

        One that was used is emptied and used again: that takes a tenth of the time that a new one does.
        """
        name = self._spare.pop() if self._spare else self._create()
        try:
            yield self.url(name)
        finally:
            self.query(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' "
                "AND pid <> pg_backend_pid(); DROP SCHEMA public CASCADE; CREATE SCHEMA public",
                name,
            )
            self._spare.append(name)

    def _create(self) -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        # Written to the log as it is made, instead of by two checkpoints.
        self.query(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY wal_log")
        return name

    def answers(self) -> bool:
        """Whether it accepts connections and runs statements."""
        try:
            return self.query("SELECT 1") == [["1"]]
        except (subprocess.TimeoutExpired, RuntimeError):
            return False

    def _children(self) -> list[int]:
        found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(number) for number in found]

    def _install(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._home:
            account = pwd.getpwnam(_ACCOUNT)
            Path(self._home.name).chmod(0o711)
            os.chown(self._home.name, account.pw_uid, account.pw_gid)
            self.data.mkdir(mode=0o700)
            os.chown(self.data, account.pw_uid, account.pw_gid)
        secret = self.data.with_name("password")
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        answer = subprocess.run(
            [
                *self._prefix,
                str(find_program("initdb")),
                *(f"--pgdata={self.data}", f"--username={USER}", f"--pwfile={secret}"),
                *(
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                    "--no-instructions",
                ),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.data.parent,
            env=program_environment(),
            check=False,
        )
        if answer.returncode != 0:
            raise RuntimeError(f"initdb failed: {answer.stdout}\n{answer.stderr}")

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.data.parent) if self._unix_socket else "",
            "max_connections": "200",
            "shared_buffers": "32MB",
            "fsync": "on" if self._durable else "off",
            # Off, a killed server would lose what it had acknowledged last.
            "synchronous_commit": "on",
            "full_page_writes": "on" if self._durable else "off",
            "log_min_messages": "fatal",
            "log_min_error_statement": "fatal",
            # What is slow in other settings must not be tested as quick here.
            "autovacuum_naptime": "10s",
        }
        return [
            *self._prefix,
            str(find_program("postgres")),
            *("-D", str(self.data)),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            *self._options,
        ]


def _as_account() -> tuple[str, ...]:
    """The command that runs another as the account, in the same process: signals and leash reach it."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise RuntimeError(
            "there is no setpriv (package util-linux): as root, PostgreSQL can't be run without it"
        )
    # The kernel forgets the leash when a process changes its user.
    return (setpriv, "--pdeathsig=KILL", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--init-groups", "--")


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return  # a connection's process that ended meanwhile
