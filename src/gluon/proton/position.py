"""Where a watch is in etcd's history, and where it goes on after an interruption."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TEXT = re.compile(r"(?:(?P<cluster>[0-9a-f]{1,16})-)?(?P<revision>[0-9]{1,19})(?:\.(?P<part>[0-9]{1,9}))?")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the history of one etcd, which a watch goes on behind.

    Everything up to `revision` was told; with a `part`, all before it, and so many of the collection's
    changes in it, whether the watcher could see them or not. As text it is the id of an event:
    `<cluster id in hex>-<revision>[.<part>]`. Without a cluster id it is of whatever etcd there is.
    """

    cluster_id: int | None
    revision: int
    part: int = 0

    def __str__(self) -> str:
        cluster = "" if self.cluster_id is None else f"{self.cluster_id:x}-"
        return f"{cluster}{self.revision}" + (f".{self.part}" if self.part else "")

    @property
    def whole(self) -> int:
        """The last revision of which everything was told."""
        return self.revision - 1 if self.part else self.revision

    @classmethod
    def parse(cls, text: str) -> Position:
        """From the id of an event, or a bare revision; raises ValueError."""
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise ValueError("must be the id of an event, or a revision of etcd")
        cluster_id = None if found["cluster"] is None else int(found["cluster"], 16)
        revision, part = int(found["revision"]), int(found["part"] or 0)
        if part and not revision:
            # etcd counts from 1 on: before that there is nothing of which a part could have been told.
            raise ValueError("has a part of revision 0, in which nothing can have changed")
        return cls(cluster_id, revision, part)
