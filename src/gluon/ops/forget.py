"""The work of `gluon controller forget`: what a controller that is gone for good has left in etcd.

Its journal and its claims are its own, and nobody else clears them away: a shim that comes back under its
name goes on with what they say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gluon.etcd.client import Compare, Etcd, Op
from gluon.etcd.keys import Keys
from gluon.etcd.records import KeyValue
from gluon.ops.errors import CommandFailed
from gluon.particle.spelling import did_you_mean
from gluon.shim.claims import claim_holder

_AT_ONCE = 100
"""Keys in one transaction; etcd takes 128 operations by default."""


@dataclass(frozen=True)
class Forgotten:
    """How many keys were cleared away."""

    statuses: int
    claims: int


async def forget(etcd: Etcd, keys: Keys, name: str) -> Forgotten:
    """Clear away a controller's journal and claims.

    Raises CommandFailed for one that is there, and for a name that has left nothing. Each transaction
    compares that it has not come back.
    """
    if await etcd.get(keys.controller(name)) is not None:
        raise CommandFailed(_is_there(name))
    names: set[str] = set()

    def of_status(item: KeyValue) -> str:
        return keys.parse(item.key).segments[-1]

    def of_claim(item: KeyValue) -> str:
        return claim_holder(item.value)

    statuses = await _clear(etcd, keys, name, keys.statuses(), of_status, names)
    claims = await _clear(etcd, keys, name, keys.claims(), of_claim, names)
    if not statuses and not claims:
        raise CommandFailed(f"a controller {name!r} has left nothing in etcd{did_you_mean(name, names)}")
    return Forgotten(statuses, claims)


async def _clear(
    etcd: Etcd, keys: Keys, name: str, prefix: str, owner: Callable[[KeyValue], str], names: set[str]
) -> int:
    absent = Compare.create_revision(keys.controller(name), "=", 0)
    cleared = 0
    async for page in etcd.pages(prefix, page=_AT_ONCE):
        owners = {item.key: owner(item) for item in page.items}
        names.update(owners.values())
        own = [key for key, its in owners.items() if its == name]
        if own:
            outcome = await etcd.transact([absent], [Op.delete(key) for key in own])
            if not outcome.succeeded:
                raise CommandFailed(_is_there(name))
            cleared += len(own)
    return cleared


def _is_there(name: str) -> str:
    return f"the controller {name!r} is there: stop its shim first (it goes when its lease has expired)"
