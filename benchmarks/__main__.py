"""`make bench`: the product's figures beside raw floors of the same run, as a table and as JSON."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from . import binds, creates, feed, lists, neutron, nightly, packets, restart, resync, starts
from .results import Results

SCENARIOS = {
    "creates": creates.measure,
    "feed": feed.measure,
    "binds": binds.measure,
    "lists": lists.measure,
    "starts": starts.measure,
    "resync": resync.measure,
    "packets": packets.measure,
    "neutron": neutron.measure,
}
ON_DEMAND = {"nightly": nightly.measure, "restart": restart.measure}
"""These take so long that they run only when they are asked for."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "scenarios", nargs="*", help=f"some of: {', '.join(SCENARIOS)} (default: all), {', '.join(ON_DEMAND)}"
    )
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    arguments = parser.parse_args()
    scenarios = SCENARIOS | ON_DEMAND
    unknown = [name for name in arguments.scenarios if name not in scenarios]
    if unknown:
        parser.error(f"there is no scenario {unknown[0]}; there are {', '.join(scenarios)}")
    results = Results()
    for name in arguments.scenarios or SCENARIOS:
        with tempfile.TemporaryDirectory(prefix="gluon-bench-") as folder:
            asyncio.run(scenarios[name](results, Path(folder)))
    print(f"\n{results.table()}\n\nas JSON: {arguments.json}")
    results.write(arguments.json)
    missed = [figure.name for figure in results.figures if figure.reached is False]
    if missed:
        print(f"not reached: {', '.join(missed)}", file=sys.stderr)


if __name__ == "__main__":
    main()
