"""Statements compiled once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from gluon.store.statement import Statement, StatementCache, compile_statement, padded

DIALECT = sqlite.dialect(paramstyle="qmark")
TABLE = sa.Table("t", sa.MetaData(), sa.Column("a", sa.String), sa.Column("b", sa.String))


def test_values_are_arranged_as_the_text_wants_them() -> None:
    chosen = sa.select(TABLE.c.a).where(TABLE.c.b == sa.bindparam("x"), TABLE.c.a != sa.bindparam("y"))
    statement = compile_statement(chosen, DIALECT)

    assert statement.parameters == ("x", "y")
    assert statement.arrange({"y": 2, "x": 1, "unused": 3}) == (1, 2)
    assert statement.arrange((1, 2)) == (1, 2)
    assert Statement("SELECT ?", ("x",)).arrange({"x": "only"}) == ("only",)
    assert Statement("SELECT 1").arrange({}) == ()


def test_a_statement_that_carries_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="carries values for b_1"):
        compile_statement(sa.select(TABLE.c.a).where(TABLE.c.b == "somebody's"), DIALECT)


def test_the_cache_builds_a_shape_once_and_stays_small() -> None:
    cache, built = StatementCache(limit=10), []

    def build(shape: int) -> Statement:
        built.append(shape)
        return Statement(str(shape))

    for shape in (1, 1, 2):
        assert cache.get(shape, lambda shape=shape: build(shape)).text == str(shape)  # type: ignore[misc]
    assert built == [1, 2]
    for shape in range(1000):
        cache.get(shape, lambda shape=shape: build(shape))  # type: ignore[misc]
    assert len(cache) <= 10


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1000, 1024)])
def test_lists_are_padded_to_powers_of_two(count: int, size: int) -> None:
    assert padded(count) == size
