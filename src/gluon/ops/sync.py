"""`gluon sync` and `gluon controller`: what operators do about etcd by hand.

Exit codes of `gluon sync check` and `repair`: 0 when etcd and the database agree (after a repair: when all
has arrived), 1 when they don't, 2 when that can't be found out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from gluon.ops.errors import CommandFailed

if TYPE_CHECKING:
    from gluon.ops.repair import Outcome
    from gluon.ops.site import Site
    from gluon.proton.resync import Progress
    from gluon.proton.resync_scope import Scope

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])

_CONFIG_FILE = click.option(
    "--config-file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    metavar="FILE",
    help="The server's proton.conf.  [default: where proton-server finds it]",
)
_FORMAT = click.option(
    "--format",
    "as_",
    type=click.Choice(["json", "table"]),
    help="How the result is printed.  [default: a table on a terminal, else JSON]",
)


def _scoped(command: Function) -> Function:
    """The options that say what to look at."""
    for option in (
        click.option("--id", "key", metavar="ID", help="Only the object (or objects) with this key."),
        click.option("--object", "object_", metavar="O", help="Only objects of this type, such as Port."),
        click.option("--service", metavar="S", help="Only this service."),
    ):
        command = option(command)
    return command


@click.group()
def sync() -> None:
    """Make etcd agree with the database, beside the servers that run."""


@sync.command()
@_CONFIG_FILE
@_scoped
@_FORMAT
def check(
    config_file: Path | None, service: str | None, object_: str | None, key: str | None, as_: str | None
) -> None:
    """Say how etcd differs from the database, and change nothing.

    Counts the keys that are right, and those that a repair would create, update and delete. Exit code 0 when
    they agree, 1 when not, 2 when that can't be found out.
    """
    _compare(config_file, (service, object_, key), as_, "check")


@sync.command()
@_CONFIG_FILE
@_scoped
@_FORMAT
def repair(
    config_file: Path | None, service: str | None, object_: str | None, key: str | None, as_: str | None
) -> None:
    """Have the relay put right what differs, and wait until it has.

    Works beside full traffic. Exit code 0 when all has reached etcd, 1 when changes are left in the outbox
    (as when no server runs), 2 when the two can't be compared.
    """
    _compare(config_file, (service, object_, key), as_, "repair")


@sync.command()
@_CONFIG_FILE
@_FORMAT
def refused(config_file: Path | None, as_: str | None) -> None:
    """List the changes that etcd has refused for themselves, and why."""
    from gluon.ops import repair as work

    rows = _run(config_file, work.refused)
    if _as_json(as_):
        found = [{"id": r.id, "key": r.key, "reason": r.reason, "since": r.since} for r in rows]
        click.echo(json.dumps(found))
        return
    for row in rows:
        click.echo(f"{row.id}  {row.key}\n    {row.reason}")


@sync.command()
@_CONFIG_FILE
@click.argument("ids", metavar="[ID]...", nargs=-1, type=int)
def retry(config_file: Path | None, ids: tuple[int, ...]) -> None:
    """Let changes that etcd has refused go again: those with these ids, or all."""
    from gluon.ops import repair as work

    count = _run(config_file, lambda site: work.retry(site, ids))
    click.echo(f"{count} {'goes' if count == 1 else 'go'} again")


@click.group()
def controller() -> None:
    """Look after controllers, which speak to Gluon through their shims."""


@controller.command()
@_CONFIG_FILE
@click.argument("name")
def forget(config_file: Path | None, name: str) -> None:
    """Clear away what the controller NAME, which is gone for good, has left in etcd.

    That is its status of every object, and its claims on ports. Refused while its shim runs.
    """
    from gluon.ops import forget as work

    done = _run(config_file, lambda site: work.forget(site.etcd, site.keys, name), with_database=False)
    click.echo(f"forgotten: {done.statuses} statuses, {done.claims} claims")


def _compare(
    config_file: Path | None, wanted: tuple[str | None, str | None, str | None], as_: str | None, what: str
) -> None:
    from gluon.ops import repair as work
    from gluon.proton.resync_scope import Scope

    do: Callable[[Site, Scope, Progress], Awaitable[Outcome]] = getattr(work, what)
    with _progress_bar(what) as progress:
        outcome = _run(config_file, lambda site: do(site, Scope(*wanted), progress))
    report = outcome.counts.report()
    if _as_json(as_):
        click.echo(json.dumps(report))
    else:
        widths = {name: max(len(name), len(str(number))) for name, number in report.items()}
        click.echo("  ".join(name.rjust(widths[name]) for name in report))
        click.echo("  ".join(str(number).rjust(widths[name]) for name, number in report.items()))
    for remark in outcome.remarks:
        click.echo(f"gluon: {remark}", err=True)
    sys.exit(0 if outcome.agrees else 1)


def _run(config_file: Path | None, work: Callable[[Site], Awaitable[T]], *, with_database: bool = True) -> T:
    """The result of work on the installation; exit code 2 and a line on stderr when it can't be done."""
    try:
        from gluon.etcd.errors import EtcdError
        from gluon.ops.site import opened, read_settings
        from gluon.proton.resync_scope import UnknownScope
        from gluon.store.database import DatabaseError
    except ImportError as error:
        _fail(f"this needs the server's packages ({error}): pip install 'gluon[server]'")

    async def run() -> T:
        async with opened(read_settings(config_file), with_database=with_database) as site:
            return await work(site)

    try:
        return asyncio.run(run())
    except (CommandFailed, UnknownScope, EtcdError, DatabaseError) as error:
        _fail(str(error))


@contextmanager
def _progress_bar(what: str) -> Iterator[Progress]:
    """On standard error, and only on a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _as_json(as_: str | None) -> bool:
    return as_ == "json" or (as_ is None and not sys.stdout.isatty())


def _fail(line: str) -> NoReturn:
    click.echo(f"gluon: {line}", err=True)
    sys.exit(2)
