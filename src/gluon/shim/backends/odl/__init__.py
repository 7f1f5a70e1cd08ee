"""OpenDaylight: VPN instances, interfaces and Neutron's objects in NetVirt's datastore, by RESTCONF.

What passes through: views of objects → what they ask for, as values (`reading`, kept in `plan`) → entries of
the controller's lists (`documents`) → what differs from the entries that are there (`settling`), as PUT and
DELETE of single entries (`restconf`). `keeper` reads the lists again every so often.

Nothing here knows what is right by remembering what it did: entries are computed from etcd's objects and
compared with those of the controller, and bear marks, so that they are found again after any restart.
"""
