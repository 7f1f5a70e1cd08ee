"""What a benchmark found: figures beside their raw floor, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured figure, beside the floor of the same run where there is one."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    floor_name: str = ""
    reach: str = ""
    """What it should reach, in words."""
    reached: bool | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None


@dataclass
class Results:
    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        print(_line(figure), flush=True)

    def write(self, path: Path) -> None:
        document = {
            "machine": {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "load": os.getloadavg(),
            },
            "figures": [asdict(f) | {"ratio": f.ratio} for f in self.figures],
        }
        path.write_text(json.dumps(document, indent=2) + "\n")

    def table(self) -> str:
        rows = [("figure", "measured", "floor", "ratio", "reach", "")]
        for f in self.figures:
            floor = f"{f.floor:,.2f} {f.unit} ({f.floor_name})" if f.floor is not None else ""
            ratio = f"{f.ratio:.2f}" if f.ratio is not None else ""
            verdict = "" if f.reached is None else ("reached" if f.reached else "NOT reached")
            rows.append((f.name, f"{f.value:,.2f} {f.unit}", floor, ratio, f.reach, verdict))
        widths = [max(len(row[i]) for row in rows) for i in range(6)]
        return "\n".join(
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def _line(f: Figure) -> str:
    floor = f"   floor {f.floor:,.2f} {f.unit} ({f.floor_name}), ratio {f.ratio:.2f}" if f.floor else ""
    return f"{f.name}: {f.value:,.2f} {f.unit}{floor}"
