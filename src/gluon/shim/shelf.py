"""Objects by key as etcd has them, in bytes, with an index of what refers to what.

A hundred thousand ports are kept here, so nothing is decoded before somebody looks at it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

Document = Mapping[str, Any]
Term = tuple[str, str, Hashable]
"""What an object is found by: its object name, the name of an index (mostly an attribute), a value."""


class ObjectId(NamedTuple):
    """An object of one service: the name of its type in the model, and its identifying key as text."""

    object_name: str
    key: str

    def __str__(self) -> str:
        return f"{self.object_name} {self.key}"


def object_id_of(segments: Sequence[str]) -> ObjectId:
    """From the segments of a key: service, object name, key, and whatever follows.

    The same key stands in several places, so its text is kept once.
    """
    return ObjectId(sys.intern(segments[1]), sys.intern(segments[2]))


class Stored(NamedTuple):
    """An object as etcd has it: its JSON, and the revision of etcd that wrote it."""

    raw: bytes
    mod_revision: int


def decode(raw: bytes) -> Document:
    """The object's attributes; raises msgspec.DecodeError for what is no JSON object."""
    document: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    return document


def same_document(one: bytes, other: bytes) -> bool:
    """Whether two texts say the same of an object."""
    return one == other or decode(one) == decode(other)


class Shelf:
    """The objects of one service, with an index.

    `terms` gives what an object is found by, or None for objects that are found by nothing: those aren't even
    decoded. Reading is safe from any thread: what is handed out never changes.
    """

    def __init__(self, terms: Callable[[str], Callable[[Document], Iterable[Term]] | None]) -> None:
        self._terms = terms
        self._objects: dict[str, dict[str, Stored]] = {}
        self._index: dict[Term, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return sum(map(len, tuple(self._objects.values())))

    def get(self, object_id: ObjectId) -> Stored | None:
        """An object, if it is here."""
        objects = self._objects.get(object_id.object_name)
        return objects.get(object_id.key) if objects is not None else None

    def keys(self, object_name: str) -> tuple[str, ...]:
        """The keys of all objects of one type."""
        return tuple(self._objects.get(object_name, ()))

    def ids(self) -> Iterator[ObjectId]:
        """All objects; not to be used across an `await`."""
        return (ObjectId(name, key) for name, objects in self._objects.items() for key in objects)

    def find(self, term: Term) -> tuple[str, ...]:
        """The keys of the objects that have this term."""
        return self._index.get(term, ())

    def put(self, object_id: ObjectId, stored: Stored) -> Stored | None:
        """Add or replace an object; what was there before. Raises DecodeError, and changes nothing."""
        name, key = object_id
        objects = self._objects.setdefault(name, {})
        before = objects.get(key)
        if (terms := self._terms(name)) is not None:
            added = frozenset(terms(decode(stored.raw)))
            gone = frozenset(terms(decode(before.raw))) if before is not None else frozenset()
            for term in gone - added:
                self._unlink(term, key)
            for term in added - gone:
                self._index[term] = (*self._index.get(term, ()), key)
        objects[key] = stored
        return before

    def remove(self, object_id: ObjectId) -> Stored | None:
        """Take an object away; what it was."""
        name, key = object_id
        before = self._objects.get(name, {}).pop(key, None)
        if before is not None and (terms := self._terms(name)) is not None:
            for term in frozenset(terms(decode(before.raw))):
                self._unlink(term, key)
        return before

    def _unlink(self, term: Term, key: str) -> None:
        left = tuple(k for k in self._index.get(term, ()) if k != key)
        if left:
            self._index[term] = left
        else:
            self._index.pop(term, None)
