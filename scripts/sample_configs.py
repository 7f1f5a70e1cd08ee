"""Write docs/*.conf.sample, from the servers' own options (or into a directory that is named)."""

from __future__ import annotations

import sys
from pathlib import Path

from oslo_config import generator

SAMPLES = {"proton.conf.sample": "gluon.proton", "proton-shim.conf.sample": "gluon.shim"}


def write_samples(directory: Path) -> None:
    for name, namespace in SAMPLES.items():
        generator.main(["--namespace", namespace, "--output-file", str(directory / name)])


if __name__ == "__main__":
    write_samples(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs")
