"""Whether what was started does its work already: asked from outside, as its users would."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gluon.etcd.client import Etcd, Status
from gluon.etcd.errors import EtcdError
from gluon.etcd.keys import Keys
from gluon.ops.installation import Endpoint

_PATIENCE = 2.0
"""Seconds that one question may take; it is asked again."""


async def server_answers(host: str, port: int) -> bool:
    """Whether the Proton Server says that it is healthy."""
    return await asyncio.to_thread(_get, host, port, "/healthcheck") is not None


async def hosted_services(host: str, port: int) -> list[str] | None:
    """The services that the Proton Server hosts; None when it doesn't answer.

    They may be more than the model files have: a service that the database knows is hosted without its file.
    """
    answer = await asyncio.to_thread(_get, host, port, "/proton")
    return [proton["proton_service"] for proton in json.loads(answer)["protons"]] if answer else None


def _get(host: str, port: int, path: str) -> bytes | None:
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@asynccontextmanager
async def _etcd(endpoint: Endpoint) -> AsyncIterator[Etcd]:
    client = Etcd([endpoint.url], timeout=_PATIENCE)
    try:
        yield client
    finally:
        await client.close()


async def etcd_status(endpoint: Endpoint) -> Status | None:
    """What the etcd there says of itself; None while it can't be used: no answer, or no leader yet."""
    async with _etcd(endpoint) as client:
        try:
            status = await client.status()
        except EtcdError:
            return None
    return status if status.leader else None


async def shim_is_present(endpoint: Endpoint, name: str, since: int) -> bool:
    """Whether the shim `name` has announced itself after the revision `since`.

    The announcement of one that was killed stays until its lease is over: it says nothing of the new one.
    """
    async with _etcd(endpoint) as client:
        try:
            presence = await client.get(Keys().controller(name))
        except EtcdError:
            return False
    return presence is not None and presence.mod_revision > since
