"""OVN: ports, switches and routers in its northbound database.

What passes through: views of objects → what they ask for, as values (`reading`) → the rows that these need
(`mapping`, gathered in `plan`) → what differs from the rows that are there, as one transaction (`northbound`,
fed in batches by `writer`, and by `keeper` when somebody else changes rows).

Nothing here knows what is right by remembering what it did: rows are computed from etcd's objects, compared
with those of the database, and tagged, so that they are found again after any restart of either side.
"""
