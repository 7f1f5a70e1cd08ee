"""The operator's own commands: `gluon up` and its relatives.

Lives here: what spans several processes of one installation. Never: what one server does by itself.
"""
