"""`protonclient`: the commands of a networking service, made from what the server serves.

`protonclient --api net-l3vpn port-list` asks the server for the model of net-l3vpn, makes a click
command of the description that fits `port-list`, and runs it. Without a command line that needs the
server (`--help`) nothing is asked and little is loaded.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from gluon import __version__
from gluon.client.errors import INTERRUPTED, ClientError, NotFound
from gluon.client.formats import FORMATS
from gluon.particle.spelling import did_you_mean

if TYPE_CHECKING:
    from gluon.client.sdk import Client, Proton

LOG = logging.getLogger(__name__)

_COMPLETION_TIMEOUT = 1.0
"""Seconds that a press of the tab key may wait for the server."""


class ServiceCommands(click.Group):
    """The group whose commands come from the server that its options name."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run; whatever goes wrong is one line on stderr and exit code 1."""
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except click.ClickException as error:
            _fail(error.format_message())
        except ClientError as error:
            _fail(str(error))
        except OSError as error:
            _fail(f"can't write: {error.strerror or error}")
        except Exception as error:  # a user gets a line, never a traceback; --debug logs it
            LOG.debug("Unexpected error", exc_info=True)
            _fail(f"unexpected {type(error).__name__}: {error} (--debug shows where)")
        sys.exit(code if isinstance(code, int) else 0)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options, then show the help if it was asked for.

        click's own help option would come before the options that say where the commands are.
        """
        rest = super().parse_args(ctx, args)
        if ctx.params["help"] and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return rest

    def list_commands(self, ctx: click.Context) -> list[str]:
        """What needs no service, and the service's commands in the order of the model."""
        return [*_SERVER_COMMANDS, *_served(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, with `-` and `_` alike."""
        # A service may have objects whose commands are called the same; with --api they are meant.
        of_server = _SERVER_COMMANDS.get(name.replace("_", "-"))
        if of_server is not None and name not in _served(ctx):
            return of_server
        if ctx.params.get("api") is None and not ctx.resilient_parsing:
            _say_services(ctx)
        served = _served(ctx)
        alike = {spelling.replace("_", "-"): command for spelling, command in served.items()}
        return served.get(name) or alike.get(name.replace("_", "-"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command is answered with the nearest that the service has."""
        name = args[0]
        if ctx.resilient_parsing or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        api = ctx.params["api"]
        hint = did_you_mean(name, _served(ctx)) or f"; protonclient --api {api} --help lists what there is"
        raise ClientError(f"{api} has no command {name}{hint}")


def _complete_api(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        names = [service.name for service in _client(ctx).services()]
    except ClientError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _log_requests(_ctx: click.Context, _parameter: click.Parameter, debug: bool) -> None:
    if debug:
        logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s")


@click.command(
    cls=ServiceCommands,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [OPTIONS]",
    add_help_option=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="With --api, --help lists the commands of the service; behind a command, its options.",
)
@click.option(
    "--api", metavar="SERVICE[/VERSION]", shell_complete=_complete_api, help="Service to work with."
)
@click.option("--api-version", metavar="VERSION", help="Version of the service, if not the server's default.")
@click.option("--url", metavar="URL", help="URL of the Proton Server, instead of host and port.")
@click.option(
    "--host",
    metavar="HOST",
    envvar="OS_PROTON_HOST",
    show_envvar=True,
    default="127.0.0.1",
    show_default=True,
    help="Host of the Proton Server.",
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    envvar="OS_PROTON_PORT",
    show_envvar=True,
    default=2705,
    show_default=True,
    help="Port of the Proton Server.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="How long to wait for an answer.",
)
@click.option(
    "--request-id",
    metavar="REQ-UUID",
    help="Id under which the server logs what is asked for, instead of one that it makes for each request.",
)
@click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_log_requests,
    help="Show requests and answers on stderr.",
)
@click.version_option(__version__, prog_name="protonclient")
@click.option("-h", "--help", is_flag=True, help="Show this message and exit.")
@click.pass_context
def main(ctx: click.Context, /, **_options: Any) -> None:
    """Work with the networking services of a Proton Server."""
    if ctx.invoked_subcommand is None:
        if ctx.params["api"] is None:
            _say_services(ctx)
        click.echo(ctx.get_help(), err=True)
        ctx.exit(1)


@click.command("controller-list", help="List the shim servers that are alive; for administrators.")
@click.option(
    *("-f", "--format", "format"),
    type=click.Choice(FORMATS),
    help="How to print; default: table on a terminal, json elsewhere.",
)
@click.pass_context
def _controller_list(ctx: click.Context, format: str | None) -> None:
    from gluon.client.output import Output

    assert ctx.parent is not None
    found = _client(ctx.parent).controllers()
    at_terminal = sys.stdout is not None and sys.stdout.isatty()
    output = Output(format or ("table" if at_terminal else "json"))
    output.show_list("controllers", found, _CONTROLLER_COLUMNS, _CONTROLLER_COLUMNS)


_CONTROLLER_COLUMNS = ("name", "services", "hosts", "host", "version", "started", "alive")
_SERVER_COMMANDS: Mapping[str, click.Command] = {"controller-list": _controller_list}


def _client(ctx: click.Context) -> Client:
    from gluon.client.sdk import Client

    options = ctx.params
    host = options.get("host") or "127.0.0.1"
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    url = options.get("url") or f"http://{host}:{options.get('port') or 2705}"
    timeout = _COMPLETION_TIMEOUT if ctx.resilient_parsing else options["timeout"]
    client = Client(url, timeout=timeout, request_id=options.get("request_id"))
    ctx.call_on_close(client.close)
    return client


def _served(ctx: click.Context) -> Mapping[str, click.Command]:
    """The commands of the service that `--api` names; asked for once for each command line."""
    if ctx.params.get("api") is None:
        return {}
    if ctx.obj is None:
        from gluon.client.commands import service_commands

        try:
            ctx.obj = service_commands(_proton(ctx))
        except ClientError:
            # Completion has nobody to tell: a shell would print the error into the command line.
            if not ctx.resilient_parsing:
                raise
            ctx.obj = {}
    return ctx.obj  # type: ignore[no-any-return]  # click keeps it untyped


def _proton(ctx: click.Context) -> Proton:
    service, _, version = ctx.params["api"].partition("/")
    wanted = ctx.params.get("api_version")
    if version and wanted:
        raise click.UsageError("the version is given twice: in --api and by --api-version")
    client = _client(ctx)
    try:
        proton = client.proton(service, version or wanted)
        _ = proton.model
    except NotFound as error:
        names = [s.name for s in client.services()]
        if service in names:
            served = ", ".join(client.versions(service).served)
            raise ClientError(
                f"{client.url} serves {service} as {served}, not as {version or wanted}"
            ) from error
        hint = did_you_mean(service, names) or f"; it serves {', '.join(names) or 'nothing at all'}"
        raise ClientError(f"{client.url} does not serve {service}{hint}") from error
    return proton


def _say_services(ctx: click.Context) -> NoReturn:
    client = _client(ctx)
    services = client.services()
    lines = [
        "Usage: protonclient --api SERVICE COMMAND [OPTIONS]",
        "",
        f"{client.url} serves:" if services else f"{client.url} serves nothing yet.",
        *(f"  {s.name}" + ("" if s.status == "CURRENT" else f" ({s.status})") for s in services),
    ]
    if services:
        lines += ["", f"Its commands: protonclient --api {services[0].name} --help"]
    click.echo("\n".join(lines), err=True)
    ctx.exit(1)


def _fail(message: str) -> NoReturn:
    try:
        click.echo("protonclient: " + " ".join(message.split()), err=True)
    except BrokenPipeError:
        # Nobody reads stderr any more; the exit code says it, and the interpreter must not try again.
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - open until the process ends
    sys.exit(1)


if __name__ == "__main__":
    main()
