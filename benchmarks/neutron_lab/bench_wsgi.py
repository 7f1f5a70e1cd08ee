"""Neutron's API for a WSGI server: `bench_wsgi:application`; its configuration comes by environment."""

import sys

# Neutron reads the command line of whatever process it is imported into, here the WSGI server's.
sys.argv = ["neutron-api"]

from neutron.wsgi.api import application  # noqa: E402, F401
