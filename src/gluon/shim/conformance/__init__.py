"""`gluon-shim-conformance`: whether a backend keeps what docs/shim.md asks of it. See docs/backends.md."""
