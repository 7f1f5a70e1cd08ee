"""The client's side: an HTTP session, the SDK, and the `protonclient` command.

Passes through: requests to a Proton Server. Never: a database, etcd, a model file.
"""
