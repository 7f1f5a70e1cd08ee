"""What a vendor writes: the callbacks that drive one kind of controller. See docs/shim.md.

Every callback may be a plain function (it runs in a thread, and may block) or a coroutine (it must not
block), and gets read-only views of objects (`views.py`). It may be called again with what it was called
with before, so it must be idempotent: make the controller look like the view, whatever it looks like now.
One object's callbacks never run at the same time. A callback raises TemporaryError or PermanentError
(`errors.py`); anything else that it raises is a fault, which is logged, and tried again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from oslo_config import cfg

from gluon.shim.views import View

Vif = Mapping[str, Any]
"""The answer to a bind: `vif_type`, a name that Nova knows, and `vif_details`, a mapping that fits JSON."""


def _nobody_listens() -> None:
    """What a wish comes to that is made outside of a shim server."""


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a backend is made with: one for each service that it drives.

    `conf` is the shim server's configuration: register your own group of options there.
    """

    service: str
    controller: str
    """The name of this shim server."""
    conf: cfg.ConfigOpts
    reconcile: Callable[[], None] = _nobody_listens
    """Call it, from any thread, to have `reconcile` called again: the controller may have strays."""
    replay: Callable[[], None] = _nobody_listens
    """Call it, from any thread, when the controller may have lost what it was told (it was away, it was
    restored): `reconcile` is called again, and then everything is applied anew, bound ports included."""


class Desired(Protocol):
    """All that should be there, for `reconcile`. It is read when asked: what comes later is in it too."""

    @property
    def ports(self) -> tuple[View, ...]:
        """All ports of the service, on whatever host."""

    @property
    def bound_ports(self) -> tuple[View, ...]:
        """The ports that this shim server has bound where they are used."""

    @property
    def inactive_ports(self) -> tuple[View, ...]:
        """The ports that this shim server has bound for inactive bindings, each by that binding."""

    @property
    def interfaces(self) -> tuple[View, ...]:
        """All interfaces."""

    @property
    def services(self) -> tuple[View, ...]:
        """All services, of all the model's service objects."""

    @property
    def service_bindings(self) -> tuple[View, ...]:
        """All service bindings, of all the model's binding objects."""

    def objects(self, object_name: str) -> tuple[View, ...]:
        """All objects of the model's object `object_name`."""

    def find(self, object_name: str, key: str) -> View | None:
        """One object by its key, if it should be there."""


class Backend:
    """A controller. Override what it can do: what isn't overridden isn't called, and has succeeded.

    A class need not extend this one; it must only have a constructor that takes a BackendContext, and those
    of the callbacks that it wants to hear.
    """

    replay: bool = False
    """Whether everything is to be applied again at each start, bound ports included: for a controller (or
    a backend) that keeps what it was told in memory only."""

    parallel: int | None = None
    """How many objects it is to be called for at the same time, if that is fewer than `[shim] parallel`: for
    a controller that doesn't do more. Calls that queue up in the backend would be overdue for nothing."""

    def __init__(self, context: BackendContext) -> None:
        self.context = context

    def check(self) -> str | Awaitable[str | None] | None:
        """For `proton-shim-server --check`: reach the controller, and say what it is, or raise why not.

        It is called on a backend that isn't started, and leaves nothing behind.
        """

    def start(self) -> Awaitable[None] | None:
        """Called before any other callback; called again, after a back-off, until it succeeds."""

    def stop(self) -> Awaitable[None] | None:
        """Called after the last other callback, when the shim server ends in order."""

    def reconcile(self, desired: Desired) -> Awaitable[None] | None:
        """Called at each start, before the callbacks below: find what shouldn't be there, and remove it.

        Called again meanwhile, beside them, every `[shim] reconcile_interval`, and on `context.reconcile`.

        Ask the controller what it has first, and `desired` then. What is missing comes by the other
        callbacks.
        """

    def bind_port(self, port: View) -> Vif | Awaitable[Vif]:
        """Make the port usable on `port.host_id`; how the VIF is to be plugged there.

        A backend without this one binds no ports. `modify_port` isn't called for the state of the port
        that was bound. PermanentError refuses the bind.

        Where `port.binding_active` is False the port is used on another host, and stays there: it may come
        here, by live migration.
        """
        # Never called: a shim finds out beforehand which callbacks a backend has written itself.
        raise NotImplementedError

    def unbind_port(self, port: View) -> Awaitable[None] | None:
        """The port leaves `port.host_id`; the view is of the port as it was bound.

        Where `port.binding_active` is False it is used on another host, and must not be hurt there.
        """

    def activate_port(self, port: View) -> Awaitable[None] | None:
        """The port was bound on `port.host_id` for an inactive binding, and is used there from now on.

        A backend without this one is asked to modify the port. Nothing is unbound on the old host until its
        binding is deleted.
        """

    def modify_port(self, port: View) -> Awaitable[None] | None:
        """The port is new or has changed. Ports on others' hosts come too: look at `port.host_id`."""

    def delete_port(self, port: View) -> Awaitable[None] | None:
        """The port is gone; the view is of the port as it was applied last. It has been unbound before."""

    def modify_interface(self, interface: View) -> Awaitable[None] | None:
        """The interface is new or has changed."""

    def delete_interface(self, interface: View) -> Awaitable[None] | None:
        """The interface is gone."""

    def modify_service(self, service: View) -> Awaitable[None] | None:
        """The service is new or has changed, or what it depends on has (a VPN's route target)."""

    def delete_service(self, service: View) -> Awaitable[None] | None:
        """The service is gone."""

    def modify_service_binding(self, binding: View) -> Awaitable[None] | None:
        """The service binding is new or has changed."""

    def delete_service_binding(self, binding: View) -> Awaitable[None] | None:
        """The service binding is gone."""

    def modify_object(self, object: View) -> Awaitable[None] | None:
        """An object of another kind (`object.object_name` says which) is new or has changed."""

    def delete_object(self, object: View) -> Awaitable[None] | None:
        """An object of another kind is gone."""
