"""The tables of Gluon itself, the same for all models; their names begin with `gluon_`.

This is how they are now. Databases that have earlier ones get what came later from
`gluon.store.system_schema`: whoever adds something here adds it to a step there.
"""

from __future__ import annotations

import sqlalchemy as sa

from gluon.store.column_types import row_number, string, text

metadata = sa.MetaData()

schema = sa.Table(
    "gluon_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("serves_from", sa.Integer, nullable=False),
    sa.Column("applied_at", string(27), nullable=False),
)
"""The versions that these tables went through, see `gluon.store.system_schema`."""

names = sa.Table(
    "gluon_names",
    metadata,
    sa.Column("service", string(255), primary_key=True),
    sa.Column("name_of", string(64), primary_key=True),
    sa.Column("attribute", string(64), primary_key=True),
    sa.Column("physical", string(64), nullable=False),
)
"""The catalogue of physical names; `attribute` is '' for the name of a table."""

applied_models = sa.Table(
    "gluon_applied_models",
    metadata,
    sa.Column("service", string(255), primary_key=True),
    sa.Column("version", string(64), primary_key=True),
    sa.Column("digest", string(64), nullable=False),
    sa.Column("document", text(), nullable=False),
    sa.Column("applied_at", string(27), nullable=False),
)

ports = sa.Table(
    "gluon_ports",
    metadata,
    sa.Column("id", string(36), primary_key=True),
    sa.Column("service", string(255), nullable=False),
    sqlite_with_rowid=False,
)
"""The ids of the ports of all Protons: no two have the same."""

_AWAITS_ANSWER = sa.text("bind_state IN ('pending', 'timed_out')")

bindings = sa.Table(
    "gluon_bindings",
    metadata,
    sa.Column("port_id", string(36), primary_key=True),
    sa.Column("host", string(255), primary_key=True),
    sa.Column("service", string(255), nullable=False),
    sa.Column("bind_id", string(36), nullable=False),
    sa.Column("bind_state", string(16), nullable=False),
    sa.Column("profile", text()),
    sa.Column("vif_type", string(255)),
    sa.Column("vif_details", text()),
    # Servers look once a second for those that nobody has answered.
    sa.Index(
        "gluon_bindings_unanswered",
        "bind_state",
        sqlite_where=_AWAITS_ANSWER,
        postgresql_where=_AWAITS_ANSWER,
    ),
)
"""The inactive bindings of ports; the active one of each stands in the port's own row."""

outbox = sa.Table(
    "gluon_outbox",
    metadata,
    sa.Column("id", row_number(), primary_key=True, autoincrement=True),
    sa.Column("transaction_number", sa.BigInteger, nullable=False),
    sa.Column("key", text(), nullable=False),
    sa.Column("value", sa.LargeBinary),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("seen_revision", sa.BigInteger),
    sa.Column("trace", sa.Text),
    # Numbers are never used again, even when the newest row is gone: etcd remembers those that it has.
    sqlite_autoincrement=True,
)
"""What has to reach etcd: a key and its new value, NULL to delete it; `created` in seconds of the epoch.

`seen_revision`, where it is not NULL, makes the change a conditional one: it is carried out only while the
key's mod_revision in etcd is still this (0: while there is no such key), and dropped otherwise.
`trace` is the trace that the change belongs to (W3C Trace Context), NULL for none.
"""

set_aside = sa.Table(
    "gluon_outbox_set_aside",
    metadata,
    sa.Column("id", row_number(), primary_key=True, autoincrement=False),
    sa.Column("key", text(), nullable=False),
    sa.Column("reason", text(), nullable=False),
    sa.Column("since", sa.Double, nullable=False),
)
"""Outbox rows (by id) that etcd refuses for themselves. Nearly always empty."""

etcd_memory = sa.Table(
    "gluon_etcd_memory",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    # Unsigned 64 bits, which no column of all databases holds.
    sa.Column("cluster_id", string(16), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("debt", sa.BigInteger),
    sa.Column("reason", text()),
)
"""One row: which etcd was written to last, and up to which revision; and whether it has to be resynced.

`debt` is the number of the transaction in which that was found out, NULL when nothing is owed; `reason`
says why.
"""
