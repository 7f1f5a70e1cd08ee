"""The Proton Server: hosts many Protons, owns the database, feeds etcd, waits for binds.

Passes through: HTTP requests down to the store, outbox rows out to etcd, answers of shims back in.
Never: the driving of a controller.
"""
