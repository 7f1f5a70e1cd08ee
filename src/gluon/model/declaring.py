"""Reading declarations out of a file's tree: keywords, kinds of values, spelling of names.

Whatever can be known from one place alone is checked here; what hangs together is for `checks`.
"""

from __future__ import annotations

import re
from typing import Any

from gluon.model.declarations import AttributeDeclaration, Declarations, ObjectDeclaration
from gluon.model.documents import Entry, Kind, Mapping, Scalar, Sequence
from gluon.model.language import (
    API_NAME,
    FILE_VERSIONS,
    LATER_FILE_VERSIONS,
    LONGEST_API_NAME,
    LONGEST_NAME,
    MOST_ATTRIBUTES,
    NAME,
    PLACES,
    TYPES,
    VERSION,
)
from gluon.model.problems import Report, quoted
from gluon.model.values import Values, describe

_PLACE_WORDS = {
    "file": "a model file",
    "info": "info",
    "author": "author",
    "object": "an object",
    "api": "api",
    "attribute": "an attribute",
    "policies": "policies",
    "policy": "a policy",
}


def declare(path: str, root: Mapping, report: Report) -> Declarations:
    """Read a file's tree."""
    return _Reader(path, report).read(root)


class _Reader:
    def __init__(self, path: str, report: Report) -> None:
        self._report = report
        self._file = Declarations(path)

    def read(self, root: Mapping) -> Declarations:
        file = self._file
        values = Values(self._report)
        version = root.entries.get("file_version")
        if version is not None:
            self._file_version(version, values)
        if file.is_later:
            return file
        for entry in self._known(root, "file", values):
            if entry.key.text == "imports":
                self._imports(entry, values)
            elif entry.key.text == "info":
                self._info(entry, values)
            elif entry.key.text == "objects":
                mapping = values.mapping(entry)
                for declared in mapping or ():
                    self._object(declared)
        return file

    def _known(self, mapping: Mapping, place: str, values: Values) -> list[Entry]:
        """The entries whose keys the language has at that place; others and missing ones are errors."""
        keywords = PLACES[place]
        known = []
        misspelt = ""
        for entry in mapping:
            if entry.key.text in keywords:
                known.append(entry)
                continue
            near = self._report.suggest(entry.key.text, keywords)
            misspelt += near
            what = "action" if place == "policies" else "keyword"
            message = f"{quoted(entry.key.text)} is no {what} of {_PLACE_WORDS[place]}{near}"
            values.error(entry.key, message + ("" if near else f"; there are {', '.join(keywords)}"))
        for keyword in keywords.values():
            if (
                keyword.required
                and keyword.name not in mapping.entries
                and repr(keyword.name) not in misspelt
            ):
                values.error(mapping, f"{keyword.name} is missing: {keyword.meaning}")
        return known

    def _file_version(self, entry: Entry, values: Values) -> None:
        node = entry.value
        text = node.text if isinstance(node, Scalar) else None
        if text in FILE_VERSIONS:
            self._file.file_version = text
        elif text in LATER_FILE_VERSIONS:
            self._file.is_later = True
            message = (
                f"file_version {text} is for a later release of Gluon; this one reads {FILE_VERSIONS[0]}"
            )
            values.error(node, message)
        else:
            values.error(node, f'file_version must be "{FILE_VERSIONS[0]}", not {describe(node)}')

    def _imports(self, entry: Entry, values: Values) -> None:
        node = entry.value
        if isinstance(node, Sequence):
            found = values.words(entry) or []
            self._file.imports += [(path, scalar.position) for path, scalar in found]
            self._file.lacks_imports = len(found) < len(node.items)
            return
        path = values.word(entry)
        if path is not None:
            self._file.imports.append((path, node.position))
        self._file.lacks_imports = path is None

    def _info(self, entry: Entry, values: Values) -> None:
        info: dict[str, Any] = {}
        self._file.info = info
        positions = self._file.info_positions
        positions["info"] = entry.key.position
        mapping = values.mapping(entry)
        if mapping is None:
            positions["version"] = entry.key.position
            return
        for known in self._known(mapping, "info", values):
            keyword = known.key.text
            positions[keyword] = known.value.position
            if keyword == "author":
                info["author"] = self._author(known, values)
                continue
            text = values.text(known)
            if text is None:
                continue
            if keyword == "version" and not VERSION.fullmatch(text):
                hint = "; the v of URLs is not written here" if re.match(r"[vV][0-9]", text) else ""
                values.error(known.value, f"{quoted(text)} is no version, such as 1.0 or 2.1{hint}")
                continue
            info[keyword] = text

    def _author(self, entry: Entry, values: Values) -> dict[str, str]:
        mapping = values.mapping(entry)
        author = {}
        for known in self._known(mapping, "author", values) if mapping else ():
            text = values.text(known)
            if text is not None:
                author[known.key.text] = text
        return author

    def _object(self, entry: Entry) -> None:
        name = self._name(entry, Values(self._report), "the name of an object", taken=TYPES)
        values = Values(self._report, object=name or entry.key.text[:LONGEST_NAME])
        declared = ObjectDeclaration(name or entry.key.text, entry.key.position)
        mapping = values.mapping(entry)
        if name is not None:
            self._file.objects.append(declared)
        for known in self._known(mapping, "object", values) if mapping else ():
            keyword = known.key.text
            declared.positions[keyword] = known.value.position
            if keyword == "api":
                self._api(known, declared, values)
            elif keyword == "extends":
                declared.extends = values.word(known)
            elif keyword == "attributes":
                self._attributes(known, declared, values)
            elif keyword == "policies":
                self._policies(known, declared, values)

    def _name(self, entry: Entry, values: Values, what: str, taken: object = ()) -> str | None:
        if entry.key.kind in (Kind.INTEGER, Kind.NUMBER, Kind.DATE):
            values.error(
                entry.key, f"{entry.key.text[:60]} can't be {what}: letters, digits and _, no digit first"
            )
            return None
        name = values.key(entry, what)
        if name is None:
            return None
        if not NAME.fullmatch(name):
            values.error(entry.key, f"{quoted(name)} can't be {what}: letters, digits and _, no digit first")
            return None
        if len(name) > LONGEST_NAME:
            values.error(
                entry.key, f"{what} has at most {LONGEST_NAME} characters; {quoted(name)} has {len(name)}"
            )
            return None
        if isinstance(taken, type(TYPES)) and name in taken:
            values.error(entry.key, f"{name} can't be {what}: it is the name of a type")
            return None
        return name

    def _api(self, entry: Entry, declared: ObjectDeclaration, values: Values) -> None:
        declared.is_api = True
        declared.positions["api"] = entry.key.position
        mapping = values.mapping(entry)
        for known in self._known(mapping, "api", values) if mapping else ():
            keyword = known.key.text
            declared.positions[f"api.{keyword}"] = known.value.position
            word = values.word(known)
            if word is None:
                continue
            if keyword in ("name", "plural_name"):
                if not API_NAME.fullmatch(word):
                    message = f"{quoted(word)} can't be {keyword}: letters, digits, _ and -, a letter first"
                    values.error(known.value, message)
                    continue
                if len(word) > LONGEST_API_NAME:
                    values.error(known.value, f"{keyword} has at most {LONGEST_API_NAME} characters")
                    continue
            declared.api[keyword] = word

    def _attributes(self, entry: Entry, declared: ObjectDeclaration, values: Values) -> None:
        mapping = values.mapping(entry)
        if mapping is not None and len(mapping.entries) > MOST_ATTRIBUTES:
            # Aliases let a small file repeat a large mapping; what is refused here is never gone through.
            number = len(mapping.entries)
            values.error(
                entry.key, f"an object has at most {MOST_ATTRIBUTES} attributes; this one has {number}"
            )
            return
        for attribute in mapping or ():
            self._attribute(attribute, declared)

    def _attribute(self, entry: Entry, declared: ObjectDeclaration) -> None:
        name = self._name(entry, Values(self._report, declared.name), "the name of an attribute")
        values = Values(self._report, declared.name, name or entry.key.text[:LONGEST_NAME])
        attribute = AttributeDeclaration(name or entry.key.text, entry.key.position)
        if isinstance(entry.value, Scalar) and entry.value.text in TYPES:
            values.error(entry.value, f"write the type as a line below: `type: {entry.value.text}`")
            attribute.positions["type"] = entry.value.position
            mapping = None
        else:
            mapping = values.mapping(entry)
            if mapping is None:
                attribute.positions["type"] = entry.value.position
        if name is not None:
            declared.attributes[name] = attribute
        for known in self._known(mapping, "attribute", values) if mapping else ():
            attribute.positions[known.key.text] = known.value.position
            value = self._attribute_value(known, values)
            if value is not None:
                attribute.values[known.key.text] = value

    def _attribute_value(self, entry: Entry, values: Values) -> object:
        keyword = entry.key.text
        if keyword in ("primary", "required"):
            return values.boolean(entry)
        if keyword == "description":
            return values.text(entry)
        if keyword == "length":
            length = values.integer(entry)
            if length is not None and length < 1:
                values.error(entry.value, "length must be at least 1")
                return None
            return length
        if keyword in ("min", "max"):
            return values.number(entry)
        if keyword == "values":
            return self._enum_values(entry, values)
        return values.word(entry)

    def _enum_values(self, entry: Entry, values: Values) -> tuple[str, ...] | None:
        words = values.words(entry)
        if words is None:
            return None
        found: list[str] = []
        for word, scalar in words:
            if not word:
                values.error(scalar, "one of the values is empty; '' in a request means no value")
            elif len(word) > 255:
                values.error(scalar, "a value has at most 255 characters")
            elif word in found:
                values.error(scalar, f"the value {quoted(word)} stands here twice")
            else:
                found.append(word)
        if isinstance(entry.value, Sequence) and not entry.value.items:
            values.error(entry.value, "values must name at least one value")
        return tuple(found) or None

    def _policies(self, entry: Entry, declared: ObjectDeclaration, values: Values) -> None:
        mapping = values.mapping(entry)
        for known in self._known(mapping, "policies", values) if mapping else ():
            action = known.key.text
            declared.positions[f"policies.{action}"] = known.value.position
            rule_entry: Entry | None = known
            if isinstance(known.value, Mapping):
                self._known(known.value, "policy", values)
                rule_entry = known.value.entries.get("role")
                if rule_entry is not None:
                    declared.positions[f"policies.{action}"] = rule_entry.value.position
            rule = self._rule(rule_entry, values) if rule_entry is not None else None
            if rule is not None:
                declared.policies[action] = rule

    def _rule(self, entry: Entry, values: Values) -> str | None:
        if isinstance(entry.value, Sequence):
            values.error(entry.value, f"{entry.key.text} must be one rule; join several with `or`")
            return None
        return values.word(entry)
