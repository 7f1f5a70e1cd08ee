"""`proton-shim-server --check`: whether a configuration would work, tried without becoming a shim server.

It looks only: no name is taken, nothing is written, and backends are asked for no more than their `check`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gluon.etcd.acceptance import UnsafeVersion, refuse_unsafe_version
from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError
from gluon.etcd.keys import Keys
from gluon.shim.callbacks import Callbacks, Overdue
from gluon.shim.errors import BadConfiguration
from gluon.shim.extensions import Extensions
from gluon.shim.settings import EVERY, ShimSettings


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one thing that was tried."""

    good: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok' if self.good else 'FAILED':6}  {' '.join(self.text.split())}"


async def check(settings: ShimSettings, extensions: Extensions) -> AsyncIterator[Finding]:
    """Try etcd, then each service's backend."""
    hosts = "all hosts" if EVERY in settings.hosts else f"hosts {', '.join(sorted(settings.hosts))}"
    yield Finding(True, f"configuration: shim server {settings.name}, {hosts}")
    etcd = settings.etcd.connect()
    try:
        served, finding = await _check_etcd(settings, etcd)
    finally:
        await etcd.close()
    yield finding
    for service in _services(settings, served):
        yield await _check_backend(settings, extensions, service)


async def _check_etcd(settings: ShimSettings, etcd: Etcd) -> tuple[frozenset[str], Finding]:
    """The services that etcd has a model of, and how etcd is."""
    name, keys = f"etcd at {etcd.endpoint}", Keys(settings.etcd.prefix)
    try:
        if not await refuse_unsafe_version(etcd, allowed=settings.etcd.allow_unsafe_version):
            return frozenset(), Finding(False, f"{name}: doesn't answer")
        listing = await etcd.list(keys.models())
    except (UnsafeVersion, EtcdError) as error:
        return frozenset(), Finding(False, f"{name}: {error}")
    served = frozenset(keys.parse(item.key).segments[1] for item in listing.items)
    return served, Finding(True, f"{name}: serves {', '.join(sorted(served)) or 'no models yet'}")


def _services(settings: ShimSettings, served: frozenset[str]) -> list[str]:
    """Those that have a backend; `*` itself when etcd has none that it stands for."""
    named = set(settings.handlers) - {EVERY}
    others = (served - named or {EVERY}) if EVERY in settings.handlers else set()
    return sorted(named | others)


async def _check_backend(settings: ShimSettings, extensions: Extensions, service: str) -> Finding:
    backend_name = settings.backend_for(service)
    assert backend_name is not None
    name = f"{service}: backend {backend_name}"
    callbacks = None
    try:
        backend = extensions.backend(backend_name, service, settings.name)
        callbacks = Callbacks(backend, timeout=settings.callback_timeout, parallel=1)
        if not callbacks.has("check"):
            return Finding(True, f"{name}: loaded; it has no check of its own")
        said = await callbacks.call("check")
    except (BadConfiguration, Overdue) as error:
        return Finding(False, f"{name}: {error}")
    except Exception as error:  # noqa: BLE001 - whatever a vendor's code raises, the operator wants to know
        return Finding(False, f"{name}: {error or type(error).__name__}")
    finally:
        if callbacks is not None:
            callbacks.close()
    return Finding(True, f"{name}: {said or 'its controller can be reached'}")
