"""Binding of ports: who may, once only, and answered in a way that no newer bind is mistaken for.

Life of a bind: the port names a host of ours and a `bind_id` → the shim of the port's last host lets go of
it, or has had its time → our claim is made, in one transaction with the journal → `bind_port` → the answer
is written, in one transaction with the journal that compares our claim and the port's revision. If the port
was written meanwhile, it is read again: with the same bind_id the answer still holds and is written without
a second `bind_port`.

A port may be bound on several hosts: its active binding on one, inactive ones on others, for live migration.
Each has a claim, an answer and a place in the journal of its own. An inactive one waits for no other host to
let go, and nothing is unbound when one becomes the active one.

The journal says `claimed` from before the first call of `bind_port` until the answer is written, so
whatever happens in between, `unbind_port` is called when the port goes elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from gluon.etcd.errors import LeaseNotFound
from gluon.etcd.keys import Keys
from gluon.etcd.records import KeyValue
from gluon.etcd.transaction import Compare, Op
from gluon.shim.answers import Answer, answer_in_etcd, answer_of_backend
from gluon.shim.binds import OURS, Bind, binds_of, same_bind
from gluon.shim.callbacks import Callbacks
from gluon.shim.claims import Claims, claim_holder, claim_value
from gluon.shim.errors import PermanentError
from gluon.shim.journal import Binding, Entry, Journal, Phase, State
from gluon.shim.presence import Presence
from gluon.shim.settings import ShimSettings
from gluon.shim.shelf import Stored
from gluon.shim.views import View
from gluon.shim.writes import Writes

_log = logging.getLogger(__name__)


_Place = tuple[str, str]
"""A port's key, and a host."""


class Wait(Exception):
    """The port's last host has not let go of it; look again after `seconds`, or when it has."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:g} s")
        self.seconds = seconds


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
        self._leases: dict[_Place, int] = {}
        """The lease that each of our claims is under."""
        self._answers: dict[_Place, tuple[Answer, bool]] = {}
        """What the backend said to a bind that isn't answered in etcd yet, and whether that was active."""
        self._deadlines: dict[str, tuple[str, float]] = {}
        """How long the bind of a port waits for its last host."""

    def wants(self, port: Stored) -> tuple[Bind, ...]:
        """The binds that a port asks of us, the active one first."""
        if not self._binds:
            return ()
        return tuple(bind for bind in binds_of(port.raw) if self._settings.serves_host(bind.host))

    def is_settled(self, port: Stored, entry: Entry) -> bool:
        """Whether there is nothing to do here: no bind of ours, none asked for."""
        return not entry.bindings and not self.wants(port)

    async def unbind(self, port: View, entry: Entry, binding: Binding) -> Entry:
        """The port leaves a host of ours: `port` is what was applied there. The entry that remains.

        What `unbind_port` raises comes through, but for PermanentError: the claim goes all the same.
        """
        try:
            await self._callbacks.call("unbind_port", port)
        except PermanentError as error:
            _log.error("%s: unbind_port of %s: %s", self._service, port.object_id, error.reason)
        remains = entry.without(binding.host)
        key = self._keys.claim(self._service, port.key, binding.host)
        ours = claim_value(self._settings.name, binding.bind_id)
        written = self._journal.operation(port.object_id, remains)
        await self._writes.transact((Compare.value(key, "=", ours),), (Op.delete(key), written), (written,))
        self._journal.remember(port.object_id, remains)
        self._forget(port.key, binding.host)
        return remains

    async def bind(
        self, port: View, stored: Stored, entry: Entry | None, bind: Bind, *, replay: bool
    ) -> Entry | None:
        """Have the port bound and answered as far as that is ours; the entry then.

        `port` is seen by that binding. Raises Wait, what `bind_port` raises, and EtcdError.
        """
        binding = entry.on(bind.host) if entry is not None else None
        if entry is not None and binding is not None and binding.bind_id == bind.bind_id:
            if binding.phase in (Phase.REFUSED, Phase.ELSEWHERE):
                return entry
            if (
                binding.phase is Phase.BOUND
                and not replay
                and self._leases.get((port.key, bind.host)) == (await self._presence.lease())
            ):
                return entry
        if bind.active:
            self._await_last_host(port.key, stored, bind)
        if self._claims.holder(port.key, bind.host) is not None and (
            binding is None or binding.phase not in OURS
        ):
            return entry
        entry = await self._claim(port, stored, bind, entry)
        binding = entry.on(bind.host) if entry is not None else None
        if entry is None or binding is None or binding.phase not in OURS:
            return entry
        if binding.phase is Phase.BOUND and not replay:
            return entry
        return await self._bind_and_answer(port, stored, bind, entry)

    @property
    def claims(self) -> int:
        """How many ports we have claimed, on how many hosts."""
        return len(self._leases)

    def forget(self, port_key: str) -> None:
        """The port is gone."""
        self._deadlines.pop(port_key, None)

    def _await_last_host(self, port_key: str, stored: Stored, bind: Bind) -> None:
        # Those of inactive bindings stay: a move goes on while the port is bound on several hosts.
        left_behind = self._claims.left_behind(port_key, {other.host for other in binds_of(stored.raw)})
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
        answer_key = self._answer_key(port, bind)
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
                return await self._yield_to_other(port, bind, entry)
        self._journal.remember(port.object_id, claimed)
        self._leases[port.key, bind.host] = lease
        answered, binding = outcome.results[2], claimed.on(bind.host)
        if isinstance(answered, KeyValue) and binding is not None and binding.phase is Phase.CLAIMED:
            answer = answer_in_etcd(answered.value)
            if answer is not None and answer.bind_id == bind.bind_id:
                return await self._accept(port, bind, claimed, binding, answer)
        return claimed

    async def _yield_to_other(self, port: View, bind: Bind, entry: Entry | None) -> Entry | None:
        """Another has the claim. What we had bound while ours was lost is undone."""
        binding = entry.on(bind.host) if entry is not None else None
        if entry is not None and binding is not None and binding.phase in OURS:
            entry = await self.unbind(port, entry, binding)
        # Nothing is written: should the other go without an answer, the bind is ours.
        return entry

    async def _accept(
        self, port: View, bind: Bind, claimed: Entry, binding: Binding, answer: Answer
    ) -> Entry:
        """The bind was answered before: by another, or by us before the journal was lost."""
        if answer.controller != self._settings.name:
            elsewhere = replace(binding, phase=Phase.ELSEWHERE)
            entry = claimed.having(elsewhere, active=bind.active)
            key = self._keys.claim(self._service, port.key, binding.host)
            await self._writes.transact((), (Op.delete(key), self._journal.operation(port.object_id, entry)))
            self._journal.remember(port.object_id, entry)
            self._forget(port.key, bind.host)
            return entry
        entry = claimed.having(_answered(binding, answer, active=bind.active), active=bind.active)
        await self._journal.write(port.object_id, entry)
        return entry

    async def _bind_and_answer(self, port: View, stored: Stored, bind: Bind, entry: Entry) -> Entry:
        place = (port.key, bind.host)
        answer, active = self._answers.get(place, (None, bind.active))
        if answer is None or answer.bind_id != bind.bind_id:
            answer, active = await self._ask(port, bind), bind.active
            self._answers[place] = (answer, active)
        entry = await self._answer(port, stored, bind, entry, answer, asked_as_active=active)
        self._answers.pop(place, None)
        return entry

    async def _ask(self, port: View, bind: Bind) -> Answer:
        try:
            vif = await self._callbacks.call("bind_port", port)
        except PermanentError as error:
            _log.warning("%s: bind_port of %s: %s", self._service, port.object_id, error.reason)
            return Answer(self._settings.name, bind.bind_id, rejected=error.reason or "refused")
        return answer_of_backend(self._settings.name, bind.bind_id, vif)

    async def _answer(
        self,
        port: View,
        stored: Stored,
        bind: Bind,
        entry: Entry,
        answer: Answer,
        *,
        asked_as_active: bool,
    ) -> Entry:
        """Write the answer, unless the bind is another by now; LeaseNotFound when the claim is gone."""
        binding = entry.on(bind.host)
        assert binding is not None
        binding = _answered(binding, answer, active=asked_as_active)
        refused = binding.phase is Phase.REFUSED
        bound = entry.having(binding, active=bind.active)
        if bind.active:
            bound = replace(
                bound,
                state=State.FAILED if refused else State.APPLIED,
                reason=answer.rejected if refused else bound.refusals,
                revision_number=port.document.get("revision_number"),
                applied=stored.raw,
                context=None,
            )
        elif bound.state is State.APPLIED:
            bound = replace(bound, reason=bound.refusals)
        place = (port.key, bind.host)
        claim_key = self._keys.claim(self._service, port.key, bind.host)
        port_key = self._keys.object(self._service, port.object_name, port.key)
        written = [self._journal.operation(port.object_id, bound)]
        if refused:
            written.append(Op.delete(claim_key))
        held = Compare.lease(claim_key, "=", self._leases.get(place, -1))
        revision, asked = stored.mod_revision, bind
        while True:
            outcome = await self._writes.transact(
                (held, Compare.mod_revision(port_key, "=", revision)),
                (Op.put(self._answer_key(port, asked), answer.encode()), *written),
                (Op.get(port_key), Op.get(claim_key)),
            )
            if outcome.succeeded:
                break
            current, claim = outcome.results
            if not isinstance(claim, KeyValue) or claim.lease != self._leases.get(place):
                self._leases.pop(place, None)
                raise LeaseNotFound(f"the claim on {port.object_id} went before the bind was answered")
            found = same_bind(binds_of(current.value), bind) if isinstance(current, KeyValue) else None
            if found is None or not isinstance(current, KeyValue):
                # The mirror is about to tell; until then this entry stands.
                return entry
            revision, asked = current.mod_revision, found
        self._journal.remember(port.object_id, bound)
        if refused:
            self._forget(port.key, bind.host)
        return bound

    def _answer_key(self, port: View, bind: Bind) -> str:
        host = None if bind.active else bind.host
        return self._keys.answer(self._service, port.object_name, port.key, host)

    def _forget(self, port_key: str, host: str) -> None:
        self._leases.pop((port_key, host), None)
        self._answers.pop((port_key, host), None)
        self._deadlines.pop(port_key, None)


def _claimed(port: View, stored: Stored, bind: Bind, entry: Entry | None) -> Entry:
    binding = entry.on(bind.host) if entry is not None else None
    if (
        entry is not None
        and binding is not None
        and binding.bind_id == bind.bind_id
        and binding.phase in OURS
    ):
        return entry
    revision = port.document.get("revision_number")
    claimed = Binding(bind.host, bind.bind_id, Phase.CLAIMED, active=bind.active)
    fresh = Entry(State.PENDING, None, revision, stored.raw)
    if entry is None:
        return fresh.having(claimed, active=bind.active)
    if not bind.active:
        # How far the port itself has come is another matter.
        return entry.having(claimed, active=False)
    return replace(fresh, applied=entry.applied, inactive=entry.inactive).having(claimed, active=True)


def _answered(binding: Binding, answer: Answer, *, active: bool) -> Binding:
    phase = Phase.BOUND if answer.rejected is None else Phase.REFUSED
    answered = replace(
        binding,
        phase=phase,
        vif_type=answer.vif_type,
        vif_details=answer.vif_details,
        rejected=answer.rejected,
        active=active,
    )
    return answered.shared()
