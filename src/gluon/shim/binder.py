"""Binding of ports: who may, once only, and answered in a way that no newer bind is mistaken for.

Life of a bind: the port names a host of ours and a `bind_id` → the shim of the port's last host lets go of
it, or has had its time → our claim is made, in one transaction with the journal → `bind_port` → the answer
is written, in one transaction with the journal that compares our claim and the port's revision. If the port
was written meanwhile, it is read again: with the same bind_id the answer still holds and is written without
a second `bind_port`.

The journal says `claimed` from before the first call of `bind_port` until the answer is written, so
whatever happens in between, `unbind_port` is called when the port goes elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

import msgspec

from gluon.etcd.errors import LeaseNotFound
from gluon.etcd.keys import Keys
from gluon.etcd.records import KeyValue
from gluon.etcd.transaction import Compare, Op
from gluon.shim.answers import Answer, answer_in_etcd, answer_of_backend
from gluon.shim.callbacks import Callbacks
from gluon.shim.claims import Claims, claim_holder, claim_value
from gluon.shim.errors import PermanentError
from gluon.shim.journal import Binding, Entry, Journal, Phase, State
from gluon.shim.presence import Presence
from gluon.shim.settings import ShimSettings
from gluon.shim.shelf import Stored
from gluon.shim.views import View
from gluon.shim.writes import Writes

_OURS = (Phase.CLAIMED, Phase.BOUND)

_log = logging.getLogger(__name__)


class Wait(Exception):
    """The port's last host has not let go of it; look again after `seconds`, or when it has."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Bind:
    """A bind that a port asks for."""

    host: str
    bind_id: str


class _BindFields(msgspec.Struct):
    host_id: str | None = None
    bind_id: str | None = None


_bind_fields = msgspec.json.Decoder(_BindFields)


def bind_of(raw: bytes) -> Bind | None:
    """The bind that a port asks for, whoever it is for."""
    fields = _bind_fields.decode(raw)
    return Bind(fields.host_id, fields.bind_id) if fields.host_id and fields.bind_id else None


class PortBinder:
    """Binds and unbinds the ports of one service."""

    def __init__(
        self,
        service: str,
        settings: ShimSettings,
        keys: Keys,
        callbacks: Callbacks,
        claims: Claims,
        journal: Journal,
        writes: Writes,
        presence: Presence,
    ) -> None:
        self._service = service
        self._settings = settings
        self._keys = keys
        self._callbacks = callbacks
        self._claims = claims
        self._journal = journal
        self._writes = writes
        self._presence = presence
        self._binds = callbacks.has("bind_port")
        self._leases: dict[str, int] = {}
        """The lease that each of our claims is under."""
        self._answers: dict[str, Answer] = {}
        """What the backend said to a bind that isn't answered in etcd yet."""
        self._deadlines: dict[str, tuple[str, float]] = {}
        """How long the bind of a port waits for its last host."""

    def wants(self, port: Stored) -> Bind | None:
        """The bind that a port asks of us."""
        bind = bind_of(port.raw) if self._binds else None
        return bind if bind is not None and self._settings.serves_host(bind.host) else None

    def is_settled(self, port: Stored, entry: Entry) -> bool:
        """Whether there is nothing to do here: no bind of ours, none asked for."""
        return self.wants(port) is None and entry.binding is None

    async def unbind(self, port: View, entry: Entry) -> Entry:
        """The port leaves us: `port` is what was applied. The entry that remains.

        What `unbind_port` raises comes through, but for PermanentError: the claim goes all the same.
        """
        binding = entry.binding
        assert binding is not None
        try:
            await self._callbacks.call("unbind_port", port)
        except PermanentError as error:
            _log.error("%s: unbind_port of %s: %s", self._service, port.object_id, error.reason)
        remains = replace(entry, binding=None)
        key = self._keys.claim(self._service, port.key, binding.host)
        ours = claim_value(self._settings.name, binding.bind_id)
        written = self._journal.operation(port.object_id, remains)
        await self._writes.transact((Compare.value(key, "=", ours),), (Op.delete(key), written), (written,))
        self._journal.remember(port.object_id, remains)
        self._forget(port.key)
        return remains

    async def bind(self, port: View, stored: Stored, entry: Entry | None, *, replay: bool) -> Entry | None:
        """Have the port bound and answered as far as that is ours; the entry then.

        Raises Wait, what `bind_port` raises, and EtcdError.
        """
        bind = self.wants(stored)
        assert bind is not None
        binding = entry.binding if entry is not None else None
        if entry is not None and binding is not None and binding.bind_id == bind.bind_id:
            if binding.phase in (Phase.REFUSED, Phase.ELSEWHERE):
                return entry
            if (
                binding.phase is Phase.BOUND
                and not replay
                and self._leases.get(port.key) == (await self._presence.lease())
            ):
                return entry
        self._await_last_host(port.key, bind)
        if self._claims.holder(port.key, bind.host) is not None and (
            binding is None or binding.phase not in _OURS
        ):
            return entry
        entry = await self._claim(port, stored, bind, entry)
        if entry is None or entry.binding is None or entry.binding.phase not in _OURS:
            return entry
        if entry.binding.phase is Phase.BOUND and not replay:
            return entry
        return await self._bind_and_answer(port, stored, bind, entry)

    @property
    def claims(self) -> int:
        """How many ports we have claimed."""
        return len(self._leases)

    def forget(self, port_key: str) -> None:
        """The port is gone."""
        self._forget(port_key)

    def _await_last_host(self, port_key: str, bind: Bind) -> None:
        left_behind = self._claims.left_behind(port_key, bind.host)
        if left_behind is None:
            self._deadlines.pop(port_key, None)
            return
        now = asyncio.get_running_loop().time()
        bind_id, deadline = self._deadlines.get(port_key, ("", 0.0))
        if bind_id != bind.bind_id:
            deadline = now + self._settings.claim_wait
            self._deadlines[port_key] = (bind.bind_id, deadline)
        if now < deadline:
            raise Wait(deadline - now)
        _log.warning(
            "%s: port %s is bound on %s although %s still has it on %s",
            *(self._service, port_key, bind.host, left_behind.controller, left_behind.host),
        )

    async def _claim(self, port: View, stored: Stored, bind: Bind, entry: Entry | None) -> Entry | None:
        """Make our claim, or make it again; the entry then, which says whether it is ours."""
        key = self._keys.claim(self._service, port.key, bind.host)
        answer_key = self._keys.answer(self._service, port.object_name, port.key)
        claimed = _claimed(port, stored, bind, entry)
        value = claim_value(self._settings.name, bind.bind_id)
        condition = Compare.create_revision(key, "=", 0)
        while True:
            lease = await self._presence.lease()
            outcome = await self._writes.transact(
                (condition,),
                (
                    Op.put(key, value, lease),
                    self._journal.operation(port.object_id, claimed),
                    Op.get(answer_key),
                ),
                (Op.get(key),),
            )
            if outcome.succeeded:
                break
            held = outcome.results[0]
            if not isinstance(held, KeyValue):
                condition = Compare.create_revision(key, "=", 0)
            elif claim_holder(held.value) == self._settings.name:
                # From before a restart, or from a try that etcd didn't answer.
                condition = Compare.mod_revision(key, "=", held.mod_revision)
            else:
                return await self._yield_to_other(port, entry)
        self._journal.remember(port.object_id, claimed)
        self._leases[port.key] = lease
        answered = outcome.results[2]
        if (
            isinstance(answered, KeyValue)
            and claimed.binding is not None
            and claimed.binding.phase is Phase.CLAIMED
        ):
            answer = answer_in_etcd(answered.value)
            if answer is not None and answer.bind_id == bind.bind_id:
                return await self._accept(port, claimed, answer)
        return claimed

    async def _yield_to_other(self, port: View, entry: Entry | None) -> Entry | None:
        """Another has the claim. What we had bound while ours was lost is undone."""
        if entry is not None and holds_port(entry):
            entry = await self.unbind(port, entry)
        # Nothing is written: should the other go without an answer, the bind is ours.
        return entry

    async def _accept(self, port: View, claimed: Entry, answer: Answer) -> Entry:
        """The bind was answered before: by another, or by us before the journal was lost."""
        assert claimed.binding is not None
        if answer.controller != self._settings.name:
            binding = replace(claimed.binding, phase=Phase.ELSEWHERE)
            entry = replace(claimed, binding=binding)
            key = self._keys.claim(self._service, port.key, binding.host)
            await self._writes.transact((), (Op.delete(key), self._journal.operation(port.object_id, entry)))
            self._journal.remember(port.object_id, entry)
            self._forget(port.key)
            return entry
        entry = replace(claimed, binding=_answered(claimed.binding, answer))
        await self._journal.write(port.object_id, entry)
        return entry

    async def _bind_and_answer(self, port: View, stored: Stored, bind: Bind, entry: Entry) -> Entry:
        answer = self._answers.get(port.key)
        if answer is None or answer.bind_id != bind.bind_id:
            answer = await self._ask(port, bind)
            self._answers[port.key] = answer
        entry = await self._answer(port, stored, bind, entry, answer)
        self._answers.pop(port.key, None)
        return entry

    async def _ask(self, port: View, bind: Bind) -> Answer:
        try:
            vif = await self._callbacks.call("bind_port", port)
        except PermanentError as error:
            _log.warning("%s: bind_port of %s: %s", self._service, port.object_id, error.reason)
            return Answer(self._settings.name, bind.bind_id, rejected=error.reason or "refused")
        return answer_of_backend(self._settings.name, bind.bind_id, vif)

    async def _answer(self, port: View, stored: Stored, bind: Bind, entry: Entry, answer: Answer) -> Entry:
        """Write the answer, unless the bind is another by now; LeaseNotFound when the claim is gone."""
        assert entry.binding is not None
        binding = _answered(entry.binding, answer)
        refused = binding.phase is Phase.REFUSED
        bound = Entry(
            State.FAILED if refused else State.APPLIED,
            answer.rejected,
            port.document.get("revision_number"),
            stored.raw,
            binding=binding,
        )
        claim_key = self._keys.claim(self._service, port.key, bind.host)
        port_key = self._keys.object(self._service, port.object_name, port.key)
        answer_key = self._keys.answer(self._service, port.object_name, port.key)
        writes = [Op.put(answer_key, answer.encode()), self._journal.operation(port.object_id, bound)]
        if refused:
            writes.append(Op.delete(claim_key))
        held = Compare.lease(claim_key, "=", self._leases.get(port.key, -1))
        revision = stored.mod_revision
        while True:
            outcome = await self._writes.transact(
                (held, Compare.mod_revision(port_key, "=", revision)),
                writes,
                (Op.get(port_key), Op.get(claim_key)),
            )
            if outcome.succeeded:
                break
            current, claim = outcome.results
            if not isinstance(claim, KeyValue) or claim.lease != self._leases.get(port.key):
                self._leases.pop(port.key, None)
                raise LeaseNotFound(f"the claim on {port.object_id} went before the bind was answered")
            if not isinstance(current, KeyValue) or bind_of(current.value) != bind:
                # The mirror is about to tell; until then this entry stands.
                return entry
            revision = current.mod_revision
        self._journal.remember(port.object_id, bound)
        if refused:
            self._forget(port.key)
        return bound

    def _forget(self, port_key: str) -> None:
        for kept in (self._leases, self._answers, self._deadlines):
            kept.pop(port_key, None)


def holds_port(entry: Entry) -> bool:
    """Whether the backend has the port, or may have it."""
    return entry.binding is not None and entry.binding.phase in _OURS


def must_leave(entry: Entry, bind: Bind | None) -> bool:
    """Whether what the backend has of the port must go before anything else: another host, another bind."""
    binding = entry.binding
    if binding is None or binding.phase not in _OURS:
        return False
    if bind is None or bind.host != binding.host:
        return True
    # A bind that was never finished goes on as the new one.
    return bind.bind_id != binding.bind_id and binding.phase is Phase.BOUND


def without_old(entry: Entry, bind: Bind | None) -> Entry:
    """The entry without what it says of a bind that was refused, or went to another, and is over."""
    binding = entry.binding
    if binding is None or binding.phase in _OURS or (bind is not None and bind.bind_id == binding.bind_id):
        return entry
    return replace(entry, binding=None)


def _claimed(port: View, stored: Stored, bind: Bind, entry: Entry | None) -> Entry:
    binding = entry.binding if entry is not None else None
    if (
        entry is not None
        and binding is not None
        and binding.bind_id == bind.bind_id
        and binding.phase in _OURS
    ):
        return entry
    applied = entry.applied if entry is not None else stored.raw
    revision = port.document.get("revision_number")
    return Entry(
        State.PENDING, None, revision, applied, None, Binding(bind.host, bind.bind_id, Phase.CLAIMED)
    )


def _answered(binding: Binding, answer: Answer) -> Binding:
    phase = Phase.BOUND if answer.rejected is None else Phase.REFUSED
    answered = replace(
        binding,
        phase=phase,
        vif_type=answer.vif_type,
        vif_details=answer.vif_details,
        rejected=answer.rejected,
    )
    return answered.shared()
