"""A short run of what `make chaos` does for longer; the seed is another one each time, and printed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from system.chaos.plan import Fault, mishaps
from system.chaos.run import survive
from system.chaos.trouble import LEAST


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("database", "seconds"), [("postgresql", 25.0), ("galera", 15.0)])
async def test_whatever_dies_nothing_acknowledged_is_lost_and_all_agree_in_the_end(
    tmp_path: Path, database: str, seconds: float
) -> None:
    seed = int(os.environ.get("GLUON_SEED") or random.randrange(1_000_000))
    print(f"to repeat this: GLUON_SEED={seed}")
    survived = await survive(tmp_path, seed, seconds, print, database)
    print(survived)
    assert survived.acknowledged > 100
    assert sum(survived.mishaps.values()) >= LEAST


def test_a_seed_replays_the_same_mishaps() -> None:
    possible = {Fault.KILL: ["a", "b"], Fault.CUT: ["c"]}

    def first(seed: int) -> list[str]:
        plan = mishaps(seed, possible, {})
        return [str(next(plan)) for _ in range(20)]

    assert first(1) == first(1)
    assert first(1) != first(2)
