"""Whether database, etcd and a mirror hold the same, once everything has come to rest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gluon.etcd.keys import segment
from gluon.etcd.mirror import Change, Mirror
from gluon.model.model import Model, Role
from gluon.particle.texts import text_of_key
from proton.serving import Api

PATIENCE = 10.0

Documents = dict[str, dict[str, Any]]
"""Objects by the key that they have in etcd."""


class Follower:
    """A mirror of a service's objects that never sees one go back."""

    def __init__(self, api: Api, service: str) -> None:
        self._seen: dict[str, tuple[str, int]] = {}
        self.went_back: list[str] = []
        self.mirror = Mirror(api.etcd, api.keys.objects(service), self._changed)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.value is None:
                continue
            document = json.loads(change.value)
            # A key that was deleted and taken again is another object, which was created later.
            state = (document["created_at"], document["revision_number"])
            if state <= self._seen.get(change.key, ("", 0)):
                self.went_back.append(f"{change.key}: {state} after {self._seen[change.key]}")
            self._seen[change.key] = state


@asynccontextmanager
async def following(api: Api, service: str) -> AsyncIterator[Follower]:
    """Follow a service's objects until the block ends."""
    follower = Follower(api, service)
    task = asyncio.create_task(follower.mirror.run())
    try:
        await asyncio.wait_for(follower.mirror.synced.wait(), PATIENCE)
        yield follower
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def listed(api: Api, model: Model, limit: int = 1000) -> Documents:
    """All objects of a service as its lists show them, page by page."""
    found: Documents = {}
    root = f"/proton/{segment(model.service)}/{segment(model.version_id)}"
    for api_object in model.objects.values():
        url: str | None = f"{root}/{api_object.plural}?limit={limit}"
        while url is not None:
            page = (await api.request("GET", url, 200)).json()
            for document in page[api_object.plural]:
                key = api.keys.object(model.service, api_object.name, text_of_key(document[api_object.key]))
                assert key not in found, f"{key} is listed twice"
                found[key] = document
            links = page.get(f"{api_object.plural}_links")
            url = links[0]["href"] if links else None
    return found


async def drained(api: Api) -> None:
    """Return when the outbox is empty."""
    async with asyncio.timeout(PATIENCE):
        while True:
            relay = (await api.get("/healthcheck"))["checks"]["relay"]
            if relay["depth"] == 0:
                return
            await asyncio.sleep(0.005)


async def assert_all_agree(api: Api, model: Model, follower: Follower) -> None:
    """The lists of the API, etcd's keys and the mirror hold the same documents, with the same types."""
    await drained(api)
    by_list = await listed(api, model, limit=3)
    in_etcd = {i.key: i.value for i in (await api.etcd.list(api.keys.objects(model.service))).items}
    assert sorted(by_list) == sorted(in_etcd)
    ports = {o.name for o in model.with_role(Role.PORT)}
    owners = set()
    for key, value in in_etcd.items():
        stored = json.loads(value)
        if api.keys.parse(key).segments[1] in ports:
            owners.add(api.keys.port(api.keys.parse(key).segments[2]))
            assert stored.pop("bindings") == []
            stored.pop("bind_id")
        # As text, in which 1, 1.0 and true are different things.
        assert json.dumps(stored) == json.dumps(by_list[key]), key
    assert {i.key for i in (await api.etcd.list(api.keys.ports())).items} == owners

    async with asyncio.timeout(PATIENCE):
        while dict(follower.mirror.items()) != in_etcd:
            await asyncio.sleep(0.005)
    assert follower.went_back == []


def assert_database_is_sound(database: Path) -> None:
    """Nothing in the database file refers to what isn't there, and nothing waits to be sent."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM gluon_outbox").fetchall() == [(0,)]
