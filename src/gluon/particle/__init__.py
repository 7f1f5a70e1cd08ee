"""The Particle Generator: everything that a Proton needs, derived from one frozen model.

Lives here: logical tables, validators, OpenAPI documents, policy rules, command descriptions.
Passes through: a `Model` in, plain values out. Never: a connection, a request, a process.
"""
