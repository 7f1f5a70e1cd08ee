"""How statements and tables are written for MariaDB.

Strings are compared byte for byte (`utf8mb4_nopad_bin`: case, accents and trailing spaces count). A string
that nothing finds rows by becomes a TEXT, whatever its length: all VARCHARs of a row together may have 65,535
bytes, four for each character, which 64 strings of the usual length would fill.

Tables are made with the check of foreign keys off, as restoring a dump does it: InnoDB then takes references
to tables that are still to come, so those may form circles, and a table with all of its keys is one
statement. Once the other table is there InnoDB checks them as it checks all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler
from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect
from sqlalchemy.schema import CreateTable

COLLATION = "utf8mb4_nopad_bin"
_OPTIONS = f" ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE {COLLATION}"
_UNCHECKED = "SET STATEMENT foreign_key_checks=0 FOR "

_LARGEST_KEY = 3072
"""Bytes in a key of InnoDB, with ROW_FORMAT=DYNAMIC and pages of 16 KiB."""
_BYTES_OF_CHARACTER = 4


def _key_size(column: sa.Column[Any]) -> int:
    """Bytes that a column takes in a key."""
    if isinstance(column.type, sa.String):
        return _BYTES_OF_CHARACTER * (column.type.length or _LARGEST_KEY)
    return 8


def _is_found_by(column: sa.Column[Any]) -> bool:
    """Whether a key, an index or a reference has the column."""
    if column.primary_key or column.foreign_keys:
        return True
    unique = [c for c in column.table.constraints if isinstance(c, sa.UniqueConstraint)]
    keys = [*(index.columns for index in column.table.indexes), *(c.columns for c in unique)]
    return any(column.name in columns for columns in keys)


class _Types(MySQLTypeCompiler):
    def visit_VARCHAR(self, type_: Any, type_expression: Any = None, **kw: Any) -> str:
        if isinstance(type_expression, sa.Column) and not _is_found_by(type_expression):
            return "TEXT" if type_.length * _BYTES_OF_CHARACTER < 1 << 16 else "LONGTEXT"
        return super().visit_VARCHAR(type_, **kw)

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:
        return "LONGTEXT"

    def visit_large_binary(self, type_: Any, **kw: Any) -> str:
        return "LONGBLOB"


class _Ddl(MySQLDDLCompiler):
    def visit_create_table(self, create: CreateTable, **kw: Any) -> str:
        text: str = super().visit_create_table(create, **kw)  # type: ignore[no-untyped-call]
        return _UNCHECKED + text.strip()

    def visit_drop_table(self, drop: sa.schema.DropTable, **kw: Any) -> str:
        text: str = super().visit_drop_table(drop, **kw)  # type: ignore[no-untyped-call]
        return _UNCHECKED + text.strip()

    def post_create_table(self, table: sa.Table) -> str:
        return _OPTIONS

    def create_table_constraints(
        self, table: sa.Table, _include_foreign_key_constraints: Any = None, **kw: Any
    ) -> str:
        constraints: str = super().create_table_constraints(  # type: ignore[no-untyped-call]
            table, _include_foreign_key_constraints=_include_foreign_key_constraints, **kw
        )
        indexes = [self._index(index) for index in sorted(table.indexes, key=lambda i: str(i.name))]
        return ", \n\t".join([*([constraints] if constraints else []), *indexes])

    def visit_primary_key_constraint(self, constraint: sa.PrimaryKeyConstraint, **kw: Any) -> str:
        # It is called PRIMARY, whatever it is named.
        text: str = super().visit_primary_key_constraint(constraint, **kw)
        return text[text.index("PRIMARY KEY") :]

    def visit_unique_constraint(self, constraint: sa.UniqueConstraint, **kw: Any) -> str:
        if sum(map(_key_size, constraint.columns)) <= _LARGEST_KEY:
            return super().visit_unique_constraint(constraint, **kw)
        # Too long for a key: what is unique is the digest of all values, with their lengths, since those of
        # two rows that differ could be the same when put together. NULL makes it NULL: not compared.
        name = self.preparer.quote(str(constraint.name))
        column = self.preparer.quote(f"{constraint.name}_of")
        parts = ", ".join(
            f"LENGTH({quoted}), 0x3A, {quoted}"
            for quoted in (self.preparer.format_column(member) for member in constraint.columns)
        )
        digest = f"{column} BINARY(32) AS (UNHEX(SHA2(CONCAT({parts}), 256))) PERSISTENT"
        return f"{digest}, \n\tCONSTRAINT {name} UNIQUE ({column})"

    def _index(self, index: sa.Index) -> str:
        """An index as part of its table; columns that don't fit into it are cut, or left out."""
        left = _LARGEST_KEY
        members: list[str] = []
        for column in _columns(index):
            size = _key_size(column)
            if left < _BYTES_OF_CHARACTER:
                break
            cut = f"({left // _BYTES_OF_CHARACTER})" if size > left else ""
            members.append(f"{self.preparer.format_column(column)}{cut}")
            left -= size
        return f"KEY {self.preparer.quote(str(index.name))} ({', '.join(members)})"


def _columns(index: sa.Index) -> Iterable[sa.Column[Any]]:
    return (column for column in index.columns if isinstance(column, sa.Column))


class MariadbDialect(MariaDBDialect):
    """SQLAlchemy's, with the types and the tables of this module, for placeholders as asyncmy has them."""

    name = "mysql"
    type_compiler_cls = _Types
    ddl_compiler = _Ddl
    supports_statement_cache = False
    tables_hold_indexes = True
    """Whether CREATE TABLE makes the indexes, too."""

    def __init__(self) -> None:
        super().__init__(paramstyle="qmark")
