"""`make chaos`: a long run, told as it goes. A seed that was printed replays the same mishaps and clients."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from system.chaos.databases import DATABASES
from system.chaos.run import survive


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    some_seed = random.randrange(1_000_000)
    parser.add_argument("--seed", type=int, default=some_seed, help="replay that run (default: another one)")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long it lasts (default: 120)")
    parser.add_argument("--database", choices=DATABASES, default="postgresql", help="(default: postgresql)")
    arguments = parser.parse_args()
    start = time.monotonic()

    def report(line: str) -> None:
        print(f"{time.monotonic() - start:7.1f} s  {line}", flush=True)

    again = f"--seed {arguments.seed} --seconds {arguments.seconds:g} --database {arguments.database}"
    print(f"seed {arguments.seed}; to repeat this: make chaos CHAOS='{again}'")
    with tempfile.TemporaryDirectory(prefix="gluon-chaos-") as folder:
        try:
            survived = asyncio.run(
                survive(Path(folder), arguments.seed, arguments.seconds, report, arguments.database)
            )
        except AssertionError as error:
            print(f"NOT survived, seed {arguments.seed}: {error}", file=sys.stderr)
            kept = Path(tempfile.mkdtemp(prefix="gluon-chaos-logs-"))
            for log in Path(folder).glob("*.log"):
                (kept / log.name).write_bytes(log.read_bytes())
            print(f"the logs are in {kept}", file=sys.stderr)
            return 1
    print(survived)
    return 0


if __name__ == "__main__":
    sys.exit(main())
