"""Keeps the controller as it should be, whatever it forgets and whoever else writes to it.

All lists are read every so often, and as soon as a controller that was away answers again: a controller that
has lost its datastore is noticed by that, and gets everything again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from gluon.shim.backends.odl.plan import Plan
from gluon.shim.backends.odl.restconf import Away, Restconf
from gluon.shim.backends.odl.settling import Group, Settler, Whose
from gluon.shim.errors import PermanentError, TemporaryError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a controller that is away is tried again."""

_AT_A_TIME = 64

_log = logging.getLogger(__name__)


class Keeper:
    """Of the event loop."""

    def __init__(
        self, restconf: Restconf, plan: Plan, settler: Settler, *, interval: float, stray_delay: float
    ) -> None:
        self._restconf = restconf
        self._plan = plan
        self._settler = settler
        self._interval = interval
        self._stray_delay = stray_delay
        self._wake = asyncio.Event()
        self._strays: dict[Group, float] = {}
        """When each was first seen."""

    def suspect(self) -> None:
        """A request has failed: look at everything soon."""
        self._wake.set()

    async def run(self) -> None:
        """Keep the controller until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            if await self._sleep():
                await asyncio.sleep(pause)
            self._wake.clear()
            try:
                await self._restconf.connect()
                await self.audit()
                pause = _FIRST_PAUSE
            except TemporaryError as error:
                _log.warning("OpenDaylight couldn't be compared: %s", error.reason)
                pause = max(error.delay or 0, min(2 * pause, _LONGEST_PAUSE))
                self._wake.set()
            # The next round begins from what is there, whatever this one ended with.
            except Exception:  # noqa: BLE001
                _log.exception("OpenDaylight couldn't be compared")
                pause = min(2 * pause, _LONGEST_PAUSE)
                self._wake.set()

    async def audit(self) -> None:
        """Read everything, compare it, and put it right. Raises TemporaryError when that isn't possible now.

        What single objects can't have is logged: their owners hear it from the objects' own callbacks.
        """
        await self._settler.read()
        strays = self._due_strays()
        written = await self._settle((Group(Whose.VPN, key) for key in self._plan.vpns), frozenset())
        written += await self._settle(
            (Group(Whose.INTERFACE, key) for key in self._plan.interfaces), frozenset()
        )
        for whose in (Whose.INTERFACE, Whose.VPN):
            written += await self._settle((group for group in strays if group.whose is whose), strays)
        if written:
            _log.info("OpenDaylight: %d entries were put right", written)

    async def _settle(self, groups: Iterable[Group], strays: frozenset[Group]) -> int:
        waiting, written = list(groups), 0
        while waiting:
            some, waiting = waiting[:_AT_A_TIME], waiting[_AT_A_TIME:]
            results = await asyncio.gather(
                *(self._settler.settle(group, sweep=group in strays) for group in some),
                return_exceptions=True,
            )
            for group, result in zip(some, results, strict=True):
                if isinstance(result, int):
                    written += result
                elif isinstance(result, (PermanentError, TemporaryError)) and not isinstance(result, Away):
                    _log.warning("%s %s: %s", group.whose.value, group.key, result.reason)
                else:
                    raise result
        return written

    def _due_strays(self) -> frozenset[Group]:
        """The strays that have been there for long enough."""
        now, strays = asyncio.get_running_loop().time(), self._settler.strays()
        self._strays = {group: self._strays.get(group, now) for group in strays}
        return frozenset(group for group, seen in self._strays.items() if now >= seen + self._stray_delay)

    async def _sleep(self) -> bool:
        """Sleep until the next round is due; True when something has failed before."""
        loop = asyncio.get_running_loop()
        times = [loop.time() + self._interval]
        # Those of the last round that aren't due yet.
        times += [
            seen + self._stray_delay
            for seen in self._strays.values()
            if seen + self._stray_delay > loop.time()
        ]
        try:
            async with asyncio.timeout_at(min(times)):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True
