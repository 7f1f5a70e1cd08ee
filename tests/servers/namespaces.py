"""A private network for tests: hosts that are network namespaces, two bridges, and links that can be cut.

Each host has an address that this process can reach, and one on a network of the hosts' own. Either link can
be cut alone: packets then vanish, as they do when a switch dies.
"""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"gluon-(\d+)-[0-9a-f]+-\w+")
_RUN = Path("/run/netns")


class Namespaces:
    """Hosts `1` to `count`. Only root can make them; `close` removes all of it, processes excepted.

    Addresses are of 198.18.0.0/15, which RFC 2544 sets aside for measurements within a network.
    """

    def __init__(self, count: int) -> None:
        sweep()
        self._token = uuid.uuid4().hex[:6]
        self._made: list[str] = []
        self._third = _free_network()
        try:
            self._make(count)
        except BaseException:
            self.close()
            raise

    def address(self, host: int) -> str:
        """Where this process reaches a host."""
        return f"198.18.{self._third}.{host}"

    def inner_address(self, host: int) -> str:
        """Where the hosts reach each other."""
        return f"198.19.{self._third}.{host}"

    def command(self, host: int) -> tuple[str, ...]:
        """What stands before a command line that is to run on a host."""
        return ("ip", "netns", "exec", self._name(str(host)))

    def cut(self, host: int, *, outer: bool = False, inner: bool = True) -> None:
        """Let packets from and to a host vanish, on either of its links."""
        self._set_links(host, outer, inner, "down")

    def heal(self, host: int) -> None:
        """Restore both links of a host."""
        self._set_links(host, True, True, "up")

    def close(self) -> None:
        """Remove everything; also what was made in part."""
        for name in reversed(self._made):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        self._made.clear()

    def _make(self, count: int) -> None:
        hub = self._netns("hub")
        for bridge in ("outer", "inner"):
            _ip("-n", hub, "link", "add", bridge, "type", "bridge")
            _ip("-n", hub, "link", "set", bridge, "up")
        ours = f"gl{self._token}"
        _ip("link", "add", ours, "type", "veth", "peer", "name", "o-us", "netns", hub)
        _ip("-n", hub, "link", "set", "o-us", "master", "outer", "up")
        _ip("addr", "add", f"{self.address(254)}/24", "dev", ours)
        _ip("link", "set", ours, "up")
        for host in range(1, count + 1):
            name = self._netns(str(host))
            _ip("-n", name, "link", "set", "lo", "up")
            for bridge, address in (("outer", self.address(host)), ("inner", self.inner_address(host))):
                here, there = bridge, f"{bridge[0]}-{host}"
                _ip("-n", name, "link", "add", here, "type", "veth", "peer", "name", there, "netns", hub)
                _ip("-n", hub, "link", "set", there, "master", bridge, "up")
                _ip("-n", name, "addr", "add", f"{address}/24", "dev", here)
                _ip("-n", name, "link", "set", here, "up")

    def _netns(self, part: str) -> str:
        name = self._name(part)
        _ip("netns", "add", name)
        self._made.append(name)
        return name

    def _name(self, part: str) -> str:
        return f"gluon-{os.getpid()}-{self._token}-{part}"

    def _set_links(self, host: int, outer: bool, inner: bool, state: str) -> None:
        for wanted, link in ((outer, f"o-{host}"), (inner, f"i-{host}")):
            if wanted:
                _ip("-n", self._name("hub"), "link", "set", link, state)


def sweep() -> None:
    """Remove what test runs have left behind that were killed."""
    for name in _names():
        found = _NAME.fullmatch(name)
        if found is not None and not Path(f"/proc/{found[1]}").exists():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _names() -> Iterator[str]:
    return (entry.name for entry in _RUN.iterdir()) if _RUN.exists() else iter(())


def _free_network() -> int:
    """The third number of addresses that no other test run on this machine uses now."""
    taken = {int(third) for third in re.findall(r"inet 198\.18\.(\d+)\.", _ip("-4", "addr", "show"))}
    # Begins anywhere, since two runs may look at the same time.
    start = uuid.uuid4().int
    return next(third % 256 for third in range(start, start + 256) if third % 256 not in taken)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
