"""What goes wrong when: a list made from a seed, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What can happen to a part."""

    KILL = "killed with -9, started again"
    PAUSE = "stopped and resumed"
    RESTART = "asked to end, started again"
    CUT = "cut off, and back"


@dataclass(frozen=True, slots=True)
class Mishap:
    """One fault of one part: it begins `pause` seconds after the last one did, and lasts for `duration`."""

    fault: Fault
    part: str
    pause: float
    duration: float

    def __str__(self) -> str:
        return f"{self.part}: {self.fault.value} ({self.duration:.1f} s)"


def mishaps(
    seed: int, possible: Mapping[Fault, Sequence[str]], weights: Mapping[str, int]
) -> Iterator[Mishap]:
    """Without end: faults of the `possible` parts, those with a higher weight more often (1 by default)."""
    chance = random.Random(seed)
    choices = [(fault, part) for fault, parts in possible.items() for part in parts]
    how_often = [weights.get(part, 1) for _, part in choices]
    while True:
        [(fault, part)] = chance.choices(choices, how_often)
        # Short ones are over before anybody's deadline, long ones outlast leases and waits.
        duration = chance.choice((0.2, 0.7, 1.5, 3.0, 7.0))
        yield Mishap(fault, part, pause=chance.uniform(0.1, 2.0), duration=duration)
