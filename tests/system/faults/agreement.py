"""Whether database, etcd and the shims' journals say the same, object by object."""

from __future__ import annotations

from typing import Any

import msgspec

from gluon.model.catalog import load_catalog
from gluon.model.model import ApiObject
from system.faults.eventually import eventually
from system.faults.stack import SERVICE, Shim, Stack, binding_of, is_bound

Documents = dict[str, dict[str, Any]]
"""Objects by their key in etcd."""

_WHAT_CAME_OF_A_BIND = ("revision_number", "updated_at", "status", "vif_type", "vif_details")
"""The server's own record of an answer, which is no news to the backend that gave it."""


async def agreed(stack: Stack, within: float = 30.0) -> dict[str, list[dict[str, Any]]]:
    """The objects by their collection, once nothing is on its way any more and all sides say the same.

    Every port with a host is bound by then, and every shim is there.
    """
    objects = tuple(load_catalog(None).newest(SERVICE).objects.values())

    async def check() -> dict[str, list[dict[str, Any]]]:
        relay = (await stack.health())["checks"]["relay"]
        assert relay["depth"] == 0, relay
        collections = {o.plural: await _all(stack, o.plural) for o in objects}
        _ports_are_bound(collections["ports"])
        in_database = _by_key(stack, objects, collections)
        await _etcd_has(stack, in_database, collections["ports"])
        await _bindings_have_their_claims(stack, collections["ports"])
        for shim in stack.shims.values():
            await _journal_has(stack, shim, in_database)
        return collections

    return await eventually(check, within)


def _by_key(
    stack: Stack, objects: tuple[ApiObject, ...], collections: dict[str, list[dict[str, Any]]]
) -> Documents:
    found: Documents = {}
    for o in objects:
        for document in collections[o.plural]:
            key = stack.keys.object(SERVICE, o.name, str(document[o.key]))
            assert key not in found, f"{key} is listed twice"
            found[key] = document
    return found


async def _etcd_has(stack: Stack, in_database: Documents, ports: list[dict[str, Any]]) -> None:
    listing = await stack.etcd.list(stack.keys.objects())
    found: Documents = {item.key: msgspec.json.decode(item.value) for item in listing.items}
    for document in found.values():
        for name in ("bind_id", "bindings"):
            document.pop(name, None)
    _same("etcd", found, in_database)
    owners = {
        stack.keys.port(p["id"]): {"tenant_id": p["tenant_id"], "service": SERVICE, "url": stack.url}
        for p in ports
    }
    listing = await stack.etcd.list(stack.keys.ports())
    _same("/gluon/port/", {i.key: msgspec.json.decode(i.value) for i in listing.items}, owners)


async def _bindings_have_their_claims(stack: Stack, ports: list[dict[str, Any]]) -> None:
    expected = {stack.keys.claim(SERVICE, p["id"], p["host_id"]) for p in ports if p["host_id"]}
    claims = {item.key for item in (await stack.etcd.list(stack.keys.claims())).items}
    assert claims == expected, f"claims: missing {expected - claims}, too many {claims - expected}"
    answers = {item.key for item in (await stack.etcd.list(stack.keys.answers())).items}
    possible = {stack.keys.answer(SERVICE, "Port", p["id"]) for p in ports}
    assert answers <= possible, f"answers without their ports: {answers - possible}"


async def _journal_has(stack: Stack, shim: Shim, objects: Documents) -> None:
    """A shim has applied these very objects, as they are, and has no others on its books."""
    applied, trouble = {}, {}
    for item in (await stack.etcd.list(stack.keys.statuses())).items:
        service, object_name, key, controller = stack.keys.parse(item.key).segments
        if controller != shim.name:
            continue
        entry = msgspec.json.decode(item.value)
        object_key = stack.keys.object(service, object_name, key)
        applied[object_key] = _without_answer(entry["applied"])
        if entry["state"] != "APPLIED":
            trouble[object_key] = entry
    assert not trouble, f"{shim.name} has not applied: {trouble}"
    _same(f"{shim.name}'s journal", applied, {key: _without_answer(found) for key, found in objects.items()})


def _ports_are_bound(ports: list[dict[str, Any]]) -> None:
    wanting = [binding_of(p) for p in ports if p["host_id"] and not is_bound(p)]
    assert not wanting, f"{len(wanting)} ports are not bound: {wanting[:10]}"
    left = [binding_of(p) for p in ports if not p["host_id"] and p["vif_type"] is not None]
    assert not left, f"{len(left)} ports are not bound, but have a vif: {left[:10]}"


async def _all(stack: Stack, plural: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path: str | None = plural
    while path:
        answer = await stack.request("GET", path, 200)
        found += answer[plural]
        path = next((link["href"] for link in answer.get(f"{plural}_links", ())), None)
    return found


def _same(what: str, found: Documents, expected: Documents) -> None:
    missing = sorted(expected.keys() - found.keys())
    further = sorted(found.keys() - expected.keys())
    differing = {
        k: (found[k], expected[k]) for k in found.keys() & expected.keys() if found[k] != expected[k]
    }
    report = f"{what}: missing {missing}, too many {further}, differing (found, expected) {differing}"
    assert not (missing or further or differing), report[:4000]


def _without_answer(document: dict[str, Any]) -> dict[str, Any]:
    left_out = ("bind_id", "bindings", *(_WHAT_CAME_OF_A_BIND if "vif_type" in document else ()))
    return {name: value for name, value in document.items() if name not in left_out}
