"""What a callback may raise, and what keeps a shim server from running."""

from __future__ import annotations


class TemporaryError(Exception):
    """Not now: call me again later.

    The shim calls again after `delay` seconds, or without one after a back-off that doubles from 5 ms to 60
    s. A newer state of the object ends the wait. `reason` is shown to the object's owner.
    """

    def __init__(self, reason: str = "", delay: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay


class PermanentError(Exception):
    """Not like this: calling me again for the same state of the object won't help.

    The shim doesn't call again before the object changes, or the shim is started anew. `reason` is shown to
    the object's owner. Raised by `bind_port` it refuses the bind: whoever waits for it is told at once.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class ShimError(Exception):
    """The shim server can't run, or not any longer; the message is one sentence for its operator."""


class BadConfiguration(ShimError):
    """A setting that can't be followed."""


class UnusableEtcd(ShimError):
    """An etcd that can't be relied on."""


class NameTaken(ShimError):
    """Another shim server has our name; journals and claims are told apart by it."""
