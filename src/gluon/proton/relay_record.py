"""What the relay writes to `/gluon/relay`: the outbox rows that etcd has, and the database may still have."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from gluon.store.outbox import OutboxRow

_log = logging.getLogger(__name__)


class _Wire(msgspec.Struct, forbid_unknown_fields=True):
    rows: dict[int, list[int]]


_decoder = msgspec.json.Decoder(_Wire)


@dataclass(frozen=True, slots=True)
class RelayRecord:
    """Rows by id and by the number of the transaction that wrote them.

    Ids alone would do as long as etcd and the database belong together. A database that was made anew
    or restored counts its rows from an earlier number, and its rows must not be taken for those that
    etcd has; transaction numbers are random.
    """

    rows: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, rows: Iterable[OutboxRow]) -> RelayRecord:
        """The record of these rows."""
        return cls(frozenset((row.id, row.transaction) for row in rows))

    @classmethod
    def decode(cls, value: bytes) -> RelayRecord:
        """From etcd. A value that nobody can read counts as empty: the worst that follows is that the
        last batch is written once more, with the values that its keys have already.
        """
        try:
            wire = _decoder.decode(value)
        except msgspec.DecodeError as error:
            _log.warning("the relay's record in etcd can't be read, and is ignored: %s", error)
            return cls(frozenset())
        return cls(frozenset((i, transaction) for transaction, ids in wire.rows.items() for i in ids))

    def encode(self) -> bytes:
        """For etcd: `{"rows": {transaction: [id, ...]}}`."""
        ids: dict[int, list[int]] = defaultdict(list)
        for row_id, transaction in sorted(self.rows):
            ids[transaction].append(row_id)
        return msgspec.json.encode(_Wire(dict(ids)))
