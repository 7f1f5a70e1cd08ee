"""The database of a chaos run: one PostgreSQL, or a Galera cluster whose nodes both servers write through."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from servers.galera import GaleraCluster, GaleraNode
from servers.postgresql import PostgresqlServer

DATABASE = "gluon"


class Part(Protocol):
    """A process that can be hurt."""

    def start(self) -> None: ...
    def stop(self) -> object: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class ChaosDatabase(Protocol):
    """What a stack needs of its database."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """Its processes, of which at most one is hurt at a time."""

    def ports(self, server: int) -> Sequence[int]:
        """The ports that a server (1, 2) connects to, the one that it prefers first."""

    def url(self, ports: Sequence[int]) -> str:
        """The URL of the database by other ports, which stand for those of `ports`."""

    async def start(self) -> None:
        """Return when it works, with an empty database."""

    async def healed(self, part: str) -> None:
        """Return when a part that was hurt works again."""

    def end(self) -> None:
        """kill -9 of all."""


class OnePostgresql:
    """One server; what it has said is committed is on its disk."""

    def __init__(self, folder: Path) -> None:
        self._server = PostgresqlServer(folder / "postgresql", durable=True)
        self.parts: Mapping[str, Part] = {"postgresql": self._server}

    def ports(self, server: int) -> Sequence[int]:
        return [self._server.port]

    def url(self, ports: Sequence[int]) -> str:
        (port,) = ports
        return self._server.url(DATABASE).replace(f":{self._server.port}/", f":{port}/")

    async def start(self) -> None:
        self._server.start()
        await asyncio.to_thread(self._server.wait_ready)
        self._server.query(f"CREATE DATABASE {DATABASE}")

    async def healed(self, part: str) -> None:
        """It comes up by itself, and nothing else waits for it."""

    def end(self) -> None:
        self._server.kill()


class _Node:
    """A node that goes on after its end where its own data end, as its service would have it."""

    def __init__(self, node: GaleraNode) -> None:
        self._node = node
        self.stop, self.kill = node.stop, node.kill
        self.pause, self.resume = node.pause, node.resume

    def start(self) -> None:
        self._node.rejoin()


class TwoGaleraNodes:
    """Two nodes and an arbitrator. Each server prefers the node of its own number."""

    def __init__(self, folder: Path) -> None:
        self._cluster = GaleraCluster(folder / "galera")
        self._nodes = {f"galera-{n}": node for n, node in enumerate(self._cluster.nodes, 1)}
        self.parts: Mapping[str, Part] = {name: _Node(node) for name, node in self._nodes.items()}

    def ports(self, server: int) -> Sequence[int]:
        ports = [node.port for node in self._cluster.nodes]
        return ports if server == 1 else ports[::-1]

    def url(self, ports: Sequence[int]) -> str:
        first, *others = ports
        preferred = self._cluster.nodes[0]
        url = preferred.url(DATABASE).replace(f":{preferred.port}/", f":{first}/")
        return f"{url}?{'&'.join(f'host=127.0.0.1:{port}' for port in others)}"

    async def start(self) -> None:
        self._cluster.start()
        self._cluster.nodes[0].query(f"CREATE DATABASE {DATABASE}")

    async def healed(self, part: str) -> None:
        """Two nodes hurt at once would leave none with the data: the next one waits for this one."""
        await asyncio.to_thread(self._nodes[part].wait_ready)

    def end(self) -> None:
        self._cluster.kill()


DATABASES = {"postgresql": OnePostgresql, "galera": TwoGaleraNodes}
