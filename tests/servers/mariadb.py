"""A real MariaDB for tests: on a free loopback port, in a directory of its own, and easy to hurt."""

from __future__ import annotations

import getpass
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from servers.etcd import free_ports
from servers.process import ServerProcess
from servers.programs import find_program, program_environment

USER = "gluon"
PASSWORD = "s3cret-pässword"

_NOT_DURABLE = (
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-file-per-table=OFF",
)


class MariadbServer:
    """One mariadbd. It comes back on the same port and with the same data as often as it is started.

    `durable` makes commits wait for the disk, as they do where it matters; without it they survive a killed
    process all the same, and tests are quicker.
    """

    def __init__(self, directory: Path, *, durable: bool = False, options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.socket = directory / "s"
        (self.port,) = free_ports(1)
        self._durable = durable
        self._options = tuple(options)
        self._process = ServerProcess("mariadbd", directory / "mariadbd.log")

    @property
    def pid(self) -> int:
        """The process that runs now."""
        return self._process.pid

    def start(self, *more: str) -> None:
        """Start it, making its system tables first if there are none; `wait_ready` tells when it answers.

        `more` are options for this time only.
        """
        if not self.data.exists():
            self._install()
        self._process.start([*self._command(), *more], program_environment())

    def wait_ready(self) -> None:
        """Return when it answers."""
        self._process.wait_until(self.answers)

    def stop(self) -> None:
        """Ask it to end, as an operator would; return when it has."""
        self._process.end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, paused or not; return when it is gone."""
        self._process.end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it in an orderly way and have it back."""
        self.stop()
        self.start()
        self.wait_ready()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers."""
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send(signal.SIGCONT)

    def url(self, database: str) -> str:
        """The URL of a database of this server."""
        password = "".join(f"%{byte:02X}" for byte in PASSWORD.encode())
        return f"mariadb://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def query(self, statement: str, database: str = "") -> list[list[str]]:
        """What the server says to a statement, as text; for what tests do behind the product's back."""
        answer = subprocess.run(
            [
                str(find_program("mariadb")),
                *("--no-defaults", f"--socket={self.socket}", f"--user={USER}", f"--password={PASSWORD}"),
                *("--default-character-set=utf8mb4", "--batch", "--skip-column-names"),
                *("--execute", statement),
                *([database] if database else []),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            env=program_environment(),
            check=False,
        )
        if answer.returncode != 0:
            raise RuntimeError(f"{statement}: {answer.stderr.strip()}")
        return [line.split("\t") for line in answer.stdout.splitlines()]

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """The URL of an empty database, which goes with the block. Close what uses it before."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.query(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.query(f"DROP DATABASE {name}")

    def answers(self) -> bool:
        """Whether it takes part: accepts connections and runs statements."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                return self.query("SELECT 1") == [["1"]]
        except (OSError, RuntimeError):
            return False

    def _install(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        program = find_program("mariadb-install-db")
        answer = subprocess.run(
            [
                str(program),
                *("--no-defaults", f"--datadir={self.data}", f"--user={getpass.getuser()}"),
                *(f"--basedir={program.parents[1]}", "--auth-root-authentication-method=normal"),
                # A server that starts removes all temporary tables there, also another one's.
                f"--tmpdir={self.directory}",
                *("--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=16M"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            env=program_environment(),
            check=False,
        )
        if answer.returncode != 0:
            raise RuntimeError(f"mariadb-install-db failed: {answer.stdout}\n{answer.stderr}")
        self.write_init_file()

    def write_init_file(self) -> None:
        """What it does at each start: have our user."""
        (self.directory / "init.sql").write_text(
            "".join(
                f"CREATE USER IF NOT EXISTS {USER}@'{host}' IDENTIFIED BY '{PASSWORD}';\n"
                f"GRANT ALL ON *.* TO {USER}@'{host}';\n"
                for host in ("localhost", "127.0.0.1")
            )
        )

    def _command(self) -> list[str]:
        program = find_program("mariadbd")
        # Unpacked, it doesn't find its messages by itself.
        share = program.parents[1] / "share/mysql"
        return [
            str(program),
            *("--no-defaults", f"--datadir={self.data}", f"--basedir={program.parents[1]}"),
            *(f"--lc-messages-dir={share}", f"--user={getpass.getuser()}"),
            *("--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.socket}"),
            f"--tmpdir={self.directory}",
            *(f"--pid-file={self.directory / 'pid'}", f"--init-file={self.directory / 'init.sql'}"),
            *("--skip-name-resolve", "--skip-log-bin", "--max-connections=200"),
            *("--character-set-server=utf8mb4", "--performance-schema=OFF"),
            *("--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M"),
            *(
                ()
                if self._durable
                else ("--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=2")
            ),
            *self._options,
        ]
