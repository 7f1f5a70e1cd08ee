"""Network namespaces: machines that are only their network."""

from __future__ import annotations

import ctypes
import os
import subprocess
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from servers.namespaces import sweep

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_RUN = Path("/run/netns")
T = TypeVar("T")


class Namespace:
    """One; only root can make it. `close` removes it, and all interfaces in it."""

    def __init__(self, token: str, part: str) -> None:
        # Named so that the next test run finds and removes those of one that was killed.
        self.name = f"gluon-{os.getpid()}-{token}-{part.replace('-', '_')}"
        ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> str:
        """ip's output, in here."""
        return ip("-n", self.name, *arguments)

    def batch(self, *commands: str) -> None:
        """Several of ip's commands in one process."""
        subprocess.run(
            ["ip", "-n", self.name, "-batch", "-"], check=True, input="\n".join(commands), text=True
        )

    def run(self, *command: str) -> str:
        """A program's output, in here; RuntimeError when it fails."""
        return _run(*self.command(), *command)

    def command(self) -> tuple[str, ...]:
        """What stands before a command line that is to run in here."""
        return ("ip", "netns", "exec", self.name)

    def set(self, **settings: int) -> None:
        """Kernel settings below net/, with __ for a slash: ipv6__conf__eth0__accept_dad=0."""
        texts = [f"net.{name.replace('__', '.')}={value}" for name, value in settings.items()]
        self.run("sysctl", "-qw", *texts)

    def inside(self, function: Callable[[], T]) -> T:
        """What a function gives that is called in here: a socket made there stays of this network."""
        return _inside(_RUN / self.name, function)

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


class Namespaces:
    """Those of one lab; all are gone after `close`."""

    def __init__(self) -> None:
        sweep()
        self._token = uuid.uuid4().hex[:6]
        self._made: list[Namespace] = []

    def add(self, part: str) -> Namespace:
        made = Namespace(self._token, part)
        self._made.append(made)
        return made

    def remove(self, namespace: Namespace) -> None:
        self._made.remove(namespace)
        namespace.close()

    def close(self) -> None:
        while self._made:
            self._made.pop().close()


def link(one: Namespace, its: str, other: Namespace, others: str) -> None:
    """A cable between two namespaces, up at both ends."""
    peer = ("type", "veth", "peer", "name", others, "netns", other.name)
    ip("link", "add", its, "netns", one.name, *peer)
    one.ip("link", "set", its, "up")
    other.ip("link", "set", others, "up")


def ip(*arguments: str) -> str:
    """ip's output; RuntimeError when it fails."""
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _inside(path: Path, function: Callable[[], T]) -> T:
    """A namespace is a thread's own, so a thread goes there, and ends."""
    libc = ctypes.CDLL(None, use_errno=True)

    def go() -> T:
        with path.open() as file:
            if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns({path})")
        return function()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(go).result()
