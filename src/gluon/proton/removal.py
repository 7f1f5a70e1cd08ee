"""Deleting an object: what goes with it by itself, what is in the way, and what a cascade takes along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gluon.model.model import Role
from gluon.proton.change import Change
from gluon.proton.errors import Conflict, Forbidden, Unprocessable, Wrong
from gluon.proton.identity import Identity
from gluon.proton.managers import Refused
from gluon.proton.references import REFERRERS_SHOWN, described
from gluon.proton.registry import HostedObject, Proton
from gluon.store.database import Transaction
from gluon.store.paging import Row


@dataclass(frozen=True, slots=True)
class _Doomed:
    hosted: HostedObject
    key: Any


class Removal:
    """Takes an object and all that must go with it out of the database, what refers first."""

    async def remove(
        self,
        tx: Transaction,
        identity: Identity,
        proton: Proton,
        hosted: HostedObject,
        row: dict[str, Any],
        cascade: bool,
    ) -> list[Change]:
        """Delete the stored `row` and what goes with it; all that is gone, in that order.

        Raises Conflict with the objects in the way, and Forbidden where a cascade would take along what
        the caller may not delete.
        """
        key = row[hosted.api.key]
        doomed = await self._doomed(tx, proton, _Doomed(hosted, key), cascade)
        await self._check_default_interfaces(tx, proton, doomed)
        changes: list[Change] = []
        ports = {item.key for item in doomed if item.hosted.role is Role.PORT}
        for item in doomed:
            stored = await item.hosted.repository.get(tx, item.key, lock=True)
            if stored is None:
                continue  # another transaction has deleted it since it was found
            # The default interface came without being asked for, and goes so.
            if item.hosted.role is not Role.INTERFACE or item.key not in ports:
                self._check(identity, proton, item.hosted, stored)
            ended: tuple[str, ...] = ()
            if item.hosted.role is Role.PORT:
                ended = tuple(b.host for b in await item.hosted.ports.bindings.remove_all(tx, item.key))
            await item.hosted.repository.delete(tx, item.key)
            changes.append(Change(item.hosted, stored, None, ended=ended))
        return changes

    async def _doomed(self, tx: Transaction, proton: Proton, first: _Doomed, cascade: bool) -> list[_Doomed]:
        """The object and all that goes with it, each before what it refers to.

        That is the order in which a database that checks every statement by itself lets them go.
        """
        doomed: list[_Doomed] = []
        visited: set[tuple[str, Any]] = set()
        in_the_way = []
        waiting = [(first, False)]
        while waiting:
            item, referrers_are_done = waiting.pop()
            if referrers_are_done:
                doomed.append(item)
                continue
            if (item.hosted.api.name, item.key) in visited:
                continue
            visited.add((item.hosted.api.name, item.key))
            waiting.append((item, True))
            # To refuse needs no more of them than are shown; a cascade needs them all.
            limit = None if cascade else REFERRERS_SHOWN + 1
            for referrer in await item.hosted.repository.referrers(tx, item.key, limit):
                hosted, key = proton.objects[referrer.object], referrer.key
                if (hosted.api.name, key) in visited:
                    continue
                goes_by_itself = (
                    item.hosted.role is Role.PORT and hosted.role is Role.INTERFACE and key == item.key
                )
                if not cascade and not goes_by_itself:
                    in_the_way.append(referrer)
                    continue
                waiting.append((_Doomed(hosted, key), False))
        if in_the_way:
            many = len(in_the_way) > REFERRERS_SHOWN
            count = f"over {REFERRERS_SHOWN}" if many else str(len(in_the_way))
            raise Conflict(
                f"other objects ({count}) still refer to it: delete those first, or all of it with cascade",
                described(proton, in_the_way),
            )
        return doomed

    @staticmethod
    async def _check_default_interfaces(tx: Transaction, proton: Proton, doomed: list[_Doomed]) -> None:
        """Raises Conflict if a port would be left without its default interface."""
        if proton.model.port is None:
            return
        ports = proton.objects[proton.model.port.name]
        going = {item.key for item in doomed if item.hosted is ports}
        for item in doomed:
            if item.hosted.role is not Role.INTERFACE or item.key in going:
                continue
            if await ports.repository.get(tx, item.key) is not None:
                raise Conflict(
                    f"{item.hosted.api.api_name} {item.key} is the default one of a port, and comes and goes "
                    f"with it: delete {ports.api.api_name} {item.key}",
                )

    @staticmethod
    def _check(identity: Identity, proton: Proton, hosted: HostedObject, stored: Row) -> None:
        if not proton.authorizer.may(identity, "delete", hosted.api, stored):
            key = stored[hosted.api.key]
            raise Forbidden(f"the access rules don't let you delete {hosted.api.api_name} {key!r}")
        if proton.manager is not None:
            try:
                proton.manager.before_delete(identity, hosted.api.name, stored)
            except Refused as error:
                raise Unprocessable([Wrong(f, m) for f, m in error.errors.items()]) from error
