"""Makes the backend's state that of etcd, one object at a time, and writes down what came of it.

Whatever an object's key was queued for, its turn is the same: compare what is there with what the journal
says was applied, and call what is needed. So it doesn't matter how many changes there were, or whether the
shim was away.

An object that the journal doesn't have yet is entered as PENDING before the backend hears of it: if the
process dies in between and the object is deleted meanwhile, the backend is told all the same.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from gluon.etcd.errors import EtcdError, LeaseNotFound
from gluon.model.model import Role
from gluon.shim.binder import PortBinder, Wait
from gluon.shim.binds import binds_of, leaving, placed, same_bind, without_old
from gluon.shim.callbacks import Callbacks, Overdue
from gluon.shim.echoes import is_echo
from gluon.shim.errors import PermanentError, TemporaryError
from gluon.shim.faults import Faults
from gluon.shim.inventory import Inventory
from gluon.shim.journal import Binding, Entry, Journal, Phase, State
from gluon.shim.models.generic import GenericApiModel
from gluon.shim.objects import Objects
from gluon.shim.shelf import ObjectId, Stored, same_document
from gluon.shim.views import SeenBinding, View
from gluon.shim.work_queue import WorkQueue
from gluon.shim.writes import NameLost

_CALLBACK_NAMES = {
    Role.PORT: "port",
    Role.INTERFACE: "interface",
    Role.SERVICE: "service",
    Role.SERVICE_BINDING: "service_binding",
    Role.NONE: "object",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Dependent:
    """A state of an object: what etcd says, and what else it depends on."""

    raw: bytes | None
    context: str | None


class Reconciler:
    """Works on the objects of one service; `work` is one worker, of which there may be many."""

    def __init__(
        self,
        service: str,
        api_model: GenericApiModel,
        inventory: Inventory,
        objects: Objects,
        journal: Journal,
        queue: WorkQueue[ObjectId],
        callbacks: Callbacks,
        binder: PortBinder,
    ) -> None:
        self._service = service
        self._api_model = api_model
        self._inventory = inventory
        self._objects = objects
        self._journal = journal
        self._queue = queue
        self._callbacks = callbacks
        self._binder = binder
        self._faults = Faults(service)
        self._to_replay: set[ObjectId] = set()
        """To be applied from their next turn on: what is done in this one may be in vain already."""
        self._again: set[ObjectId] = set()
        """To be applied whatever the journal says."""
        self._unwritten: set[ObjectId] = set()
        """Whose entry etcd may have lost."""
        self._given_up: dict[ObjectId, _Dependent] = {}
        """The state that the backend has refused for good."""
        self._overdue: dict[ObjectId, asyncio.Future[object]] = {}
        self._at_inactive: dict[ObjectId, str] = {}
        """The host of the inactive binding that an object's turn has come to grief at."""
        self._deletions_held_until = 0.0

    def apply_again(self, object_id: ObjectId) -> None:
        """Apply an object whatever the journal says, or the backend has refused, at its next turn."""
        self._to_replay.add(object_id)

    def write_again(self, object_id: ObjectId) -> None:
        """It may be that etcd has lost the object's entry: write it at its next turn."""
        self._unwritten.add(object_id)

    def hold_deletions(self, seconds: float) -> None:
        """Delete nothing for so long: what etcd doesn't have may be back soon."""
        self._deletions_held_until = asyncio.get_running_loop().time() + seconds

    def is_settled(self, object_id: ObjectId, stored: Stored) -> bool:
        """Whether an object needs no turn: applied as it is, and no matter of binding."""
        entry = self._journal.get(object_id)
        if entry is None or entry.state is not State.APPLIED:
            return False
        if object_id in self._again or object_id in self._to_replay:
            return False
        role = self._api_model.model.objects[object_id.object_name].role
        if role is Role.PORT and not self._binder.is_settled(stored, entry):
            return False
        return same_document(entry.applied, stored.raw) and entry.context == self._context(
            object_id, stored.raw
        )

    async def work(self) -> None:
        """Give objects their turns until cancelled."""
        while True:
            object_id = await self._queue.get()
            try:
                await self._turn(object_id)
            finally:
                self._queue.done(object_id)

    async def _turn(self, object_id: ObjectId) -> None:
        overdue = self._overdue.get(object_id)
        if overdue is not None and not overdue.done():
            return  # It comes back when the call has returned: one object's callbacks never overlap.
        self._overdue.pop(object_id, None)
        if object_id in self._to_replay:
            self._to_replay.discard(object_id)
            self._again.add(object_id)
            self._given_up.pop(object_id, None)
        try:
            await self._settle(object_id)
        except Wait as wait:
            self._queue.defer(object_id, wait.seconds)
        except (NameLost, LeaseNotFound) as error:
            _log.debug("%s: %s comes again: %s", self._service, object_id, error)
            self._queue.retry(object_id)
        except EtcdError as error:
            delay = self._queue.retry(object_id)
            _log.warning("%s: %s comes again in %.3g s: %s", self._service, object_id, delay, error)
        except TemporaryError as error:
            delay = self._queue.retry(object_id, error.delay)
            _log.info("%s: %s in %.3g s again: %s", self._service, object_id, delay, error.reason)
            await self._note(object_id, State.PENDING, error.reason)
        except Overdue as error:
            _log.warning("%s: %s: %s", self._service, object_id, error)
            self._overdue[object_id] = error.finished
            error.finished.add_done_callback(lambda _: self._queue.add(object_id))
            await self._note(object_id, State.PENDING, str(error))
        except PermanentError as error:
            _log.error("%s: %s is refused: %s", self._service, object_id, error.reason)
            self._given_up[object_id] = self._state(object_id)
            await self._note(object_id, State.FAILED, error.reason)
        # A vendor's code may raise anything; its object is tried again, and the others go on.
        except Exception as error:  # noqa: BLE001
            delay = self._queue.retry(object_id)
            reason = self._faults.report(object_id, error, delay)
            await self._note(object_id, State.FAILED, reason)
        else:
            self._faults.forget(object_id)

    async def _settle(self, object_id: ObjectId) -> None:
        stored, entry = self._inventory.live.get(object_id), self._journal.get(object_id)
        if stored is None:
            if entry is None:
                self._inventory.departed.remove(object_id)
                self._forget(object_id)
            elif not self._is_held(object_id):
                await self._delete(object_id, entry)
            return
        view = self._objects.view(object_id, stored.raw)
        first = (other.object_id for other in self._api_model.first(view))
        if awaited := [other for other in first if self._is_new(other)]:
            self._queue.park(object_id, awaited)
            return
        if view.api_object.role is Role.PORT:
            await self._apply_port(view, stored, entry)
        else:
            await self._apply(view, stored, entry)

    def _is_new(self, object_id: ObjectId) -> bool:
        """Whether an object is about to be applied for the first time."""
        entry = self._journal.get(object_id)
        is_new = entry is None or entry.state is State.PENDING
        return is_new and self._inventory.live.get(object_id) is not None and self._queue.is_active(object_id)

    def _is_held(self, object_id: ObjectId) -> bool:
        left = self._deletions_held_until - asyncio.get_running_loop().time()
        if left > 0:
            self._queue.defer(object_id, left)
        return left > 0

    async def _apply_port(self, port: View, stored: Stored, entry: Entry | None) -> None:
        """What leaves goes first; then the active binding, the inactive ones, and the port itself.

        An inactive binding that can't be bound holds up nothing else.
        """
        object_id = port.object_id
        self._at_inactive.pop(object_id, None)
        binds = self._binder.wants(stored)
        if entry is not None:
            entry = placed(entry, binds)
            for binding in leaving(entry, binds):
                view = self._seen(object_id, entry, binding, stored)
                entry = await self._binder.unbind(view, entry, binding)
            entry = without_old(entry, binds)
        replay, error = object_id in self._again, None
        for bind in binds:
            if bind.active:
                before = entry
                entry = await self._binder.bind(port, stored, entry, bind, replay=replay)
                if entry is not None and entry.binding is not None:
                    if entry.binding.phase is Phase.CLAIMED:
                        return
                    entry = await self._activate(port, stored, entry)
                    if entry.applied is stored.raw and (replay or entry is not before):
                        self._again.discard(object_id)
                continue
            view = self._objects.view(object_id, stored.raw, binding=SeenBinding(bind.says, active=False))
            try:
                entry = await self._binder.bind(view, stored, entry, bind, replay=replay)
            # Whatever it is, it is for the turn to tell, after the port itself was seen to.
            except Exception as raised:  # noqa: BLE001
                error = raised
                self._at_inactive[object_id] = bind.host
                if (written := self._journal.get(object_id)) is not None:
                    entry = placed(written, binds)
        await self._apply(port, stored, entry)
        if error is not None:
            if replay:
                self._again.add(object_id)
            raise error

    async def _activate(self, port: View, stored: Stored, entry: Entry) -> Entry:
        """Tell the backend that a port which it has bound is used there from now on, unless it knows."""
        binding = entry.binding
        if binding is None or binding.active or binding.phase is not Phase.BOUND:
            return entry
        known = replace(entry, binding=replace(binding, active=True))
        if not self._callbacks.has("activate_port"):
            return known  # Then it is a change of the port like any other.
        await self._callbacks.call("activate_port", port)
        known = replace(
            known,
            state=State.APPLIED,
            reason=known.refusals,
            revision_number=port.document.get("revision_number"),
            applied=stored.raw,
            context=None,
        )
        await self._journal.write(port.object_id, known)
        return known

    def _seen(
        self, object_id: ObjectId, entry: Entry, binding: Binding, stored: Stored | None = None
    ) -> View:
        """The port as it was applied, seen by a binding that leaves; `stored`: as it is now."""
        bind = same_bind(binds_of(entry.applied), binding)
        elsewhere = stored is not None and any(
            b.active and b.host != binding.host for b in binds_of(stored.raw)
        )
        active = binding is entry.binding and not elsewhere
        says = bind.says if bind is not None else {"host_id": binding.host, "bind_id": binding.bind_id}
        seen = SeenBinding(says, active)
        return self._objects.view(object_id, entry.applied, departed=stored is None, binding=seen)

    async def _apply(self, view: View, stored: Stored, entry: Entry | None) -> None:
        """Have the backend modify an object, unless it has it as it is."""
        object_id = view.object_id
        context = self._context(object_id, stored.raw)
        if entry is not None and self._is_applied(object_id, stored, entry, context):
            if object_id in self._unwritten:
                await self._journal.write(object_id, entry)
                self._unwritten.discard(object_id)
            return
        if self._given_up.get(object_id) == _Dependent(stored.raw, context):
            return
        name = f"modify_{_CALLBACK_NAMES[view.api_object.role]}"
        revision = view.document.get("revision_number")
        if entry is None and self._callbacks.has(name):
            entry = Entry(State.PENDING, None, revision, stored.raw, None)
            await self._journal.write(object_id, entry)
        if entry is None or object_id in self._again or not is_echo(entry, stored.raw):
            await self._callbacks.call(name, view)
        binding = entry.binding if entry is not None else None
        if binding is not None and binding.phase is Phase.REFUSED:
            # The port stays refused, whatever else became of it.
            state, reason = State.FAILED, binding.rejected
        else:
            state, reason = State.APPLIED, entry.refusals if entry is not None else None
        inactive = entry.inactive if entry is not None else ()
        applied = Entry(state, reason, revision, stored.raw, context, binding, inactive)
        await self._journal.write(object_id, applied)
        self._again.discard(object_id)
        self._unwritten.discard(object_id)
        self._given_up.pop(object_id, None)

    def _is_applied(self, object_id: ObjectId, stored: Stored, entry: Entry, context: str | None) -> bool:
        rejected = entry.binding.rejected if entry.binding is not None else None
        return (
            object_id not in self._again
            and (entry.state is State.APPLIED or (rejected is not None and entry.reason == rejected))
            and entry.context == context
            and same_document(entry.applied, stored.raw)
        )

    async def _delete(self, object_id: ObjectId, entry: Entry) -> None:
        view = self._objects.view(object_id, entry.applied, departed=True)
        last = (other.object_id for other in self._api_model.last(view))
        if awaited := [other for other in last if self._goes(other)]:
            self._queue.park(object_id, awaited)
            return
        if self._given_up.get(object_id) == _Dependent(None, None):
            return
        # Should the object come back the same before all of this is done, the backend must hear of it.
        self._again.add(object_id)
        if view.api_object.role is Role.PORT:
            for binding in leaving(entry, ()):
                view_there = self._seen(object_id, entry, binding)
                entry = await self._binder.unbind(view_there, entry, binding)
        await self._callbacks.call(f"delete_{_CALLBACK_NAMES[view.api_object.role]}", view)
        await self._journal.write(object_id, None)
        if self._inventory.live.get(object_id) is None:
            self._inventory.departed.remove(object_id)
        self._forget(object_id)

    def _goes(self, object_id: ObjectId) -> bool:
        """Whether an object is about to be deleted."""
        return self._inventory.live.get(object_id) is None and self._queue.is_active(object_id)

    def _forget(self, object_id: ObjectId) -> None:
        self._to_replay.discard(object_id)
        self._again.discard(object_id)
        self._unwritten.discard(object_id)
        self._given_up.pop(object_id, None)
        self._at_inactive.pop(object_id, None)
        if self._api_model.model.objects[object_id.object_name].role is Role.PORT:
            self._binder.forget(object_id.key)

    def _state(self, object_id: ObjectId) -> _Dependent:
        stored = self._inventory.live.get(object_id)
        if stored is None:
            return _Dependent(None, None)
        return _Dependent(stored.raw, self._context(object_id, stored.raw))

    def _context(self, object_id: ObjectId, raw: bytes) -> str | None:
        if object_id.object_name not in self._api_model.with_context:
            return None
        return self._api_model.context(self._objects.view(object_id, raw))

    async def _note(self, object_id: ObjectId, state: State, reason: str) -> None:
        """Write down for the owner why an object has not come further."""
        entry, stored = self._journal.get(object_id), self._inventory.live.get(object_id)
        if entry is None and stored is None:
            return
        host = self._at_inactive.pop(object_id, None)
        if host is not None and entry is not None and entry.state is State.APPLIED:
            # The port is as it should be where it is used.
            state, reason = State.APPLIED, f"binding on {host}: {reason}"
        if stored is not None:
            revision = self._objects.view(object_id, stored.raw).document.get("revision_number")
        else:
            assert entry is not None
            revision = entry.revision_number
        if entry is None:
            assert stored is not None
            noted = Entry(state, reason or None, revision, stored.raw)
        else:
            noted = replace(entry, state=state, reason=reason or None, revision_number=revision)
        if noted == entry:
            return
        try:
            await self._journal.write(object_id, noted)
        except EtcdError as error:
            _log.warning("%s: the status of %s could not be written: %s", self._service, object_id, error)
