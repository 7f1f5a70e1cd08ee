"""The other process of the bind done by hand: sees a port's key, puts an answer."""

from __future__ import annotations

import asyncio
import sys

from gluon.etcd.client import Etcd


async def main(endpoint: str, run: str) -> None:
    etcd = Etcd([endpoint])
    ports = f"/floor-ports/{run}/"
    start_revision = (await etcd.list(ports)).revision + 1
    print("ready", flush=True)
    tasks: set[asyncio.Task[int]] = set()
    async for batch in etcd.watch(ports, start_revision):
        for event in batch.events:
            key = f"/floor-answers/{run}/{event.key.removeprefix(ports)}"
            task = asyncio.create_task(etcd.put(key, b'{"vif_type":"ovs"}'))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
