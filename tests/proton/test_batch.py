"""Which outbox rows go to etcd together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gluon.proton.batch import Batch, next_batch, size_of
from gluon.store.outbox import OutboxRow


def rows_of(*transactions: list[tuple[str, bytes | None]]) -> list[OutboxRow]:
    rows: list[OutboxRow] = []
    for number, changes in enumerate(transactions, 1):
        rows += [OutboxRow(len(rows) + i, number, key, value) for i, (key, value) in enumerate(changes, 1)]
    return rows


def ids(batch: Batch) -> list[int]:
    return list(batch.ids)


def test_nothing_waiting_makes_an_empty_batch() -> None:
    assert next_batch([]).rows == ()


def test_a_key_is_in_a_batch_once_with_its_last_value() -> None:
    batch = next_batch(rows_of([("/a", b"1")], [("/b", b"1")], [("/a", b"2")]))
    assert batch.changes == {"/a": b"2", "/b": b"1"}
    assert ids(batch) == [1, 2, 3]


def test_a_value_and_its_deletion_become_a_deletion() -> None:
    assert next_batch(rows_of([("/a", b"1")], [("/a", None)])).changes == {"/a": None}


def test_a_key_put_again_after_its_deletion_waits_for_the_next_batch() -> None:
    rows = rows_of([("/a", b"1"), ("/b", b"1")], [("/a", None)], [("/c", b"1"), ("/a", b"2")])
    assert ids(next_batch(rows)) == [1, 2, 3]
    assert ids(next_batch(rows[3:])) == [4, 5]


def test_a_condition_goes_with_the_change_that_decides_about_its_key() -> None:
    plain, conditional, later = (
        OutboxRow(1, 1, "/a", b"plain"),
        OutboxRow(2, 2, "/a", b"conditional", 7),
        OutboxRow(3, 3, "/a", b"later", 7),
    )
    for rows, value, conditions, dropped in (
        ([conditional], b"conditional", {"/a": 7}, 0),
        ([conditional, later], b"conditional", {"/a": 7}, 1),
        # Whoever wrote the key meanwhile knew better.
        ([plain, conditional], b"plain", {}, 1),
        ([conditional, plain], b"plain", {}, 1),
    ):
        batch = next_batch(rows)
        assert (batch.changes, batch.conditions, batch.dropped) == ({"/a": value}, conditions, dropped)
        assert batch.rows == tuple(rows)


def test_the_number_of_keys_is_bounded() -> None:
    rows = rows_of(*[[(f"/{i}", b"v")] for i in range(300)])
    assert len(next_batch(rows).changes) == 126


def test_the_number_of_rows_is_bounded_even_for_one_key() -> None:
    rows = rows_of(*[[("/a", b"%d" % i)] for i in range(3000)])
    assert len(next_batch(rows).rows) == 1024


def test_the_size_is_bounded() -> None:
    rows = rows_of(*[[(f"/{i}", bytes(400_000))] for i in range(5)])
    assert ids(next_batch(rows)) == [1, 2]


def test_a_value_that_is_overwritten_in_the_batch_takes_no_room() -> None:
    rows = rows_of(*[[("/a", bytes(400_000))] for _ in range(5)])
    assert ids(next_batch(rows)) == [1, 2, 3, 4, 5]


def test_a_row_too_large_for_any_batch_goes_alone() -> None:
    rows = rows_of([("/a", b"1")], [("/huge", bytes(3_000_000))], [("/b", b"1")])
    assert ids(next_batch(rows)) == [1]
    assert ids(next_batch(rows[1:])) == [2]


def test_a_transaction_that_does_not_fit_any_more_starts_the_next_batch() -> None:
    rows = rows_of([("/a", b"1"), ("/b", b"1")], [("/c", b"1"), ("/d", b"1"), ("/e", b"1")])
    assert ids(next_batch(rows, max_keys=4)) == [1, 2]


def test_a_transaction_larger_than_a_batch_is_split() -> None:
    rows = rows_of([(f"/{i}", b"1") for i in range(10)])
    assert ids(next_batch(rows, max_keys=4)) == [1, 2, 3, 4]


def test_a_last_transaction_that_may_go_on_is_left_for_later() -> None:
    rows = rows_of([("/a", b"1")], [("/b", b"1"), ("/c", b"1")])
    assert ids(next_batch(rows, more_to_come=True)) == [1]
    assert ids(next_batch(rows[1:], more_to_come=True)) == [2, 3]


transactions = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["/a", "/b", "/c", "/d"]), st.none() | st.binary(max_size=60)),
        min_size=1,
        max_size=6,
    ),
    max_size=20,
)


@given(transactions, st.integers(1, 5), st.integers(1, 300), st.integers(1, 8), st.booleans())
def test_batches_in_a_row_end_in_the_same_state_as_row_by_row(
    changes: list[list[tuple[str, bytes | None]]], max_keys: int, max_bytes: int, max_rows: int, more: bool
) -> None:
    rows = rows_of(*changes)
    state: dict[str, bytes | None] = {}
    left = list(rows)
    while left:
        batch = next_batch(left, more_to_come=more, max_keys=max_keys, max_bytes=max_bytes, max_rows=max_rows)
        assert batch.rows == tuple(left[: len(batch.rows)])
        assert 0 < len(batch.rows) <= max_rows
        assert len(batch.changes) <= max_keys
        sizes = {row.key: size_of(row) for row in batch.rows}
        assert sum(sizes.values()) <= max_bytes or len(batch.rows) == 1
        state.update(batch.changes)
        left = left[len(batch.rows) :]
    assert state == {row.key: row.value for row in rows}
