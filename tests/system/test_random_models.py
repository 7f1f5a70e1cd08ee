"""Random valid models with random operations on them: all that holds their objects agrees in the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gluon.model.catalog import load_catalog
from gluon.model.model import Model
from proton.serving import Api, serving
from servers.etcd import EtcdServer
from system.agreement import assert_all_agree, assert_database_is_sound, following
from system.effort import FACTOR, WITH_A_SERVER, effort
from system.made_models import SERVICE, models
from system.story import Story


@WITH_A_SERVER
@pytest.mark.timeout(300 * FACTOR)
@effort(25, shrink=False)
@given(document=models(), seeds=st.lists(st.integers(0, 2**32), min_size=30, max_size=30))
def test_everything_agrees_after_random_operations(
    etcd_server: EtcdServer, document: dict[str, Any], seeds: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "models" / SERVICE / "api.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        catalog = load_catalog(file.parents[1])
        errors = [str(p) for p in catalog.problems.get(SERVICE, ()) if p.severity == "error"]
        assert errors == [], file.read_text()
        asyncio.run(live(Path(folder), etcd_server.url, catalog.newest(SERVICE), seeds))
        assert_database_is_sound(Path(folder) / "gluon.sqlite")


async def live(folder: Path, etcd_url: str, model: Model, seeds: list[int]) -> None:
    prefix = f"/made-{uuid.uuid4().hex}"
    served = {"models_dir": folder / "models", "services": (SERVICE,), "bind_timeout": 0.2}
    async with serving(folder, etcd_url, prefix, **served) as api:
        async with following(api, SERVICE) as follower, controller_of(api, model):
            story = Story(api, model)
            for seed in seeds:
                await story.go_on(seed)
            await assert_all_agree(api, model, follower)


@asynccontextmanager
async def controller_of(api: Api, model: Model) -> AsyncIterator[None]:
    """Answers binds, as the hosts' names tell it to."""
    if model.port is None:
        yield
        return
    port = model.port
    listing = await api.etcd.list(api.keys.objects(SERVICE, port.name))

    async def run() -> None:
        answered = set()
        async with api.etcd.watch(api.keys.objects(SERVICE, port.name), listing.revision + 1) as batches:
            async for batch in batches:
                for event in batch.events:
                    document = json.loads(event.value) if event.value else {"bind_id": None}
                    bind_id = document["bind_id"]
                    if bind_id is None or bind_id in answered or document["host_id"] == "silent":
                        continue
                    answered.add(bind_id)
                    answer = {"controller": "test", "bind_id": bind_id}
                    refused = document["host_id"] == "refusing"
                    answer |= {"rejected": "no room"} if refused else {"vif_type": "ovs", "vif_details": {}}
                    key = api.keys.answer(SERVICE, port.name, document[port.key])
                    await api.etcd.put(key, json.dumps(answer).encode())

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
