"""A statement as the bare driver runs it: SQL text, and the order of its parameters.

Statements are built with SQLAlchemy Core and compiled here, once; at run time only the text and a
tuple of values go to the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import BindParameter, ClauseElement

Parameters: TypeAlias = Mapping[str, Any] | tuple[Any, ...]
"""Values by the names in `Statement.parameters`, or a tuple of them in that order."""


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    if names:
        only = names[0]
        return lambda values: (values[only],)
    return lambda values: ()


@dataclass(frozen=True)
class Statement:
    """SQL text with positional placeholders, and the names of its parameters in their order."""

    text: str
    parameters: tuple[str, ...] = ()
    _pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pick", _picker(self.parameters))

    def arrange(self, parameters: Parameters) -> tuple[Any, ...]:
        """The values in the order of the placeholders; a tuple is taken as it is."""
        return parameters if isinstance(parameters, tuple) else self._pick(parameters)


def compile_statement(clause: ClauseElement, dialect: Dialect) -> Statement:
    """Compile a clause whose every parameter is named.

    Raises ValueError when the clause carries a value: a value in a statement that is kept and run
    again would be somebody else's.
    """
    compiled = clause.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    binds: Mapping[BindParameter[Any], str] = getattr(compiled, "bind_names", {})
    carried = [name for bind, name in binds.items() if not bind.required]
    if carried:
        raise ValueError(f"the statement carries values for {', '.join(carried)}: {compiled}")
    names: list[str] | None = getattr(compiled, "positiontup", None)
    return Statement(str(compiled), tuple(names or ()))


def limited(chosen: sa.Select[Any]) -> sa.Select[Any]:
    """Give a query a parameter `limit` for the most rows that it may give."""
    # SQLite's dialect would add an offset as a value, which no kept statement may carry.
    return chosen.limit(sa.bindparam("limit")).offset(sa.literal_column("0", sa.Integer))


class StatementCache:
    """Statements by their shape, for those that depend on which attributes a request names.

    Bounded, since requests choose the shapes: when full it starts afresh. Threads may share it; at
    worst two of them compile the same statement.
    """

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._statements: dict[Hashable, Statement] = {}

    def __len__(self) -> int:
        return len(self._statements)

    def get(self, shape: Hashable, build: Callable[[], Statement]) -> Statement:
        """The statement of that shape, built if there is none."""
        statement = self._statements.get(shape)
        if statement is None:
            statement = build()
            if len(self._statements) >= self._limit:
                self._statements = {}
            self._statements[shape] = statement
        return statement


def padded(count: int) -> int:
    """The next power of two: lists of values are filled up to it, so that few shapes cover all sizes."""
    return 1 << max(0, count - 1).bit_length()
