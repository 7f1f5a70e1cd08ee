"""The operator's own commands: `gluon up` and its relatives.

Lives here: what spans several processes of one installation.
Passes through: a command line in; child processes, their configuration files and logs out.
Never: what one server does by itself.
"""
