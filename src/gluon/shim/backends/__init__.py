"""Backends: what drives one kind of controller. Others come as packages with an entry point of their own."""
