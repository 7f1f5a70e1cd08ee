"""OVN's central part for tests: the northbound and southbound databases, and the daemon between them.

All in a directory of their own, over Unix sockets (or more, as a test wishes), and each easy to hurt.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from servers.process import ServerProcess
from servers.programs import find_program, program_environment

_SCHEMAS = {"nb": "ovn-nb.ovsschema", "sb": "ovn-sb.ovsschema"}


def ovs_environment(directory: Path) -> Mapping[str, str]:
    """In which OVS' and OVN's programs keep to a directory."""
    folders = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "OVN_RUNDIR", "OVN_LOGDIR")
    return program_environment() | dict.fromkeys(folders, str(directory))


def run(program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What a program prints; RuntimeError with what it says when it fails."""
    command = [str(find_program(program)), *arguments]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment or program_environment()
    )
    if done.returncode:
        raise RuntimeError(f"{program} {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class OvnDatabases:
    """One ovsdb-server with the databases of OVN that are named."""

    def __init__(self, directory: Path, databases: Sequence[str] = ("nb", "sb")) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._databases = databases
        self.socket = directory / "ovn.sock"
        self.connection = f"unix:{self.socket}"
        self.environment = ovs_environment(directory)
        self._process = ServerProcess("ovsdb-server", directory / "ovsdb-server.log")

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, *options: str) -> None:
        """Start it, with the data that is there; `options` of ovsdb-server, such as further remotes."""
        files = [self._directory / f"{name}.db" for name in self._databases]
        for name, file in zip(self._databases, files, strict=True):
            if not file.exists():
                schema = str(find_program(_SCHEMAS[name]))
                run("ovsdb-tool", "create", str(file), schema, environment=self.environment)
        self.socket.unlink(missing_ok=True)
        command = (
            *(str(find_program("ovsdb-server")), *map(str, files)),
            *(f"--remote=punix:{self.socket}", f"--unixctl={self._directory / 'ovsdb.ctl'}"),
            *("--no-chdir", "-vconsole:warn", *options),
        )
        self._process.start(command, self.environment)
        self._process.wait_until(self.socket.exists)
        for name in self._databases:
            self._control(name, "init")

    def kill(self) -> None:
        """kill -9; what was committed stays."""
        self._process.end(signal.SIGKILL)

    def stop(self) -> None:
        self._process.end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """A signal that it outlives."""
        self._process.send(number)

    def wipe(self) -> None:
        """Forget everything; it must not run."""
        for name in self._databases:
            (self._directory / f"{name}.db").unlink()

    def nbctl(self, *arguments: str) -> str:
        """ovn-nbctl's output."""
        return self._control("nb", *arguments)

    def sbctl(self, *arguments: str) -> str:
        """ovn-sbctl's output."""
        return self._control("sb", *arguments)

    def rows(self, table: str, *columns: str) -> list[dict[str, Any]]:
        """The rows of a table of the northbound database; sets as lists, maps as dicts."""
        named = [f"--columns={','.join(columns)}"] if columns else []
        found = json.loads(self.nbctl("--format=json", *named, "list", table))
        return [
            {name: _value(v) for name, v in zip(found["headings"], row, strict=True)} for row in found["data"]
        ]

    def _control(self, database: str, *arguments: str) -> str:
        program = f"ovn-{database}ctl"
        remote = f"--db={self.connection}"
        return run(program, remote, "--timeout=30", *arguments, environment=self.environment)


class Northd:
    """ovn-northd: makes logical flows of what the northbound database says."""

    def __init__(self, databases: OvnDatabases, directory: Path) -> None:
        self._databases = databases
        self._directory = directory
        self._process = ServerProcess("ovn-northd", directory / "ovn-northd.log")

    def start(self) -> None:
        remote = self._databases.connection
        command = (
            *(str(find_program("ovn-northd")), f"--ovnnb-db={remote}", f"--ovnsb-db={remote}"),
            *(f"--unixctl={self._directory / 'northd.ctl'}", "--no-chdir", "-vconsole:warn"),
        )
        self._process.start(command, self._databases.environment)

    def kill(self) -> None:
        self._process.end(signal.SIGKILL)


def is_root() -> bool:
    """Whether namespaces can be made."""
    return os.geteuid() == 0


def _value(found: Any) -> Any:
    """From OVSDB's JSON (RFC 7047, section 5.1)."""
    if not isinstance(found, list):
        return found
    kind, value = found
    if kind == "set":
        return [_value(item) for item in value]
    if kind == "map":
        return {_value(name): _value(item) for name, item in value}
    return value
