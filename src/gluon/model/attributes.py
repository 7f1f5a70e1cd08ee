"""What must hold within one attribute, once what it inherits is merged in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluon.model.declarations import AttributeDeclaration, ObjectDeclaration
from gluon.model.formats import FORMATS, INT64
from gluon.model.language import DEFAULT_LENGTH, NARROWING, TYPE_KEYWORDS, TYPES, attribute_type
from gluon.model.model import AttributeType
from gluon.model.problems import Report, nearest_spelling, quoted

# The longest JSON of a value: 20 digits and a sign; a float's shortest exact spelling; a quoted uuid.
_LONGEST_JSON = {
    AttributeType.INTEGER: 21,
    AttributeType.NUMBER: 25,
    AttributeType.BOOLEAN: 5,
    AttributeType.UUID: 38,
}
# Bytes that a character of text may need in JSON: control characters are written \\u001f; in text that
# is JSON itself they can't be, and the worst is four bytes of UTF-8.
_BYTES_OF_CHARACTER, _BYTES_OF_JSON_CHARACTER = 6, 4

_OTHER_NAMES = {
    "int": "integer",
    "bool": "boolean",
    "str": "string",
    "text": "string",
    "float": "number",
    "double": "number",
    "guid": "uuid",
    "object": "string",
    "array": "string",
    "json": "string",
    "date-time": "string",
    "ipv4": "string",
    "ipv6": "string",
    "mac": "string",
    "uri": "string",
    "url": "string",
    "email": "string",
}


def check_attribute(
    object_: ObjectDeclaration,
    attribute: AttributeDeclaration,
    merged: Mapping[str, Any],
    objects: Mapping[str, ObjectDeclaration],
    report: Report,
    *,
    type_may_be_elsewhere: bool,
    objects_may_be_elsewhere: bool,
) -> None:
    """Report what is wrong with what an object says of an attribute; `merged` has the inherited keywords."""
    check = _AttributeCheck(object_, attribute, merged, objects, report)
    if "type" not in merged:
        if "type" not in attribute.positions and not type_may_be_elsewhere:
            names = [*TYPES, "the name of an API object"]
            check.error("type", f"type is missing: one of {', '.join(names)}")
        return
    if check.type_is_known(objects_may_be_elsewhere):
        check.narrowing()


class _AttributeCheck:
    def __init__(
        self,
        object_: ObjectDeclaration,
        attribute: AttributeDeclaration,
        merged: Mapping[str, Any],
        objects: Mapping[str, ObjectDeclaration],
        report: Report,
    ) -> None:
        self._object = object_
        self._attribute = attribute
        self._merged = merged
        self._objects = objects
        self._report = report
        self._type = attribute_type(merged["type"]) if "type" in merged else None

    def error(self, keyword: str, message: str) -> None:
        position = self._attribute.positions.get(keyword, self._attribute.position)
        self._report.error(position, message, self._object.name, self._attribute.name)

    def type_is_known(self, objects_may_be_elsewhere: bool) -> bool:
        type_ = self._merged["type"]
        if self._type is not AttributeType.REFERENCE:
            return True
        target = self._objects.get(type_)
        if target is not None and target.is_api:
            return True
        if "type" not in self._attribute.values:
            return False  # inherited, and told there
        if target is not None:
            message = f"type {type_} is a base object; only API objects (with `api`) can be referred to"
            extending = [o.name for o in self._objects.values() if o.is_api and o.extends == type_]
            self.error("type", message + (f" (did you mean {extending[0]!r}?)" if extending else ""))
        elif not objects_may_be_elsewhere or type_.lower() in _OTHER_NAMES or nearest_spelling(type_, TYPES):
            self.error("type", f"{quoted(type_)} is neither a type nor an object{self._nearest_type(type_)}")
        return False

    def _nearest_type(self, type_: str) -> str:
        other = _OTHER_NAMES.get(type_.lower())
        if other is not None:
            as_format = f" with format: {type_.lower()}" if type_.lower() in FORMATS or type_ == "url" else ""
            return f" (did you mean '{other}'{as_format}?)"
        api_objects = [o.name for o in self._objects.values() if o.is_api]
        near = self._report.suggest(type_, [*TYPES, *api_objects])
        return near or f"; types are {', '.join(TYPES)}"

    def narrowing(self) -> None:
        assert self._type is not None
        own = self._attribute.values
        allowed = TYPE_KEYWORDS[self._type]
        for keyword in sorted(NARROWING & own.keys() - allowed):
            self._misplaced(keyword)
        lacks_values = "values" not in self._merged and "values" not in self._attribute.positions
        if self._type is AttributeType.ENUM and lacks_values:
            self.error("type", "an enum needs `values`, a list of texts")
        if "format" in own and "format" in allowed:
            self._format(own["format"])
        if "min" in allowed:
            self._range()

    def _misplaced(self, keyword: str) -> None:
        type_ = self._merged["type"]
        of_type = "a reference" if self._type is AttributeType.REFERENCE else f"type {type_}"
        if keyword == "length":
            # Harmless, and written by many beside uuids and enums.
            position = self._attribute.positions["length"]
            message = f"length means nothing for {of_type}"
            self._report.warning(position, message, self._object.name, self._attribute.name)
            return
        hints = {
            "values": "; only `type: enum` has values",
            "format": "; only strings and integers have a format",
            "min": "; only integers and numbers have min and max",
            "max": "; only integers and numbers have min and max",
        }
        self.error(keyword, f"{keyword} does not go with {of_type}{hints[keyword]}")

    def _format(self, written: str) -> None:
        name = "uri" if written == "url" else written
        format_ = FORMATS.get(name)
        fitting = [f.name for f in FORMATS.values() if f.type is self._type]
        if format_ is None:
            near = self._report.suggest(written, [*FORMATS, "url"])
            message = f"there is no format {quoted(written)}{near}"
            self.error("format", message + ("" if near else f"; there are {', '.join(fitting)}"))
        elif format_.type is not self._type:
            message = f"format {written} is for {format_.type.value}s, not for type {self._merged['type']}"
            self.error("format", f"{message}, which has {', '.join(fitting)}")

    def _range(self) -> None:
        low, high = self._merged.get("min"), self._merged.get("max")
        if self._type is AttributeType.INTEGER:
            format_ = FORMATS.get(str(self._merged.get("format")), INT64)
            smallest, largest = format_.minimum, format_.maximum
            for keyword, bound in (("min", low), ("max", high)):
                if bound is None or keyword not in self._attribute.values:
                    continue
                if isinstance(bound, float):
                    self.error(keyword, f"{keyword} of an integer must be a whole number")
                elif smallest is not None and largest is not None and not smallest <= bound <= largest:
                    self.error(keyword, f"{keyword} must be from {smallest} to {largest}")
        if low is not None and high is not None and low > high:
            keyword = "max" if "max" in self._attribute.values else "min"
            if keyword in self._attribute.values:
                self.error(keyword, f"min {low} is greater than max {high}")


def largest_json(name: str, keywords: Mapping[str, Any]) -> int:
    """Bytes that `"name":value,` may need in an object's JSON; `keywords` are those of the values."""
    return len(name) + 4 + _largest_value(keywords)


def _largest_value(keywords: Mapping[str, Any]) -> int:
    type_ = attribute_type(keywords["type"]) if "type" in keywords else None
    if type_ is AttributeType.STRING:
        is_json = keywords.get("format") == "json"
        bytes_of_one = _BYTES_OF_JSON_CHARACTER if is_json else _BYTES_OF_CHARACTER
        return 2 + bytes_of_one * int(keywords.get("length", DEFAULT_LENGTH))
    if type_ is AttributeType.ENUM:
        return 2 + _BYTES_OF_CHARACTER * max((len(value) for value in keywords.get("values", ())), default=0)
    return _LONGEST_JSON.get(type_, 0) if type_ is not None else 0


def longest_key(keywords: Mapping[str, Any]) -> int:
    """Bytes that a value may need in a database's index."""
    type_ = keywords.get("type")
    if type_ == "string":
        return 4 * int(keywords.get("length", DEFAULT_LENGTH))
    if type_ == "enum":
        return 4 * max((len(value) for value in keywords.get("values", ())), default=0)
    return 36 if type_ == "uuid" else 8
