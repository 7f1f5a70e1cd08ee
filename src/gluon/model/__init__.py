"""The model language: from YAML documents to a frozen, digested `Model`.

Lives here: documents with positions, merging, the compiler, formats, the catalog of services on disk.
Passes through: YAML text in, `Model` values and located problems out. Never: databases, HTTP, etcd.
"""
