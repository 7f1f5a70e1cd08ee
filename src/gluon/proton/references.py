"""References between objects: does what a body points at exist, and who still points at an object."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gluon.model.model import Attribute
from gluon.particle.texts import text_of_key
from gluon.proton.change import Change
from gluon.proton.errors import Referrer, Wrong
from gluon.proton.identity import Identity
from gluon.proton.registry import HostedObject, Proton
from gluon.store.database import ReferenceViolation, Transaction
from gluon.store.repository import Referrer as StoredReferrer

REFERRERS_SHOWN = 100
"""How many of the objects in the way a 409 names."""


async def missing_references(
    tx: Transaction,
    identity: Identity,
    proton: Proton,
    hosted: HostedObject,
    values: Mapping[str, Any],
    together: Collection[Any] = (),
) -> list[Wrong]:
    """Every reference in `values` to what doesn't exist or what the caller may not see.

    Looked up in the transaction that relies on it. `together` are the keys of objects of the same type that
    are created in the same transaction: they may refer to each other in any order, and to themselves.
    """
    wrong = []
    for attribute in hosted.api.references:
        value = values.get(attribute.name)
        if value is None or (hosted.api.name in attribute.refers_to and value in together):
            continue
        target = await _target(tx, proton, attribute, value)
        row = await target.repository.get(tx, value) if target is not None else None
        if target is None or row is None or not proton.authorizer.may(identity, "get", target.api, row):
            what = " or ".join(proton.objects[name].api.api_name for name in attribute.refers_to)
            wrong.append(Wrong(attribute.name, f"there is no {what} {text_of_key(value)}"))
    return wrong


async def leaves_nothing_dangling(tx: Transaction, proton: Proton, changes: Iterable[Change]) -> None:
    """Look at what a transaction changed as its commit would, which many databases leave to that moment.

    Raises ReferenceViolation where a reference would lead nowhere. Two looks for each row: a database that
    was asked to look by itself (`PRAGMA foreign_key_check` of SQLite) would read its tables whole.
    """
    for change in changes:
        before, after, key = change.before, change.after, change.hosted.api.key
        whole = True
        if after is not None:
            whole = not await _dangling(tx, proton, change.hosted, after)
        if whole and before is not None and (after is None or after[key] != before[key]):
            whole = not await change.hosted.repository.referrers(tx, before[key], 1)
        if not whole:
            raise ReferenceViolation("the transaction would leave a reference that leads nowhere")


async def _dangling(tx: Transaction, proton: Proton, hosted: HostedObject, row: Mapping[str, Any]) -> bool:
    for attribute in hosted.api.references:
        value = row[attribute.name]
        if value is not None:
            target = await _target(tx, proton, attribute, value)
            if target is None or await target.repository.get(tx, value) is None:
                return True
    return False


async def _target(tx: Transaction, proton: Proton, attribute: Attribute, value: Any) -> HostedObject | None:
    if len(attribute.refers_to) == 1:
        return proton.objects[attribute.refers_to[0]]
    assert proton.identities is not None, "a model with such an attribute has an identity table"
    name = await proton.identities.object_of(tx, value)
    return proton.objects[name] if name in attribute.refers_to else None


def described(proton: Proton, referrers: Sequence[StoredReferrer]) -> list[Referrer]:
    """Referrers as a 409 shows them."""
    return [
        Referrer(
            object=referrer.object,
            key=text_of_key(referrer.key),
            attribute=referrer.attribute,
            path=proton.objects[referrer.object].path(referrer.key),
        )
        for referrer in referrers[:REFERRERS_SHOWN]
    ]
