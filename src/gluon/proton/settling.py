"""What becomes of binds: answers are stored, and time that is up is noted, wherever the bind stands by now.

A bind keeps its bind_id when it turns from an inactive binding of its port into the active one, or back; so
it is looked for by that in both places. Each outcome is one conditional change, which any number of servers
may try.
"""

from __future__ import annotations

from dataclasses import replace

from gluon.log.request_ids import current_request_id
from gluon.particle.tables import BindState
from gluon.proton.answer import Answer, MalformedAnswer
from gluon.proton.binding import FAILED
from gluon.proton.change import BINDINGS, Change
from gluon.proton.door import Door
from gluon.proton.errors import NotFound
from gluon.proton.registry import HostedObject
from gluon.proton.write_request import Author
from gluon.store.bindings import InactiveBinding
from gluon.store.database import Database, Transaction
from gluon.store.paging import Row

_OPEN = (BindState.PENDING, BindState.TIMED_OUT)


class Settling:
    """Settles the binds of ports, the active ones and those of inactive bindings.

    A bind is given back as a row with `bind_id` and `bind_state`: the port's own row for its active binding.
    """

    def __init__(self, database: Database, door: Door) -> None:
        self._database = database
        self._door = door

    async def take_answer(
        self, hosted: HostedObject, port_id: str, answer: Answer, *, is_applied: bool = True
    ) -> Row | None:
        """Store a controller's answer to a bind; the answered bind, or None if there is no such bind by now.

        One UPDATE with that condition decides, so any number of servers may try: what comes back is the same
        for the one that stored the answer and for those that came later. Unless `is_applied` the port stays
        DOWN: a controller that must take part has not applied it yet. Raises MalformedAnswer.
        """
        given = {**answer.changes, **({} if is_applied else {"status": "DOWN"})}
        limit = hosted.api.attributes["vif_type"].length
        if limit is not None and len(answer.vif_type) > limit:
            raise MalformedAnswer(f"vif_type is longer than the model's {limit} characters")

        async def work(tx: Transaction, changes: list[Change]) -> Row | None:
            row = await hosted.ports.take_answer(tx, port_id, answer.bind_id, given, answer.state)
            if row is not None:
                changes.append(Change.settled(hosted, row, given))
                return row
            current = await hosted.repository.get(tx, port_id, lock=True)
            if current is None or current["bind_id"] == answer.bind_id:
                return current
            binding = await _inactive(tx, hosted, port_id, answer.bind_id)
            if binding is None or binding.state not in _OPEN:
                return _bind(binding)
            answered = replace(
                binding,
                state=answer.state,
                vif_type=answer.vif_type,
                vif_details=answer.vif_details,
            )
            await _store(tx, hosted, current, answered, changes)
            return _bind(answered)

        return await self._door.write(Author.controller(answer.controller), work)

    async def give_up(self, hosted: HostedObject, port_id: str, bind_id: str) -> Row:
        """Say that nobody answered a bind in time; the port's row as it is then.

        An answer that came first stays, and one that comes later is still taken. Raises NotFound when the
        port was deleted meanwhile.
        """
        given = {"vif_type": FAILED}

        async def work(tx: Transaction, changes: list[Change]) -> Row:
            row = await hosted.ports.time_out(tx, port_id, bind_id, given)
            if row is not None:
                changes.append(Change.settled(hosted, row, given))
                return row
            current = await hosted.repository.get(tx, port_id, lock=True)
            if current is None:
                raise NotFound(f"{hosted.api.api_name} {port_id!r} was deleted while it was being bound")
            if current["bind_id"] == bind_id:
                return current
            binding = await _inactive(tx, hosted, port_id, bind_id)
            if binding is None or binding.state != BindState.PENDING:
                return current
            timed_out = replace(binding, state=BindState.TIMED_OUT, vif_type=FAILED)
            return await _store(tx, hosted, current, timed_out, changes)

        return await self._door.write(Author.server(current_request_id()), work)

    async def set_status(
        self, hosted: HostedObject, port_id: str, bind_id: str, before: str, after: str
    ) -> Row | None:
        """Change the status of a port that still has this bind, answered; its row, or None."""

        async def work(tx: Transaction, changes: list[Change]) -> Row | None:
            row = await hosted.ports.set_status(tx, port_id, bind_id, before, after)
            if row is not None:
                changes.append(Change.settled(hosted, row, ("status",)))
            return row

        return await self._door.write(Author.server(current_request_id()), work)

    async def find(self, hosted: HostedObject, port_id: str, bind_id: str) -> Row | None:
        """A bind as it is now; None when it is over: bound anew, unbound or deleted."""

        async def work(tx: Transaction) -> Row | None:
            row = await hosted.repository.get(tx, port_id)
            if row is None or row["bind_id"] == bind_id:
                return row
            return _bind(await _inactive(tx, hosted, port_id, bind_id))

        return await self._database.read(work)

    async def current(self, hosted: HostedObject, port_id: str) -> Row:
        """The port's row as it is now, whoever asks; raises NotFound."""

        async def work(tx: Transaction) -> Row:
            row = await hosted.repository.get(tx, port_id)
            if row is None:
                raise NotFound(f"{hosted.api.api_name} {port_id!r} was deleted meanwhile")
            return row

        return await self._database.read(work)


async def _inactive(
    tx: Transaction, hosted: HostedObject, port_id: str, bind_id: str
) -> InactiveBinding | None:
    found = await hosted.ports.bindings.of_port(tx, port_id)
    return next((binding for binding in found if binding.bind_id == bind_id), None)


async def _store(
    tx: Transaction, hosted: HostedObject, port: Row, binding: InactiveBinding, changes: list[Change]
) -> Row:
    key = port[hosted.api.key]
    await hosted.ports.bindings.change(tx, key, binding)
    row = await hosted.repository.update(tx, key, {})
    assert row is not None, "its row is locked"
    changes.append(Change(hosted, port, row, also=BINDINGS))
    return row


def _bind(binding: InactiveBinding | None) -> Row | None:
    if binding is None:
        return None
    return {"bind_id": binding.bind_id, "bind_state": binding.state}
