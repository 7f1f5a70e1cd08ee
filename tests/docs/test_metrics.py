from __future__ import annotations

import re

import pytest

from docs.pages import DOCS
from gluon.proton.metrics import ServerMetrics
from gluon.shim.metrics import ShimMetrics
from gluon.telemetry.catalogue import Described

PAGE = (DOCS / "observing.md").read_text()
METRICS = {d.name: d for m in (ServerMetrics(), ShimMetrics()) for d in m.catalogue.described}


@pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
def test_every_metric_is_documented(metric: Described) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    begin = f"| `{metric.name}` | {metric.kind} | {labels} | "
    assert re.search(rf"^{re.escape(begin)}\S", PAGE, re.MULTILINE), (
        f"docs/observing.md has no row for it: {begin}{metric.meaning} |"
    )


def test_alerts_speak_of_metrics_that_there_are() -> None:
    rules = PAGE.split("### What to be woken by")[1]
    names = set(re.findall(r"\bgluon_[a-z_]+", rules))
    assert names
    for name in names:
        assert name in METRICS or name.removesuffix("_count") in METRICS, name


def test_no_metric_is_documented_that_there_is_not() -> None:
    documented = set(
        re.findall(r"^\| `(gluon_[a-z_]+)` \| (?:counter|gauge|histogram) \|", PAGE, re.MULTILINE)
    )
    assert documented == set(METRICS)
