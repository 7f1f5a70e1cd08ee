"""The tables that a model needs, in the terms of the model: no SQL, no physical names.

The store gives tables and columns their physical names and makes them; see `gluon.store.schema`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from gluon.model.model import ApiObject, Attribute, AttributeType, Model, Role

CREATED_AT = "created_at"
UPDATED_AT = "updated_at"
REVISION_NUMBER = "revision_number"
BIND_ID = "bind_id"
BIND_STATE = "bind_state"


class BindState(enum.StrEnum):
    """Where the binding of a port stands; a port that was never bound has none."""

    PENDING = "pending"
    TIMED_OUT = "timed_out"
    """Whoever waited gave up; an answer is still welcome."""
    ANSWERED = "answered"
    REFUSED = "refused"
    UNBOUND = "unbound"


OWNER = ":owner"
"""The column that holds `tenant_id` in one spelling; the colon keeps it apart from all attributes."""
TENANT_ID = "tenant_id"

LONGEST_HOST_ID = 255
_FREE_TEXT = ("profile", "vif_details")


class ColumnType(enum.Enum):
    """What a column holds."""

    INTEGER = "integer"
    """64 bits, signed."""
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: of an attribute (by its name) or of the system.

    `length` counts characters; None is text of any length. An attribute that a model requires is
    nullable all the same: rows made through an older version of the model may lack it, and what a
    version requires binds the writes through that version.
    """

    name: str
    type: ColumnType
    nullable: bool = True
    length: int | None = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A column whose value must be the key of a `target` object; None: an identity of the service."""

    column: str
    target: str | None


@dataclass(frozen=True)
class ObjectTable:
    """The table of one object: its attributes in declared order, then the system's columns."""

    service: str
    object: str
    role: Role
    key: str
    columns: tuple[Column, ...]
    unique: tuple[tuple[str, ...], ...]
    """Sets of columns that are unique together, beside the key."""
    foreign_keys: tuple[ForeignKey, ...]
    indexes: tuple[tuple[str, ...], ...]
    """Columns to be found by: every reference, and the owner; each followed by the key, in which
    lists are sorted by default."""
    has_identity: bool
    """Whether its keys belong in the service's identity table."""

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns that make a row: all but the owner's normalised form."""
        return tuple(column.name for column in self.columns if column.name != OWNER)


_COLUMN_TYPES: Mapping[AttributeType, ColumnType] = {
    AttributeType.INTEGER: ColumnType.INTEGER,
    AttributeType.NUMBER: ColumnType.DOUBLE,
    AttributeType.BOOLEAN: ColumnType.BOOLEAN,
    AttributeType.STRING: ColumnType.TEXT,
    AttributeType.UUID: ColumnType.TEXT,
    AttributeType.ENUM: ColumnType.TEXT,
}


def _length(api_object: ApiObject, attribute: Attribute) -> int | None:
    if attribute.value_type is AttributeType.UUID:
        return 36
    if attribute.value_type is AttributeType.ENUM:
        return max((len(value) for value in attribute.values), default=255)
    if attribute.value_type is not AttributeType.STRING:
        return None
    if api_object.role is Role.PORT:
        if attribute.name in _FREE_TEXT:
            return None
        if attribute.name == "host_id":
            return max(attribute.length or 0, LONGEST_HOST_ID)
    return attribute.length


def identified_objects(model: Model) -> frozenset[str]:
    """The objects of which some attribute may name any one: those need a common identity table."""
    return frozenset(
        name
        for api_object in model.objects.values()
        for attribute in api_object.references
        if len(attribute.refers_to) > 1
        for name in attribute.refers_to
    )


def table_for(model: Model, api_object: ApiObject) -> ObjectTable:
    """The table of an object of the model; raises ValueError for a name that the system needs itself."""
    key = api_object.key
    columns = [
        Column(a.name, _COLUMN_TYPES[a.value_type], nullable=a.name != key, length=_length(api_object, a))
        for a in api_object.attributes.values()
    ]
    columns += [
        Column(CREATED_AT, ColumnType.TEXT, nullable=False, length=27),
        Column(UPDATED_AT, ColumnType.TEXT, nullable=False, length=27),
        Column(REVISION_NUMBER, ColumnType.INTEGER, nullable=False),
    ]
    if api_object.role is Role.PORT:
        columns += [
            Column(BIND_ID, ColumnType.TEXT, length=36),
            Column(BIND_STATE, ColumnType.TEXT, length=16),
        ]
    foreign_keys = tuple(
        ForeignKey(a.name, a.refers_to[0] if len(a.refers_to) == 1 else None) for a in api_object.references
    )
    found_by = [foreign_key.column for foreign_key in foreign_keys if foreign_key.column != key]
    if TENANT_ID in api_object.attributes:
        columns.append(Column(OWNER, ColumnType.TEXT, length=api_object.attributes[TENANT_ID].length or 255))
        found_by.append(OWNER)
    if len({column.name for column in columns}) < len(columns):
        raise ValueError(f"{api_object.name} has an attribute with the name of a system column")
    # Attributes that are unique together and have the key among them are so because of the key alone.
    unique = api_object.unique_together
    return ObjectTable(
        service=model.service,
        object=api_object.name,
        role=api_object.role,
        key=key,
        columns=tuple(columns),
        unique=(unique,) if unique and key not in unique else (),
        foreign_keys=foreign_keys,
        indexes=tuple((column, key) for column in found_by),
        has_identity=api_object.name in identified_objects(model),
    )
