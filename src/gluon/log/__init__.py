"""How both servers log: as text or as JSON lines, with the id of the request that a line belongs to.

Knows of logging alone: nothing of models, databases, etcd or HTTP.
"""
