"""The work of `gluon sync`: a resync on an operator's word, and the changes that etcd has refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gluon.ops.errors import CommandFailed
from gluon.ops.site import Site
from gluon.proton.resync import Counts, Progress, Resync
from gluon.proton.resync_scope import Scope, StoredServices
from gluon.store.database import Transaction
from gluon.store.outbox import SetAside

STALLED = 10.0
"""Seconds without progress after which a repair no longer waits: a relay that died is replaced sooner."""

_POLL = 0.05


@dataclass(frozen=True)
class Outcome:
    """What a command has found and done; each of the `remarks` is a line for the operator."""

    counts: Counts
    agrees: bool
    remarks: tuple[str, ...] = ()


async def check(site: Site, scope: Scope, progress: Progress) -> Outcome:
    """Whether etcd and the database agree."""
    counts = _found(scope, await _resync(site).check(scope, progress))
    remarks = list(await _remarks(site))
    # What is on its way is no difference, if there is somebody to bring it.
    if counts.waiting and not await _is_relaying(site):
        remarks.append(_left_behind(counts.waiting))
    return Outcome(counts, not counts.differences and not remarks, tuple(remarks))


async def repair(site: Site, scope: Scope, progress: Progress) -> Outcome:
    """Make them agree, and wait until they do. Without a relay the changes stay in the outbox."""
    counts = _found(scope, await _resync(site).repair(scope, progress))
    left = await _drained(site)
    remarks = list(await _remarks(site))
    if left and await _is_relaying(site):
        remarks.append(
            f"{_count(left, 'change')} in the outbox: "
            "the relay does not get on; its server's /healthcheck says why"
        )
    elif left:
        remarks.append(_left_behind(left))
    return Outcome(counts, not remarks, tuple(remarks))


async def refused(site: Site) -> list[SetAside]:
    """The changes that etcd has refused for themselves."""
    return await site.database.read(site.outbox.refused)


async def retry(site: Site, ids: Sequence[int]) -> int:
    """Let refused changes go again: these, or all; how many. Raises CommandFailed for an unknown one."""

    async def work(tx: Transaction) -> int:
        known = [row.id for row in await site.outbox.refused(tx)]
        for row_id in ids:
            if row_id not in known:
                raise CommandFailed(f"change {row_id} is not among those that etcd has refused")
        for row_id in ids or known:
            await site.outbox.retry(tx, row_id)
        return len(set(ids or known))

    return await site.database.write(work)


def _resync(site: Site) -> Resync:
    return Resync(
        site.database,
        site.outbox,
        site.etcd,
        site.keys,
        site.public_url,
        own_url_counts=site.settings.public_url is not None,
        controllers=site.settings.controllers,
    )


def _found(scope: Scope, counts: Counts) -> Counts:
    if scope.id is not None and not any(counts.report().values()):
        raise CommandFailed(f"neither the database nor etcd has an object {scope.id!r} there")
    return counts


async def _drained(site: Site) -> int:
    """How many changes are still there once the relay has taken all, or takes no more."""
    loop = asyncio.get_running_loop()
    least, since = None, loop.time()
    while depth := await site.database.read(site.outbox.conditional_depth):
        if least is None or depth < least:
            least, since = depth, loop.time()
        if loop.time() > since + STALLED:
            return depth
        await asyncio.sleep(_POLL)
    return 0


async def _is_relaying(site: Site) -> bool:
    return await site.etcd.get(site.keys.relay_election()) is not None


def _left_behind(changes: int) -> str:
    return (
        f"{_count(changes, 'change')} in the outbox: "
        "no relay is running; they reach etcd when a proton-server does"
    )


async def _remarks(site: Site) -> tuple[str, ...]:
    services = await StoredServices.read(site.database)
    remarks = [f"service {name} was left out: {why}" for name, why in services.unreadable.items()]
    refusals = len(await refused(site))
    if refusals:
        remarks.append(f"etcd refuses {_count(refusals, 'change')}: gluon sync refused shows why")
    return tuple(remarks)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
