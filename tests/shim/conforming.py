"""What the suite for backends reports, for tests."""

from __future__ import annotations

from pathlib import Path

from gluon.model.catalog import load_catalog
from gluon.shim.conformance.main import Report, conform
from servers.etcd import EtcdServer

E_LINE = Path(__file__).parents[2] / "examples" / "models"


async def reports(
    etcd: EtcdServer, backend: str, service: str = "net-l3vpn", **further: object
) -> list[Report]:
    model = load_catalog(E_LINE).newest(service)
    return [report async for report in conform(backend, etcd.url, model, **further)]  # type: ignore[arg-type]


def outcomes(found: list[Report]) -> dict[str, str]:
    """`ok` or `skipped` by check; AssertionError when any has failed."""
    assert not [r for r in found if r.outcome == "FAILED"], [str(r) for r in found]
    return {report.check: report.outcome for report in found}
