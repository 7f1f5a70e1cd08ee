"""Bodies for the objects of any model, with what they refer to created first."""

from __future__ import annotations

from typing import Any

from client.specimens import specimen
from gluon.model.model import ApiObject, Role
from system.described_api import DescribedApi, Place

BINDS = "host_id"
"""Giving it to a port would start a bind, which nobody answers here."""


async def body_of(
    described: DescribedApi, found: ApiObject, *, whole: bool = True, other: bool = False
) -> dict[str, Any]:
    """The body of a new object: every attribute, or with `whole` off what it must have.

    `other` has other values than the last one, where an attribute admits two.
    """
    body: dict[str, Any] = {}
    for attribute in found.attributes.values():
        if found.role is Role.PORT and attribute.name == BINDS:
            continue
        if not (whole or attribute.required or attribute.name == found.key):
            continue
        if attribute.refers_to:
            target = described.model.objects[attribute.refers_to[0]]
            body[attribute.name] = (await new(described, target, whole=False))[target.key]
        else:
            body[attribute.name] = specimen(attribute, other=other)[1]
    return body


async def new(described: DescribedApi, found: ApiObject, *, whole: bool = True) -> dict[str, Any]:
    """A new object, as the API shows it."""
    place = Place(described, found)
    body = await body_of(described, found, whole=whole)
    return (await described.call("post", place.collection, 201, json=body)).json()


def changes_of(found: ApiObject, body: dict[str, Any]) -> dict[str, Any]:
    """What of a body may be given to an object that exists already."""
    fixed = (found.key, found.parent_key)
    return {name: value for name, value in body.items() if name not in fixed}
