"""Which outbox rows go to etcd in one transaction.

A batch is always a prefix of the rows that wait, so no row ever overtakes another. What it holds is
decided here, by pure functions; sending it is the relay's work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from gluon.store.outbox import OutboxRow

MAX_KEYS = 126
"""etcd takes 128 operations in a transaction by default (`--max-txn-ops`), and as many conditions.

One operation is for the relay's own key, and two conditions are its own; each key may have one.
"""

MAX_BYTES = 1024 * 1024
"""Of keys and values in one batch; etcd refuses requests over 1.5 MiB by default (`--max-request-bytes`)."""

MAX_ROWS = 1024
"""Many changes of one key are one operation, but their ids all go into the relay's own key."""

_OPERATION_BYTES = 32
"""What an operation costs in a request besides its key and value, rounded up."""


def size_of(row: OutboxRow) -> int:
    """Bytes that a row adds to a request."""
    # Keys are percent-encoded, so a character is a byte.
    return len(row.key) + len(row.value or b"") + _OPERATION_BYTES


@dataclass(frozen=True)
class Batch:
    """Rows that go to etcd in one transaction, in the order of the outbox."""

    rows: tuple[OutboxRow, ...]

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """The rows' ids."""
        return tuple(row.id for row in self.rows)

    @cached_property
    def changes(self) -> dict[str, bytes | None]:
        """Each key once, with its last value."""
        return {key: row.value for key, row in self._deciding.items()}

    @cached_property
    def conditions(self) -> dict[str, int]:
        """The keys that change only while they have this mod_revision."""
        return {k: row.seen_revision for k, row in self._deciding.items() if row.seen_revision is not None}

    @cached_property
    def dropped(self) -> int:
        """How many conditional changes come to nothing, because another row decides about their key."""
        return sum(row.seen_revision is not None for row in self.rows) - len(self.conditions)

    @cached_property
    def _deciding(self) -> dict[str, OutboxRow]:
        rows: dict[str, OutboxRow] = {}
        for row in self.rows:
            # What comes before a conditional change gives its key another revision.
            if row.seen_revision is None or row.key not in rows:
                rows[row.key] = row
        return rows


def next_batch(
    rows: Sequence[OutboxRow],
    *,
    more_to_come: bool = False,
    max_keys: int = MAX_KEYS,
    max_bytes: int = MAX_BYTES,
    max_rows: int = MAX_ROWS,
) -> Batch:
    """The longest prefix of `rows` that makes a batch; empty only if `rows` are.

    Rows of one database transaction stay together: a transaction that doesn't fit in what is left of
    a batch starts the next one, and only one that is larger than a whole batch is split. With
    `more_to_come` the last transaction in `rows` may go on behind them, and is left for the next
    batch unless it is all there is.

    A key that is put again after its deletion starts a new batch. Watchers see only the last value of
    each key in a batch; without this rule an object that was made anew under its old key would look
    to them like the old one with its revision gone back.

    A row that is too large on its own makes a batch of its own: whether it is refused is for etcd to say.
    """
    fitting = _Fitting(max_keys, max_bytes, max_rows)
    taken = 0
    for run in _transactions(rows):
        before = taken
        for row in run:
            if not fitting.take(row):
                return Batch(tuple(rows[: before or taken]))
            taken += 1
        if more_to_come and taken == len(rows) and before:
            return Batch(tuple(rows[:before]))
    return Batch(tuple(rows))


def _transactions(rows: Sequence[OutboxRow]) -> Iterator[list[OutboxRow]]:
    for _, run in groupby(rows, key=lambda row: row.transaction):
        yield list(run)


class _Fitting:
    """What a batch holds while it is being filled."""

    def __init__(self, max_keys: int, max_bytes: int, max_rows: int) -> None:
        self._max_keys, self._max_bytes, self._max_rows = max_keys, max_bytes, max_rows
        self._sizes: dict[str, int] = {}
        self._deleted: set[str] = set()
        self._bytes = 0
        self._rows = 0

    def take(self, row: OutboxRow) -> bool:
        size = size_of(row)
        total = self._bytes - self._sizes.get(row.key, 0) + size
        is_new = row.key not in self._sizes
        if self._rows and (
            self._rows == self._max_rows
            or (is_new and len(self._sizes) == self._max_keys)
            or total > self._max_bytes
            or (row.value is not None and row.key in self._deleted)
        ):
            return False
        self._rows += 1
        if row.seen_revision is not None and not is_new:
            return True  # it comes to nothing
        self._sizes[row.key] = size
        self._bytes = total
        if row.value is None:
            self._deleted.add(row.key)
        return True
