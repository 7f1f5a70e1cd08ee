"""Whether a request's body can be an object of the model: all wrong fields at once, in users' words.

A validator is made once for each object of a model and shared by all requests. It looks at the body
alone: whether references exist, whether fixed attributes change and who may write is decided where
the stored object is at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gluon.model.model import SERVER_ATTRIBUTES, ApiObject, Attribute, AttributeType
from gluon.particle.spelling import did_you_mean
from gluon.particle.texts import value_from_text
from gluon.particle.values import (
    INT64,
    Check,
    WrongValue,
    empty_is_null,
    is_canonical_uuid,
    is_reference,
    optional_value,
    required_value,
    value_check,
)

SERVER_FIELDS = frozenset(SERVER_ATTRIBUTES)
"""What the server itself adds to each object."""

_MOST_UNKNOWN = 50
"""Unknown attributes that an answer names one by one; a body of 16 MiB may hold a million."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; an empty `field` means the body as a whole."""

    field: str
    message: str


class InvalidBody(Exception):
    """A body, or a value from a query or a path, that does not fit the model; names every wrong field."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__("; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors))
        self.errors = errors


def server_makes_key(api_object: ApiObject) -> bool:
    """Whether the identifying key may be left out at creation: a uuid that refers to nothing else."""
    key = api_object.key_attribute
    return key.value_type is AttributeType.UUID and not is_reference(key)


class ObjectValidator:
    """Checks the bodies that create or change objects of one kind."""

    server_fields = SERVER_FIELDS

    def __init__(self, api_object: ApiObject) -> None:
        self._object = api_object
        self._blank: dict[str, Any] = dict.fromkeys(api_object.attributes)
        self._checks_of_create: dict[str, Check] = {}
        self._checks_of_update: dict[str, Check] = {}
        made = server_makes_key(api_object)
        for name, attribute in api_object.attributes.items():
            is_key = name == api_object.key
            check = value_check(attribute, api_object.role, key=is_key)
            must_be_there = required_value(check)
            if is_key:
                self._checks_of_create[name] = optional_value(check, empty=True) if made else must_be_there
                self._checks_of_update[name] = must_be_there
            else:
                either = must_be_there
                if not attribute.required:
                    either = optional_value(check, empty=empty_is_null(attribute))
                self._checks_of_create[name] = self._checks_of_update[name] = either
        self._required = frozenset(
            name
            for name, attribute in api_object.attributes.items()
            if (not made if name == api_object.key else attribute.required)
        )

    def create(self, body: Mapping[str, Any], *, parent_key: Any = None) -> dict[str, Any]:
        """The whole object that the body describes: every attribute in declared order, None if left out.

        `parent_key` is the key of the parent in the path; it fills the parent key attribute, which the
        body may repeat but not contradict. Raises InvalidBody.
        """
        values = self._blank.copy()
        errors = self._check(body, self._checks_of_create, values)
        if parent_key is not None and self._object.parent_key is not None:
            self._fill_parent_key(self._object.parent_key, parent_key, values, errors, body)
        missing = self._required.difference(body)
        if missing:
            for name in missing:
                if values[name] is None:
                    errors.setdefault(name, "is required")
        for name in SERVER_FIELDS.intersection(body):
            errors[name] = "is set by the server, so leave it out"
        if errors:
            raise self._invalid(errors)
        return values

    def update(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The values that the body gives, and nothing else.

        A client may send back a whole document that it has read, so the fields of the server
        (`server_fields`) are no error here: they come as they were sent, for the caller to compare
        with the stored object and never to write. Raises InvalidBody.
        """
        values: dict[str, Any] = {}
        errors = self._check(body, self._checks_of_update, values)
        if errors:
            raise self._invalid(errors)
        for name in SERVER_FIELDS.intersection(body):
            values[name] = body[name]
        return values

    def parse_query(self, name: str, text: str) -> Any:
        """The value to filter by; None stands for null, which an empty text means but for plain strings.

        Types are checked, ranges and formats are not: asking for a value that no object can have is no
        mistake. Raises InvalidBody for an unknown attribute or a text of the wrong type.
        """
        attribute = self._object.attributes.get(name)
        if attribute is None:
            known = did_you_mean(name, self._object.attributes)
            raise InvalidBody((FieldError(_printable(name), f"unknown attribute{known}"),))
        try:
            return self._value_from_text(attribute, text)
        except ValueError as error:
            raise InvalidBody((FieldError(name, str(error)),)) from error

    def key_from_path(self, text: str) -> Any:
        """The identifying key that a decoded path segment spells; None if no object can have it."""
        try:
            value = value_from_text(self._object.key_attribute.value_type, text)
            return self._checks_of_update[self._object.key](value)
        except ValueError:
            return None

    def _value_from_text(self, attribute: Attribute, text: str) -> Any:
        value = value_from_text(attribute.value_type, text)
        if value is None or (value == "" and empty_is_null(attribute)):
            return None
        kind = attribute.value_type
        if kind is AttributeType.INTEGER and not INT64[0] <= value <= INT64[1]:
            raise WrongValue("must be an integer that fits in 64 bits")
        if kind is AttributeType.NUMBER:
            return float(value)
        if kind in (AttributeType.UUID, AttributeType.ENUM):
            return self._checks_of_update[attribute.name](value)
        if kind is AttributeType.STRING and ("\0" in value or not _is_utf8(value)):
            raise WrongValue("must be text without the NUL character")
        return value

    def _check(
        self, body: Mapping[str, Any], checks: Mapping[str, Check], values: dict[str, Any]
    ) -> dict[str, str]:
        """Put the body's good values into `values`; gives what is wrong with the others by name."""
        errors: dict[str, str] = {}
        if not isinstance(body, Mapping):
            raise InvalidBody((FieldError("", "must be a JSON object"),))
        unknown = 0
        for name, value in body.items():
            check = checks.get(name)
            if check is not None:
                try:
                    values[name] = check(value)
                except WrongValue as error:
                    errors[name] = str(error)
            elif name not in SERVER_FIELDS:
                unknown += 1
                if unknown <= _MOST_UNKNOWN:
                    errors[name] = f"unknown attribute{did_you_mean(name, checks)}"
        if unknown > _MOST_UNKNOWN:
            errors[""] = f"{unknown - _MOST_UNKNOWN} more attributes are unknown"
        return errors

    def _fill_parent_key(
        self, name: str, given: Any, values: dict[str, Any], errors: dict[str, str], body: Mapping[str, Any]
    ) -> None:
        attribute = self._object.attributes[name]
        is_key = name == self._object.key
        if isinstance(given, str):
            given = value_from_text(attribute.value_type, given)
        # The path is the parent's own, so it was checked as a key already; only its spelling matters.
        if is_canonical_uuid(attribute, key=is_key):
            given = self._checks_of_update[name](given)
        if values[name] is None:
            values[name] = given
            if body.get(name) is None:
                errors.pop(name, None)
        elif values[name] != given:
            errors[name] = f"differs from the {self._object.parent} in the URL"

    def _invalid(self, errors: Mapping[str, str]) -> InvalidBody:
        declared = [name for name in self._blank if name in errors]
        others = [name for name in errors if name not in self._blank]
        return InvalidBody(tuple(FieldError(_printable(name), errors[name]) for name in declared + others))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(name: str) -> str:
    """A field's name that an answer can carry, whatever a client made up."""
    shown = name if len(name) <= 100 else f"{name[:100]}…"
    return shown.encode("utf-8", "backslashreplace").decode()
