"""Which service has which address of the transit switch.

Nobody keeps a list: the addresses follow from the services alone, so that several shim servers, and one after
a restart, find the same. A service has the slot that its key hashes to, or the next free one; older ones come
first, so a new service takes nothing from those that are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from gluon.shim.backends.ovn.wishes import ServiceWish


def assign_slots(services: Iterable[ServiceWish], count: int) -> dict[str, int]:
    """Slots 1 to `count` by service key; services that find none are left out."""
    taken: dict[int, str] = {}
    for service in sorted(services, key=lambda service: (service.since, service.key)):
        if len(taken) == count:
            break
        slot = _preferred(service.key, count)
        while slot in taken:
            slot = slot % count + 1
        taken[slot] = service.key
    return {key: slot for slot, key in taken.items()}


def _preferred(key: str, count: int) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) % count + 1
