"""A server with 100 models: how long until it answers, and what a model costs in time and memory."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from pathlib import Path

import psutil

from gluon.model.catalog import bundled_models_dir

from .results import Figure, Results
from .stack import proton_server, running_stack

MODELS = 100


def make_models(folder: Path, count: int) -> None:
    """Copies of net-l3vpn under other names."""
    shutil.copytree(bundled_models_dir() / "base", folder / "base")
    source = bundled_models_dir() / "net-l3vpn"
    for number in range(count):
        target = folder / f"l3vpn-{number}"
        shutil.copytree(source, target)
        for path in target.glob("*.yaml"):
            path.write_text(path.read_text().replace("name: net-l3vpn", f"name: l3vpn-{number}"))


def start_and_stop(folder: Path, models: Path | None, etcd: str) -> tuple[float, int]:
    """Seconds until a server answers its health check, and its memory then, in bytes."""
    start = time.perf_counter()
    with proton_server(folder, models, etcd) as (url, pid):
        wall = time.perf_counter() - start
        services = json.loads(urllib.request.urlopen(f"{url}/proton").read())["protons"]
        assert len(services) >= (MODELS if models else 1), services
        return wall, psutil.Process(pid).memory_info().rss


async def measure(results: Results, folder: Path) -> None:
    models = folder / "models"
    make_models(models, MODELS)
    with running_stack() as stack:
        few_first, few_memory = start_and_stop(folder / "few", None, stack.etcd)
        first, memory = start_and_stop(folder / "many", models, stack.etcd)
        again, _ = start_and_stop(folder / "many", models, stack.etcd)
    name = "the bundled models alone"
    results.add(Figure("first start with 100 models", first, "s", few_first, name, "< 10 s", first < 10))
    results.add(Figure("next start with 100 models", again, "s", few_first, name, "< 10 s", again < 10))
    cost = (first - few_first) / MODELS * 1e3
    results.add(
        Figure("time a model adds to the first start", cost, "ms", reach="< 100 ms", reached=cost < 100)
    )
    size = (memory - few_memory) / MODELS / 1e6
    results.add(Figure("memory a model adds to the server", size, "MB", reach="< 10 MB", reached=size < 10))
