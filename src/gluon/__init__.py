"""Gluon: a model of a networking service in, a running API with a change feed to SDN controllers out."""

__version__ = "0.3.0"
