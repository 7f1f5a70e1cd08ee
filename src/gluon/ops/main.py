"""The `gluon` command."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gluon import __version__
from gluon.ops.errors import CannotStart
from gluon.ops.state_dir import default_state_dir
from gluon.ops.sync import controller, sync

if TYPE_CHECKING:
    from gluon.ops.installation import Installation


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gluon")
def main() -> None:
    """Gluon: a YAML model of a networking service in, a running service out."""


main.add_command(sync)
main.add_command(controller)


@main.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON when all is ready, for programs."
)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept.  [default: ~/.local/state/gluon]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=2705,
    show_default=True,
    help="Port of the Proton Server; 0 takes any free one.",
)
@click.option(
    "--etcd", metavar="URL", help="An etcd that runs already (http://HOST:PORT), instead of one of ours."
)
@click.option(
    "--database", metavar="URL", help="Database to use, instead of a SQLite file in the state directory."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes of the Proton Server; more than one need a database other than SQLite.",
)
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory of models: its services come beside the bundled ones, and before those of the same name.",
)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="SERVICE=NAME",
    help="Shim backend for a service; may be given several times.  [default: dummy, which only logs]",
)
def up(
    as_json: bool,
    state_dir: Path | None,
    port: int,
    etcd: str | None,
    database: str | None,
    workers: int,
    models: Path | None,
    backends: tuple[str, ...],
) -> None:
    """Run etcd, the Proton Server and a shim on this machine, until Ctrl-C or SIGTERM.

    What dies is started again. The configuration files that the servers run with, proton.conf and
    proton-shim.conf, the database and the logs are in the state directory.
    """
    try:
        from gluon.ops import announcement
        from gluon.ops.up import Up, Wishes
    except ImportError as error:
        _fail(f"gluon up needs the server and the shim ({error}): pip install 'gluon[all]'")

    def announce(installation: Installation, services: Sequence[str], pids: Mapping[str, int]) -> None:
        if as_json:
            click.echo(announcement.as_json(installation, pids))
        else:
            click.echo(announcement.as_text(installation, services, pids))
        sys.stdout.flush()

    def report(line: str) -> None:
        click.echo(f"gluon up: {line}", err=True)

    wishes = Wishes(state_dir or default_state_dir(), port, etcd, database, models, backends, workers)

    async def run() -> None:
        await Up(wishes, report, announce).run()

    try:
        asyncio.run(run())
    except (CannotStart, OSError) as error:
        _fail(str(error))


def _fail(line: str) -> None:
    click.echo(f"gluon: {line}", err=True)
    sys.exit(1)
