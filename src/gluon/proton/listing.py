"""What a list request asks for: limit, marker, sorting, filters and fields, held against the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gluon.model.model import SERVER_ATTRIBUTES
from gluon.particle.queries import filtered_attribute
from gluon.particle.spelling import did_you_mean
from gluon.particle.validators import InvalidBody
from gluon.proton.errors import MalformedRequest, Wrong
from gluon.proton.registry import HostedObject
from gluon.store.paging import Sort

MAX_SORT_KEYS = 8
"""What a page costs grows with the square of them."""

QueryPairs = tuple[tuple[str, str], ...]
"""Names and texts of a query string's parameters, in order, with repetitions."""

LIST_PARAMETERS = ("limit", "marker", "sort_key", "sort_dir", "fields")


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What a list request asks for, checked against the model."""

    limit: int
    marker: Any = None
    sort: tuple[Sort, ...] = ()
    filters: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    fields: tuple[str, ...] = ()


def list_request(hosted: HostedObject, pairs: QueryPairs, max_limit: int) -> ListRequest:
    """Check the query of a list request; raises MalformedRequest with everything that is wrong in it."""
    wrong: list[Wrong] = []
    limit, marker = max_limit, None
    filters: dict[str, list[Any]] = {}
    for name, text in pairs:
        if name == "limit":
            if text.isascii() and text.isdigit() and int(text[:20]) > 0:
                limit = min(int(text[:20]), max_limit)
            else:
                wrong.append(Wrong(name, "must be an integer from 1 up"))
        elif name == "marker":
            marker = hosted.validator.key_from_path(text)
            if marker is None:
                wrong.append(Wrong(name, f"must be the {hosted.api.key} of the last object of a page"))
        elif name in ("sort_key", "sort_dir", "fields"):
            continue
        elif (attribute := filtered_attribute(name)) is not None:
            try:
                value = hosted.validator.parse_query(attribute, text)
                # Whoever asks for objects without a host means both ways of having none.
                filters.setdefault(attribute, []).extend(("", None) if value == "" else (value,))
            except InvalidBody as error:
                known = did_you_mean(name, (*hosted.api.attributes, *LIST_PARAMETERS))
                unknown = attribute not in hosted.api.attributes
                message = f"unknown query parameter{known}" if unknown else error.errors[0].message
                wrong.append(Wrong(name, message))
        else:
            wrong.append(Wrong(name, "unknown query parameter"))
    fields = _names(hosted, "fields", pairs, wrong)
    sort_keys = _names(hosted, "sort_key", pairs, wrong) or (hosted.api.key,)
    sort_directions = _words("sort_dir", pairs)
    if len(sort_keys) > MAX_SORT_KEYS:
        wrong.append(Wrong("sort_key", f"is given more than {MAX_SORT_KEYS} times"))
    wrong += [Wrong("sort_dir", "must be asc or desc") for d in sort_directions if d not in ("asc", "desc")]
    if len(sort_directions) > len(sort_keys):
        wrong.append(Wrong("sort_dir", "is given more often than sort_key"))
    if wrong:
        raise MalformedRequest("the query has wrong parameters", wrong)
    directions = [*sort_directions, *["asc"] * len(sort_keys)]
    return ListRequest(
        limit=limit,
        marker=marker,
        sort=tuple((name, d == "desc") for name, d in zip(sort_keys, directions, strict=False)),
        filters={name: tuple(values) for name, values in filters.items()},
        fields=fields,
    )


def chosen_fields(hosted: HostedObject, pairs: QueryPairs) -> tuple[str, ...]:
    """The attributes that a request for one object wants to see; empty for all. Raises MalformedRequest."""
    wrong: list[Wrong] = []
    fields = _names(hosted, "fields", pairs, wrong)
    if wrong:
        raise MalformedRequest("the query has wrong parameters", wrong)
    return fields


def _words(parameter: str, pairs: QueryPairs) -> list[str]:
    """What a parameter lists, by repetition or with commas."""
    words = [word.strip() for name, text in pairs if name == parameter for word in text.split(",")]
    return [word for word in words if word]


def _names(hosted: HostedObject, parameter: str, pairs: QueryPairs, wrong: list[Wrong]) -> tuple[str, ...]:
    """The attributes that a parameter lists; adds those to `wrong` that there are not."""
    shown = (*hosted.api.attributes, *SERVER_ATTRIBUTES)
    names = _words(parameter, pairs)
    wrong += [
        Wrong(parameter, f"there is no attribute {name!r}{did_you_mean(name, shown)}")
        for name in names
        if name not in shown
    ]
    return tuple(names)
