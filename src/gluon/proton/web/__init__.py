"""The HTTP side of the Proton Server: requests in, operations and reads called, documents out.

Handlers are generic: they look up what a path names in the registry's snapshot, so that no route is ever
added or removed. Never: SQL, etcd keys, rules of the model.
"""
