"""Circles among the objects of a model: of identifying keys, of parents, of what each needs to exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gluon.model.inventory import Inventory
from gluon.model.problems import Position, Report


def check_circles(inventory: Inventory, report: Report) -> None:
    """Report circles; each once, at the first of its objects."""
    keys = {
        name: inventory.target(inventory.attributes[name].get(inventory.primary[name][0], {}))
        for name in inventory.api_names
        if inventory.primary[name]
    }
    _report_circles(
        keys,
        lambda name: (
            inventory.position(name, inventory.primary[name][0], "type"),
            inventory.primary[name][0],
        ),
        "identifying keys refer to each other in a circle",
        report,
    )
    declared = inventory.declared
    parents = {name: declared[name].api.get("parent") for name in inventory.api_names}
    _report_circles(
        parents, lambda name: (declared[name].at("api.parent"), None), "parents go in a circle", report
    )
    _check_needs(inventory, report)


def _report_circles(
    following: Mapping[str, str | None],
    place: Callable[[str], tuple[Position, str | None]],
    message: str,
    report: Report,
) -> None:
    settled: set[str] = set()
    for start in following:
        trail = list(_follow(following, start, settled))
        settled.update(trail)
        after = following.get(trail[-1]) if trail else None
        if after in trail:
            circle = trail[trail.index(after) :]
            shown = " → ".join((*circle, str(after)))
            position, attribute = place(circle[0])
            report.error(position, f"{message}: {shown}", circle[0], attribute)


def _follow(following: Mapping[str, str | None], start: str, settled: set[str]) -> Iterator[str]:
    seen: set[str] = set()
    current: str | None = start
    while current is not None and current in following and current not in seen and current not in settled:
        seen.add(current)
        yield current
        current = following[current]


def _check_needs(inventory: Inventory, report: Report) -> None:
    """Warn of objects that need each other at creation, so that none of them can come first."""
    needs: dict[str, dict[str, str]] = {}
    for name in inventory.api_names:
        for attribute, keywords in inventory.attributes[name].items():
            target = inventory.target(keywords)
            if target is not None and keywords.get("required"):
                needs.setdefault(name, {}).setdefault(target, attribute)
    found_one = True
    # What needs nothing that is stuck can be created, and then what needs that, and so on.
    while found_one:
        found_one = False
        for name in list(needs):
            needs[name] = {target: attribute for target, attribute in needs[name].items() if target in needs}
            if not needs[name]:
                del needs[name]
                found_one = True
    for name, wanted in needs.items():
        target, attribute = next(iter(wanted.items()))
        if name in _reachable(needs, target) or target == name:
            message = (
                f"no {name} can be created first: it requires a {target}, which in the end requires a {name}"
            )
        else:
            message = f"no {name} can be created: it requires a {target}, and none of those can be"
        report.warning(inventory.position(name, attribute, "required", "type"), message, name, attribute)


def _reachable(needs: Mapping[str, Mapping[str, str]], start: str) -> set[str]:
    seen: set[str] = set()
    pending = [start]
    while pending:
        for target in needs.get(pending.pop(), ()):
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return seen
