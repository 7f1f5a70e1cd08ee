"""etcd v3: the keys of Gluon, a thin asyncio client, leases and elections, and the mirror.

Passes through: bytes under keys, with revisions. Never: what the bytes mean.
"""
