"""The shim layer: a process beside an SDN controller that watches etcd, acts, and answers.

Passes through: objects from etcd as read-only views, callbacks to a backend, answers and journals
back to etcd. Never: the database, the HTTP API.
"""
