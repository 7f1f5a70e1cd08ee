"""Reading single values out of a document: each function gives the value, or reports why it is none."""

from __future__ import annotations

import math
import re

from gluon.model.documents import Entry, Kind, Mapping, Node, Scalar, Sequence
from gluon.model.problems import Report, quoted

_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][-+]?[0-9]{1,4})?")

_NO_TEXT = re.compile("[\\x00\\ud800-\\udfff]")

_KIND_WORDS = {
    Kind.INTEGER: "a number",
    Kind.NUMBER: "a number",
    Kind.BOOLEAN: "true or false",
    Kind.NULL: "nothing",
    Kind.DATE: "a date",
    Kind.TEXT: "text",
    Kind.MERGE: "a merge",
}


class Values:
    """Reads values of one object (and attribute), which its problems then name."""

    def __init__(self, report: Report, object: str | None = None, attribute: str | None = None) -> None:
        self.report = report
        self.object = object
        self.attribute = attribute

    def error(self, node: Node, message: str) -> None:
        """Report an error at a node."""
        self.report.error(node.position, message, self.object, self.attribute)

    def mapping(self, entry: Entry) -> Mapping | None:
        """The mapping of a key; a key with nothing behind it is an empty one."""
        node = entry.value
        if isinstance(node, Mapping):
            return node
        if isinstance(node, Scalar) and node.kind is Kind.NULL:
            return Mapping(entry.key.position, {})
        self.error(
            node, f"{entry.key.text} must be a mapping (`key: value` lines below it), not {describe(node)}"
        )
        return None

    def text(self, entry: Entry) -> str | None:
        """Text for people: numbers, dates and words like `on` are taken as they are written."""
        node = entry.value
        if isinstance(node, Scalar) and node.kind is not Kind.NULL:
            return self._without_nul(node)
        self.error(node, f"{entry.key.text} must be text, not {describe(node)}")
        return None

    def word(self, entry: Entry) -> str | None:
        """A name: what YAML takes for something other than text must be quoted."""
        return self._word(entry.value, entry.key.text)

    def key(self, entry: Entry, what: str) -> str | None:
        """A key that the model's author chose."""
        return self._word(entry.key, what)

    def words(self, entry: Entry) -> list[tuple[str, Scalar]] | None:
        """A list of texts, each with its place."""
        if not isinstance(entry.value, Sequence):
            self.error(entry.value, f"{entry.key.text} must be a list, not {describe(entry.value)}")
            return None
        found = []
        for item in entry.value.items:
            word = self._word(item, f"each of the {entry.key.text}")
            if word is not None and isinstance(item, Scalar):
                found.append((word, item))
        return found

    def boolean(self, entry: Entry) -> bool | None:
        """True or false."""
        node = entry.value
        if isinstance(node, Scalar):
            if node.kind is Kind.BOOLEAN:
                return node.text.lower() in ("true", "yes", "on")
            if node.text.lower() in ("true", "false"):
                self.error(node, f"{entry.key.text} must be true or false without quotes")
                return None
        self.error(node, f"{entry.key.text} must be true or false, not {describe(node)}")
        return None

    def integer(self, entry: Entry) -> int | None:
        """A whole number in decimal digits."""
        node = entry.value
        if isinstance(node, Scalar):
            if node.kind is Kind.INTEGER and _DECIMAL.fullmatch(node.text):
                return int(node.text)
            if node.kind is Kind.INTEGER:
                self.error(
                    node, f"{entry.key.text} must be in decimal digits, without a leading 0, '_' or ':'"
                )
                return None
            if node.kind is Kind.TEXT and _DECIMAL.fullmatch(node.text):
                self.error(node, f"{entry.key.text} must be a number without quotes")
                return None
        self.error(node, f"{entry.key.text} must be a whole number, not {describe(node)}")
        return None

    def number(self, entry: Entry) -> int | float | None:
        """A finite number."""
        node = entry.value
        if isinstance(node, Scalar) and node.kind is Kind.INTEGER:
            return self.integer(entry)
        # YAML 1.1 takes 1e3 for text, for it has no dot; whoever writes it means a number.
        if (
            isinstance(node, Scalar)
            and node.kind in (Kind.NUMBER, Kind.TEXT)
            and _NUMBER.fullmatch(node.text)
        ):
            value = float(node.text)
            if math.isfinite(value):
                # 1.0 and 1 are one bound, and must give a model one digest.
                return int(value) if value.is_integer() and abs(value) < 2**53 else value
        self.error(node, f"{entry.key.text} must be a number, not {describe(node)}")
        return None

    def _word(self, node: Node, what: str) -> str | None:
        if not isinstance(node, Scalar):
            self.error(node, f"{what} must be a single word, not {describe(node)}")
            return None
        if node.kind is Kind.NULL and node.text in ("", "~"):
            self.error(node, f"{what} is empty")
            return None
        if node.kind is not Kind.TEXT:
            taken = _KIND_WORDS[node.kind]
            message = f"{what}: YAML takes {node.text} for {taken}; put it in quotes: '{node.text}'"
            self.error(node, message if len(node.text) <= 60 else f"{what}: YAML takes this for {taken}")
            return None
        return self._without_nul(node)

    def _without_nul(self, node: Scalar) -> str | None:
        if _NO_TEXT.search(node.text):
            self.error(node, "a character that may not stand in text (NUL or half of a surrogate pair)")
            return None
        return node.text


def describe(node: Node) -> str:
    """What stands there, in the words of someone who writes YAML."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if node.kind is Kind.NULL:
        return "nothing"
    return quoted(node.text) if node.kind is Kind.TEXT else f"{_KIND_WORDS[node.kind]} ({quoted(node.text)})"
