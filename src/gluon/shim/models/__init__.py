"""API models: how a shim understands the objects of one service.

Lives here: the generic one, which serves any model, and hand-written ones for what a model can't say.
"""
