"""YAML text as a tree whose every key and value knows its line and column.

The tree is built from the parser's events, never recursively, and aliases share the node that they
name: a file that was made to hurt (deep nesting, aliases of aliases) costs no more than its size.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from gluon.model.language import LARGEST_FILE, MOST_ALIASES
from gluon.model.problems import Position, Report, quoted
from gluon.model.syntax import decode, error_position, syntax_message

# The language nests to five levels; a reader of JSON-like YAML may stand a few deeper.
_DEEPEST = 20
# No model needs as many; it bounds the memory that one file can ask for.
_MOST_NODES = 150_000

# libyaml's scanner where the wheel has it, ten times the speed of the one in Python.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers
_CORE = "tag:yaml.org,2002:"


class Kind(enum.Enum):
    """What YAML takes a scalar for."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    DATE = "date"
    MERGE = "merge"


_KINDS = {
    "str": Kind.TEXT,
    "int": Kind.INTEGER,
    "float": Kind.NUMBER,
    "bool": Kind.BOOLEAN,
    "null": Kind.NULL,
    "timestamp": Kind.DATE,
    "merge": Kind.MERGE,
    "value": Kind.TEXT,
}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: its text as written, and what YAML takes that for."""

    position: Position
    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values, by the text of the key, in written order."""

    position: Position
    entries: dict[str, Entry]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of values."""

    position: Position
    items: list[Node]


Node = Scalar | Mapping | Sequence


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a model: the path that problems name, and its bytes."""

    path: str
    content: bytes


def parse(source: Source, report: Report) -> Mapping | None:
    """The mapping that a file holds; None, with the reasons in `report`, if it holds no such thing.

    A file with nothing in it (comments only) is an empty mapping.
    """
    start = Position(source.path)
    if len(source.content) > LARGEST_FILE:
        report.error(start, f"the file is too large: a model file has at most {LARGEST_FILE} bytes")
        return None
    text = decode(source.path, source.content, report)
    if text is None:
        return None
    builder = _Builder(source.path, report)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if not builder.take(event):
                return None
    except yaml.MarkedYAMLError as error:
        report.error(error_position(source.path, error), syntax_message(text, error))
        return None
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        position = Position(source.path, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        character = error.character if isinstance(error.character, int) else 0
        report.error(position, f"not YAML: the character U+{character:04X} may not stand in a file")
        return None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        report.error(start, f"not YAML: {' '.join(str(error).split())}")
        return None
    root = builder.root
    if root is None or (isinstance(root, Scalar) and root.kind is Kind.NULL):
        report.warning(start, "the file is empty")
        return Mapping(start, {})
    if not isinstance(root, Mapping):
        report.error(root.position, "the file must hold a mapping with file_version, info and objects")
        return None
    return root


class _Open:
    """A collection whose end has not come yet."""

    __slots__ = ("anchor", "items", "key", "node", "seen")

    def __init__(self, node: Mapping | Sequence, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.key: Scalar | None = None
        self.seen: dict[str, Position] = {}
        self.items: list[Node] = []  # what `<<` merges in


class _Builder:
    """Takes the parser's events and makes the tree."""

    def __init__(self, path: str, report: Report) -> None:
        self.root: Node | None = None
        self._path = path
        self._report = report
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._aliases = 0
        self._nodes = 0

    def take(self, event: yaml.Event) -> bool:
        """Take one event; False when the rest of the file is not worth reading."""
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            return self._stop(event, "a second YAML document ('---'); a model file holds one")
        if isinstance(event, yaml.NodeEvent):
            self._nodes += 1
            if self._nodes > _MOST_NODES:
                return self._stop(event, f"more than {_MOST_NODES} values in one file")
        if isinstance(event, yaml.ScalarEvent):
            scalar = self._scalar(event)
            self._anchor(event.anchor, scalar)
            return self._place(scalar)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if isinstance(event, yaml.CollectionStartEvent):
            return self._start(event)
        if isinstance(event, yaml.CollectionEndEvent):
            finished = self._open.pop()
            if isinstance(finished.node, Mapping):
                self._merge(finished)
            self._anchor(finished.anchor, finished.node)
            return self._place(finished.node)
        return True

    def _position(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        return Position(self._path) if mark is None else Position(self._path, mark.line + 1, mark.column + 1)

    def _stop(self, event: yaml.Event, message: str) -> bool:
        self._report.error(self._position(event), message)
        return False

    def _anchor(self, name: str | None, node: Node | None) -> None:
        if name is not None:
            self._anchors[name] = node

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        kind = Kind.TEXT
        if event.tag is not None and event.tag != "!":
            named = _KINDS.get(event.tag.removeprefix(_CORE)) if event.tag.startswith(_CORE) else None
            if named is None:
                self._report.error(
                    self._position(event), f"the tag {quoted(event.tag)} means nothing in a model"
                )
            kind = named or Kind.TEXT
        elif event.implicit[0] and event.tag is None:
            kind = _implicit_kind(event.value)
        return Scalar(self._position(event), event.value, kind)

    def _start(self, event: yaml.CollectionStartEvent) -> bool:
        if len(self._open) >= _DEEPEST:
            return self._stop(event, f"nested deeper than {_DEEPEST} levels")
        if event.tag not in (None, "!", _CORE + "map", _CORE + "seq"):
            self._report.error(self._position(event), f"the tag {quoted(event.tag)} means nothing in a model")
        position = self._position(event)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        node: Mapping | Sequence = Mapping(position, {}) if is_mapping else Sequence(position, [])
        self._anchor(event.anchor, None)
        self._open.append(_Open(node, event.anchor))
        return True

    def _alias(self, event: yaml.AliasEvent) -> bool:
        self._aliases += 1
        if self._aliases > MOST_ALIASES:
            return self._stop(event, f"more than {MOST_ALIASES} aliases in one file")
        name = event.anchor or ""
        if name not in self._anchors:
            near = self._report.suggest(name, self._anchors)
            return self._stop(event, f"the alias *{name} names no anchor above it{near}")
        node = self._anchors[name]
        if node is None:
            return self._stop(event, f"the alias *{name} stands inside what it names")
        return self._place(node)

    def _place(self, node: Node) -> bool:
        """Put a finished node where it belongs."""
        if not self._open:
            self.root = node
            return True
        parent = self._open[-1]
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = self._key(node)
        else:
            self._add(parent, parent.node, parent.key, node)
            parent.key = None
        return True

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar):
            return node
        self._report.error(node.position, "a key must be a plain word, not a list or mapping")
        return Scalar(node.position, "", Kind.NULL)

    def _add(self, parent: _Open, mapping: Mapping, key: Scalar, value: Node) -> None:
        if key.kind is Kind.MERGE:
            parent.items.append(value)
            return
        first = parent.seen.get(key.text)
        if first is not None:
            self._report.error(
                key.position, f"{quoted(key.text)} stands here twice; first at line {first.line}"
            )
            return
        parent.seen[key.text] = key.position
        mapping.entries[key.text] = Entry(key, value)

    def _merge(self, finished: _Open) -> None:
        """Fill in what `<<` names; keys that the mapping has itself win, then the first that is merged."""
        mapping = finished.node
        assert isinstance(mapping, Mapping)
        for value in finished.items:
            for merged in value.items if isinstance(value, Sequence) else [value]:
                if not isinstance(merged, Mapping):
                    self._report.error(merged.position, "'<<' merges a mapping or a list of mappings")
                    continue
                for text, entry in merged.entries.items():
                    mapping.entries.setdefault(text, entry)


def _implicit_kind(text: str) -> Kind:
    """What YAML 1.1 takes a plain word for, which is where `yes`, `on` and `1.10` lose their spelling."""
    resolvers = _RESOLVERS.get(text[:1], [])
    for tag, pattern in resolvers:
        if pattern.match(text):
            return _KINDS.get(tag.removeprefix(_CORE), Kind.TEXT)
    return Kind.TEXT
