"""What the relay does for traces: hands them on to the shims, and records its own part in them.

Beside the key of an object stands one with the trace that the object was last changed in, written in the
same transaction: so it has the same mod_revision, and one with another belongs to an older change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

import msgspec

from gluon.etcd.keys import Keys
from gluon.etcd.transaction import Op
from gluon.log.traces import fields_of
from gluon.proton.batch import MAX_KEYS, Batch

if TYPE_CHECKING:
    from gluon.telemetry.tracer import Tracer


class RelayTraces:
    """For a relay whose server exports traces."""

    max_keys = MAX_KEYS // 2
    """In one batch: each key may bring another one with it."""

    def __init__(self, keys: Keys, tracer: Tracer) -> None:
        self._keys = keys
        self._tracer = tracer

    def operations(self, batch: Batch, dropped: Container[str]) -> Iterator[Op]:
        """What goes with a batch, but for the changes that are dropped from it."""
        last = {row.key: row for row in batch.rows if row.key not in dropped}
        for row in last.values():
            parsed = self._keys.parse(row.key)
            if parsed.root != "proton":
                continue
            key = self._keys.trace(*parsed.segments)
            if row.value is None:
                yield Op.delete(key)
            elif row.trace is not None:
                yield Op.put(key, msgspec.json.encode(fields_of(row.trace)))

    def sent(self, batch: Batch, revision: int, seconds: float) -> None:
        """Record how long etcd took for a batch, which is of that revision."""
        traces = Counter(row.trace for row in batch.rows if row.trace is not None)
        for trace, keys in traces.items():
            attributes = {"gluon.etcd.revision": revision, "gluon.keys": keys, "gluon.rows": len(batch.rows)}
            self._tracer.record("relay", trace, seconds, attributes, kind="sending")
