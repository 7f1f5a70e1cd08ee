"""The command `gluon-shim-conformance BACKEND`: runs the checks against a backend, and reports on each."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from gluon import __version__
from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from gluon.etcd.options import EtcdSettings
from gluon.model.catalog import load_catalog
from gluon.model.model import Model
from gluon.shim.conformance.checks import CHECKS, Bench, Failed, Skipped
from gluon.shim.conformance.etcd import running_etcd
from gluon.shim.conformance.feed import Feed, Unsettled
from gluon.shim.conformance.watched import Observations, WatchedExtensions
from gluon.shim.errors import ShimError
from gluon.shim.settings import EVERY, load


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one check: `ok`, `FAILED` or `skipped`, and why."""

    check: str
    outcome: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.outcome:7}  {self.check}" + (f": {self.reason}" if self.reason else "")


async def conform(
    backend: str,
    etcd_url: str,
    model: Model,
    *,
    config_files: Sequence[str] = (),
    checks: Sequence[str] = tuple(CHECKS),
    patience: float = 20.0,
) -> AsyncIterator[Report]:
    """Run checks one after the other, each with a shim server of its own. Raises BadConfiguration."""
    arguments = [part for file in config_files for part in ("--config-file", file)]
    conf, settings = load(arguments, __version__, handlers=f"{model.service}:{backend}")
    for check in checks:
        prefix = f"/conformance-{uuid.uuid4().hex}"
        etcd = Etcd([etcd_url])
        extensions = WatchedExtensions(conf)
        extensions.backend_class(backend)
        extensions.observations = seen = Observations()
        feed = Feed(etcd, Keys(prefix), model, patience)
        its = replace(
            settings,
            name=f"conformance-{check}",
            etcd=EtcdSettings(endpoints=(etcd_url,), prefix=prefix),
            hosts=frozenset({EVERY}),
            callback_timeout=min(settings.callback_timeout, patience / 2),
            metrics_port=0,
        )
        try:
            await feed.publish()
            await CHECKS[check](Bench(its, extensions, feed, seen, patience))
            yield Report(check, "ok")
        except (Failed, Unsettled) as error:
            yield Report(check, "FAILED", " ".join(str(error).split()))
        except Skipped as error:
            yield Report(check, "skipped", str(error))
        finally:
            await etcd.delete_prefix(prefix + "/")
            await etcd.close()


def main() -> None:
    """Exit code 0 when nothing failed, 1 when something did, 2 when nothing could be checked."""
    parser = argparse.ArgumentParser(prog="gluon-shim-conformance", description=main.__doc__)
    parser.add_argument("backend", help="an entry point's name, or package.module:Class")
    parser.add_argument("--config-file", action="append", default=[], help="with the backend's own options")
    parser.add_argument("--service", default="net-l3vpn", help="whose objects to use (default: net-l3vpn)")
    parser.add_argument("--models", type=Path, help="folder with the model of a service that isn't bundled")
    parser.add_argument("--etcd", metavar="URL", help="a running etcd; default: one is started for the time")
    parser.add_argument("--check", action="append", choices=CHECKS, help="only this one; may be repeated")
    parser.add_argument("--patience", type=float, default=20.0, help="seconds for each step (default: 20)")
    parser.add_argument("--verbose", action="store_true", help="show the log of the shim server on stderr")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.CRITICAL)
    try:
        model = load_catalog(arguments.models).newest(arguments.service)
        with ExitStack() as stack:
            url = arguments.etcd or stack.enter_context(running_etcd())
            failed = asyncio.run(_report(arguments, url, model))
    except KeyError:
        parser.error(f"there is no model of {arguments.service}; --models says where it is")
    except ShimError as error:
        print(f"gluon-shim-conformance: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    raise SystemExit(1 if failed else 0)


async def _report(arguments: argparse.Namespace, url: str, model: Model) -> bool:
    failed = False
    reports = conform(
        *(arguments.backend, url, model),
        config_files=arguments.config_file,
        checks=arguments.check or tuple(CHECKS),
        patience=arguments.patience,
    )
    async for report in reports:
        print(report, flush=True)
        failed = failed or report.outcome == "FAILED"
    return failed
