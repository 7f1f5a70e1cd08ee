"""What backends raise that isn't theirs to raise: the log has all of it, the object's owner an id."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass

from gluon.shim.shelf import ObjectId

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Fault:
    id: str
    said: str


class Faults:
    """Unexpected exceptions by object; one that repeats itself keeps its id, and is logged once."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._faults: dict[ObjectId, _Fault] = {}

    def report(self, object_id: ObjectId, error: Exception, delay: float) -> str:
        """Log a fault (again in `delay` seconds); what its owner may know of it."""
        said = repr(error)
        fault = self._faults.get(object_id)
        if fault is None or fault.said != said:
            fault = self._faults[object_id] = _Fault(secrets.token_hex(4), said)
            _log.error(
                "%s: fault %s with %s, trying again in %.3g s and then with growing delays",
                *(self._service, fault.id, object_id, delay),
                exc_info=error,
            )
        return f"internal error {fault.id}"

    def forget(self, object_id: ObjectId) -> None:
        """It went well."""
        fault = self._faults.pop(object_id, None)
        if fault is not None:
            _log.info("%s: fault %s with %s is over", self._service, fault.id, object_id)
