"""`gluon up`: etcd, the Proton Server and a shim on this machine, in the foreground, until told to stop.

The life of a run: what can be refused is refused before anything starts; etcd comes first, then server and
shim together; once each does its work, what runs where is announced; a role that dies is started again by its
`Keeper`; at the end server and shim go before the etcd that they take leave of.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sysconfig
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from gluon.etcd.records import Status
from gluon.etcd.version import parse_version, version_problem
from gluon.model.catalog import load_catalog
from gluon.ops.announcement import as_json
from gluon.ops.child import Role
from gluon.ops.errors import CannotStart
from gluon.ops.etcd_server import etcd_command, etcd_environment, find_etcd
from gluon.ops.installation import (
    Endpoint,
    Installation,
    broken_models,
    check_services,
    name_of_shim,
    parse_backends,
    parse_endpoint,
)
from gluon.ops.keeper import Keeper
from gluon.ops.ports import ReservedPort, reserve_port
from gluon.ops.readiness import etcd_status, hosted_services, server_answers, shim_is_present
from gluon.ops.state_dir import StateDir
from gluon.store.database import UnsupportedDatabase, open_database

_HOST = "127.0.0.1"
"""Without authentication everyone who reaches the server is an administrator: this machine only."""

_LONGEST_START = 120.0
"""Seconds for a role to do its work: a large database on a slow disk takes its time."""

_DEATHS_BEFORE_GIVING_UP = 3
"""Who dies that often before it was ever ready won't get better by trying."""

_BETWEEN_QUESTIONS = 0.1
"""Seconds between two looks whether something is ready."""

_ETCD_ANSWERS_WITHIN = 5.0
"""Seconds for an etcd that was given to us: it runs already."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line; None where the default is wanted."""

    state_dir: Path
    port: int
    etcd: str | None = None
    database: str | None = None
    models: Path | None = None
    backends: tuple[str, ...] = ()
    workers: int = 1


T = TypeVar("T")
Report = Callable[[str], None]
Announce = Callable[[Installation, Sequence[str], Mapping[str, int]], None]
"""Gets the services that are hosted, and the pid of each role."""


class Up:
    """One run of `gluon up`: `report` gets a line for each effect, `announce` is called when all is ready."""

    def __init__(self, wishes: Wishes, report: Report, announce: Announce) -> None:
        self._wishes = wishes
        self._report = report
        self._announce = announce
        self._keepers: dict[str, Keeper] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._announced: Installation | None = None

    async def run(self) -> None:
        """Until SIGTERM, SIGINT or SIGHUP. Raises CannotStart; nothing runs any more after either end."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(signum, self._end_asked_for)
        state = StateDir(self._wishes.state_dir)
        ports: list[ReservedPort] = []
        try:
            await self._run(state, ports)
        finally:
            await self._end()
            (state.path / "stack.json").unlink(missing_ok=True)
            for port in ports:
                port.close()
            state.release()

    def _end_asked_for(self) -> None:
        if self._stop.is_set():
            # Who asks a second time doesn't want to wait.
            for keeper in self._keepers.values():
                keeper.kill()
        self._stop.set()

    async def _run(self, state: StateDir, ports: list[ReservedPort]) -> None:
        installation = self._decide(state, ports)
        if installation.etcd_is_ours:
            self._start_etcd(installation, state, ports[2].number)
            status = await self._until_ready("etcd", lambda: etcd_status(installation.etcd))
        else:
            status = await self._given_etcd(installation.etcd)
        if status is None:
            return
        if doubt := version_problem(parse_version(status.version)):
            self._report(f"{installation.etcd.url}: {doubt}")
            installation = replace(installation, etcd_is_doubtful=True)
        self._start_own("server", "proton-server", "proton.conf", installation.proton_conf(), state)
        self._start_own("shim", "proton-shim-server", "proton-shim.conf", installation.shim_conf(), state)
        host, port = installation.host, installation.port
        if not await self._until_ready("server", lambda: server_answers(host, port)):
            return
        services = await self._until_ready("server", lambda: hosted_services(host, port))
        if services is None:
            return
        check_services(installation.backends, services)
        etcd, name = installation.etcd, installation.shim_name
        if not await self._until_ready("shim", lambda: shim_is_present(etcd, name, since=status.revision)):
            return
        self._announced = installation
        self._write_stack(state)
        self._announce(installation, services, self._pids())
        await self._until_stopped()

    def _decide(self, state: StateDir, ports: list[ReservedPort]) -> Installation:
        wishes = self._wishes
        if wishes.models is not None and not wishes.models.is_dir():
            raise CannotStart(f"--models {wishes.models}: there is no such directory")
        models_dir = wishes.models.absolute() if wishes.models is not None else None
        for line in broken_models(load_catalog(models_dir)):
            self._report(line)
        installation = Installation(
            host=_HOST,
            port=0,
            etcd=parse_endpoint(wishes.etcd) if wishes.etcd is not None else Endpoint(_HOST, 0),
            database_url=wishes.database or f"sqlite:///{state.path / 'gluon.sqlite'}",
            state_dir=state.path,
            models_dir=models_dir,
            backends=parse_backends(wishes.backends),
            shim_name=name_of_shim(etcd_is_ours=wishes.etcd is None),
            etcd_is_ours=wishes.etcd is None,
            workers=wishes.workers,
        )
        try:
            database = open_database(installation.database_url)
        except UnsupportedDatabase as error:
            raise CannotStart(f"--database: {error}") from error
        if wishes.workers > 1 and not database.shared:
            raise CannotStart(
                f"--workers {wishes.workers}: SQLite serves one process; "
                "name a PostgreSQL or MariaDB database with --database"
            )
        ports.append(reserve_port(_HOST, wishes.port))
        if installation.etcd_is_ours:
            ports += [reserve_port(_HOST, 0), reserve_port(_HOST, 0)]
            installation = replace(installation, etcd=Endpoint(_HOST, ports[1].number))
        return replace(installation, port=ports[0].number)

    def _start_etcd(self, installation: Installation, state: StateDir, peer_port: int) -> None:
        program = find_etcd()
        command = etcd_command(program, state.path / "etcd", installation.etcd.port, peer_port)
        self._start(Role("etcd", command, state.logs / "etcd.log", etcd_environment()), state)

    async def _given_etcd(self, endpoint: Endpoint) -> Status | None:
        """What it says of itself; None when told to stop meanwhile. Raises CannotStart when none is there."""
        deadline = time.monotonic() + _ETCD_ANSWERS_WITHIN
        while (status := await etcd_status(endpoint)) is None:
            if self._stop.is_set():
                return None
            if time.monotonic() > deadline:
                raise CannotStart(f"--etcd {self._wishes.etcd}: no etcd answers there")
            await asyncio.sleep(_BETWEEN_QUESTIONS)
        return status

    def _start_own(self, name: str, program: str, conf: str, settings: str, state: StateDir) -> None:
        command = (_program(program), "--config-file", str(state.write(conf, settings)))
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._start(Role(name, command, state.logs / f"{name}.log", environment), state)

    def _start(self, role: Role, state: StateDir) -> None:
        keeper = Keeper(role, self._report, lambda: self._write_stack(state))
        self._keepers[role.name] = keeper
        self._tasks[role.name] = asyncio.create_task(keeper.run(), name=f"keep {role.name}")

    async def _until_ready(self, name: str, question: Callable[[], Awaitable[T | None]]) -> T | None:
        """Ask until the answer is yes, and give it; None when told to stop meanwhile. Raises CannotStart."""
        keeper, task = self._keepers[name], self._tasks[name]
        deadline = time.monotonic() + _LONGEST_START
        while not self._stop.is_set():
            if task.done():
                task.result()
            if answer := await question():
                return answer
            if keeper.deaths >= _DEATHS_BEFORE_GIVING_UP:
                words = keeper.last_words()
                why = f": {words[-1]}" if words else ""
                raise CannotStart(f"the {name} does not start{why} (see {keeper.role.log})")
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"the {name} was not ready within {_LONGEST_START:g} s (see {keeper.role.log})"
                )
            await asyncio.sleep(_BETWEEN_QUESTIONS)
        return None

    async def _until_stopped(self) -> None:
        stop = asyncio.create_task(self._stop.wait())
        # A keeper ends by itself only when it can't go on (its log can't be written).
        done, _ = await asyncio.wait([stop, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        for task in done - {stop}:
            task.result()

    def _pids(self) -> dict[str, int]:
        return {name: keeper.pid for name, keeper in self._keepers.items() if keeper.pid is not None}

    def _write_stack(self, state: StateDir) -> None:
        """Keep `stack.json` true: what was announced, with the pids of now."""
        if self._announced is not None:
            state.write("stack.json", as_json(self._announced, self._pids()) + "\n")

    async def _end(self) -> None:
        for names in (("server", "shim"), ("etcd",)):
            await asyncio.gather(*(self._keepers[name].stop() for name in names if name in self._keepers))
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def _program(name: str) -> str:
    """One of our own programs: beside the interpreter that runs us, else on PATH; raises CannotStart."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise CannotStart(f"{name} is not installed: pip install 'gluon[all]'")
    return found
