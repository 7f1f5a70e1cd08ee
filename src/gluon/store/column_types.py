"""Types of columns that mean the same in every database: text compares byte for byte.

On MariaDB whole tables have a collation, and its own types: see `gluon.store.mariadb_dialect`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

BYTES = "C"
"""PostgreSQL's collation that compares bytes."""


def string(length: int) -> sa.types.TypeEngine[Any]:
    """Text of at most that many characters."""
    return sa.String(length).with_variant(sa.String(length, collation=BYTES), "postgresql")


def text() -> sa.types.TypeEngine[Any]:
    """Text of any length."""
    return sa.Text().with_variant(sa.Text(collation=BYTES), "postgresql")


def row_number() -> sa.types.TypeEngine[Any]:
    """A number that the database gives: 64 bits, and on SQLite what it can number by itself."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
