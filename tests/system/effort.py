"""How many random examples a test tries: the same few each time, or many new ones when asked for.

`GLUON_EXAMPLES=20 make unit TEST=tests/system/test_random_models.py` tries twenty times as many, other ones
each time; Hypothesis then prints what reproduces a failure.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

FACTOR = int(os.environ.get("GLUON_EXAMPLES", "1"))

# Threads of a server in this process take random numbers while Hypothesis watches that strategies do not.
WITH_A_SERVER = pytest.mark.filterwarnings(
    "ignore:Do not use the .random. module", "ignore:Generating overly"
)


def effort(examples: int, *, shrink: bool = True) -> settings:
    """Settings for a test; without `shrink` a failure is told as it was found, where less would take long."""
    return settings(
        max_examples=examples * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        print_blob=True,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
