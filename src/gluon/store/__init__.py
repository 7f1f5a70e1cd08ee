"""The database: engines, the schema that a model needs, object statements, the outbox.

Passes through: rows and transactions. Never: HTTP, etcd, who may do what.
"""
