"""Those who watch all the time, and remember what must never be seen."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from gluon.etcd.client import Etcd
from gluon.etcd.errors import EtcdError
from gluon.etcd.keys import Keys


class AnswerWitness:
    """Sees every answer that a controller writes: one bind never has two winners."""

    def __init__(self, etcd: Etcd, keys: Keys) -> None:
        self.answers = 0
        self._etcd = etcd
        self._prefix = keys.answers()
        self._winners: dict[tuple[str, str], set[str]] = defaultdict(set)

    async def run(self) -> None:
        following = (await self._etcd.list(self._prefix)).revision + 1
        while True:
            try:
                async with self._etcd.watch(self._prefix, following) as watch:
                    async for batch in watch:
                        for event in batch.events:
                            if event.value is not None:
                                self._see(event.key, event.value)
                        following = batch.revision + 1
            except EtcdError:
                await asyncio.sleep(0.05)

    def _see(self, key: str, value: bytes) -> None:
        answer = msgspec.json.decode(value)
        self.answers += 1
        self._winners[key, answer["bind_id"]].add(answer["controller"])

    @property
    def complaints(self) -> Sequence[str]:
        """Binds that more than one controller has answered."""
        return [
            f"{key}: bind {bind_id} was answered by {' and '.join(sorted(controllers))}"
            for (key, bind_id), controllers in self._winners.items()
            if len(controllers) > 1
        ]
