"""Every type and format with awkward values: from the API by database and etcd into a shim, unharmed."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from gluon.etcd.keys import segment
from gluon.model.catalog import bundled_models_dir
from gluon.model.compiler import compile_sources
from gluon.model.documents import Source
from gluon.model.library import Library
from gluon.model.model import ApiObject, Attribute, AttributeType, Model
from gluon.particle.texts import text_of_key
from gluon.particle.values import empty_is_null, text_limits
from gluon.shim.models.generic import GenericApiModel
from gluon.shim.views import Source as ViewSource
from proton.serving import TENANT, Api, serving
from servers.etcd import EtcdServer
from system.agreement import PATIENCE, Follower, following
from system.awkward import as_stored, spellings, values_of
from system.effort import FACTOR, WITH_A_SERVER, effort

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300 * FACTOR),
    WITH_A_SERVER,
]

MODEL = """
file_version: "1.0"
imports: base/base.yaml
info: {name: trip, version: 1.0}
objects:
  Port: {api: {name: port}, extends: BasePort}
  Interface: {api: {name: interface}, extends: BaseInterface}
  Service: {api: {name: service}, extends: BaseService}
  Thing:
    api: {name: thing}
    attributes:
      id: {type: uuid, primary: true}
      tenant_id: {type: uuid}
      text: {type: string}
      must: {type: string, required: true, length: 300}
      short: {type: string, length: 1}
      long: {type: string, length: 20000}
      flag: {type: boolean}
      whole: {type: integer}
      wide: {type: integer, format: int64}
      narrow: {type: integer, format: int32}
      between: {type: integer, min: -3, max: 3}
      real: {type: number}
      part: {type: number, min: -0.5, max: 0.5}
      loose: {type: uuid}
      choice: {type: enum, values: ['a', 'None', 'true', '0', 'a b', 'ü/𝄞', "'"]}
      time: {type: string, format: date-time}
      document: {type: string, format: json, length: 2000}
      v4: {type: string, format: ipv4}
      v6: {type: string, format: ipv6}
      mac: {type: string, format: mac}
      uri: {type: string, format: uri}
      mail: {type: string, format: email}
      by_uuid: {type: Thing}
      by_text: {type: TextKey}
      by_whole: {type: WholeKey}
      by_real: {type: RealKey}
      by_flag: {type: FlagKey}
      by_choice: {type: ChoiceKey}
      by_chain: {type: ChainKey}
  TextKey: {api: {name: text-key}, attributes: {key: {type: string, primary: true, length: 40}}}
  WholeKey: {api: {name: whole-key}, attributes: {key: {type: integer, primary: true}}}
  RealKey: {api: {name: real-key}, attributes: {key: {type: number, primary: true}}}
  FlagKey: {api: {name: flag-key}, attributes: {key: {type: boolean, primary: true}}}
  ChoiceKey: {api: {name: choice-key}, attributes: {key: {type: enum, primary: true, values: [a/b, '..', ü]}}}
  ChainKey: {api: {name: chain-key}, attributes: {key: {type: TextKey, primary: true}}}
"""
EMPTY_IS_NULL = (
    *("choice", "time", "document", "v4", "v6", "mac", "uri", "mail", "loose", "by_uuid", "by_text"),
    *("by_whole", "by_choice", "by_chain"),
)
TRIP = compile_sources(
    "trip", [Source("api.yaml", MODEL.encode())], Library((bundled_models_dir(),))
).require()
THING = TRIP.objects["Thing"]
KEYED = ("TextKey", "WholeKey", "RealKey", "FlagKey", "ChoiceKey", "ChainKey")


class Trip:
    """Sends objects on their way, and looks at each stop."""

    def __init__(self, api: Api, model: Model, follower: Follower) -> None:
        self.api = api
        self.model = model
        self._follower = follower
        self._view_classes = GenericApiModel(model).view_classes
        self._root = f"/proton/trip/{model.version_id}"

    async def create(self, name: str, expect: int = 201, **body: Any) -> dict[str, Any]:
        path = f"{self._root}/{self.model.objects[name].plural}"
        return (await self.api.request("POST", path, expect, json=body)).json()

    async def change(self, name: str, key: Any, **body: Any) -> dict[str, Any]:
        return (await self.api.request("PUT", self.path(name, key), 200, json=body)).json()

    def path(self, name: str, key: Any) -> str:
        return f"{self._root}/{self.model.objects[name].plural}/{segment(text_of_key(key))}"

    async def things(self, **filters: str) -> list[dict[str, Any]]:
        return (await self.api.get(f"{self._root}/things", **filters))["things"]

    async def arrives(self, name: str, document: dict[str, Any]) -> None:
        """The API shows the object as this document, and so it comes to etcd, to a mirror, and to a shim."""
        found = self.model.objects[name]
        key = document[found.key]
        shown = await self.api.request("GET", self.path(name, key), 200)
        assert as_text(shown.json()) == as_text(document)
        at = self.api.keys.object("trip", name, text_of_key(key))
        async with asyncio.timeout(PATIENCE):
            while (value := self._follower.mirror.get(at)) is None or revision(value) < revision(document):
                await asyncio.sleep(0.001)
        stored = await self.api.etcd.get(at)
        assert stored is not None and stored.value == value
        mirrored = json.loads(value)
        assert as_text({n: mirrored[n] for n in document}) == as_text(document)
        # What a backend gets to see of it; it leads to no other object here.
        view = self._view_classes[name](cast(ViewSource, None), text_of_key(key), value)
        assert as_text({n: view[n] for n in document}) == as_text(document)
        assert self.api.keys.parse(at).segments == ("trip", name, text_of_key(key))


def as_text(document: dict[str, Any]) -> str:
    """As JSON, in which 1, 1.0, "1" and true are different things."""
    return json.dumps(document, sort_keys=True)


def revision(document: dict[str, Any] | bytes) -> int:
    known = json.loads(document) if isinstance(document, bytes) else document
    return int(known["revision_number"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trip(tmp_path_factory: pytest.TempPathFactory, etcd_server: EtcdServer) -> AsyncIterator[Trip]:
    folder = tmp_path_factory.mktemp("trip")
    (folder / "models" / "trip").mkdir(parents=True)
    (folder / "models" / "trip" / "api.yaml").write_text(MODEL)
    prefix = f"/trip-{uuid.uuid4().hex}"
    served: dict[str, Any] = {"models_dir": folder / "models", "services": ("trip",)}
    async with serving(folder, etcd_server.url, prefix, **served) as api:
        async with following(api, "trip") as follower:
            yield Trip(api, TRIP, follower)


def bodies(found: ApiObject) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies with any of the attributes that refer to nothing; each given a value, null, or left out."""
    own = [a for a in found.attributes.values() if not a.refers_to and a.name != found.key]
    return st.fixed_dictionaries(
        {a.name: values(found, a) for a in own if a.required},
        optional={a.name: st.none() | values(found, a) for a in own if not a.required},
    )


def values(found: ApiObject, attribute: Attribute) -> st.SearchStrategy[Any]:
    """What lies at the edges of the attribute, and what lies between them."""
    kind = attribute.value_type
    if kind is AttributeType.UUID:
        return st.uuids().flatmap(lambda number: st.sampled_from(spellings(number)))
    edges = st.sampled_from(values_of(found, attribute))
    if kind is AttributeType.INTEGER:
        return edges | st.integers(min(values_of(found, attribute)), max(values_of(found, attribute)))
    if kind is AttributeType.NUMBER and attribute.minimum is None:
        return edges | st.floats(allow_nan=False, allow_infinity=False)
    if kind is AttributeType.STRING and attribute.format is None:
        longest, _ = text_limits(attribute, found.role)
        characters = st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")
        return edges | st.text(characters, max_size=min(longest, 40), min_size=0)
    return edges | st.just("") if empty_is_null(attribute) else edges


def expected(found: ApiObject, body: dict[str, Any]) -> dict[str, Any]:
    return {name: as_stored(found, found.attributes[name], value) for name, value in body.items()}


@effort(100)
@given(body=bodies(THING), changes=bodies(THING))
async def test_what_was_sent_comes_back_everywhere(
    trip: Trip, body: dict[str, Any], changes: dict[str, Any]
) -> None:
    created = await trip.create("Thing", **body)
    others = {n: None for n in THING.attributes if n not in body}
    whole = {**others, **expected(THING, body), "id": created["id"]}
    assert as_text({n: created[n] for n in THING.attributes}) == as_text(whole)
    await trip.arrives("Thing", created)

    changed = await trip.change("Thing", created["id"], **changes)
    kept = {n: changed[n] for n in THING.attributes}
    assert as_text(kept) == as_text({n: created[n] for n in THING.attributes} | expected(THING, changes))
    await trip.arrives("Thing", changed)


@pytest.mark.parametrize("name", KEYED)
async def test_a_key_of_any_type_names_its_object_in_urls_etcd_and_references(trip: Trip, name: str) -> None:
    found = trip.model.objects[name]
    attribute = next(a for a in trip.model.objects["Thing"].attributes.values() if a.target == name)
    source = trip.model.objects["TextKey"] if name == "ChainKey" else found
    seen: set[Any] = set()
    for given_key in values_of(source, source.key_attribute):
        key = as_stored(found, found.key_attribute, given_key)
        if given_key == "..":
            # Clients and proxies would take it out of a URL's path.
            assert (await trip.create(name, 422, key=given_key))["status"] == 422
        if key in seen or given_key == "..":
            continue
        seen.add(key)
        document = await trip.create(name, **{found.key: given_key})
        assert as_text({"key": document[found.key]}) == as_text({"key": key})
        await trip.arrives(name, document)
        thing = await trip.create("Thing", must="", **{attribute.name: given_key})
        await trip.arrives("Thing", thing)
        by_key = await trip.things(**{attribute.name: text_of_key(key)})
        assert [(t["id"], as_text(t)) for t in by_key] == [(thing["id"], as_text(thing))]
    assert len(seen) > 1


async def test_two_spellings_of_a_uuid_are_one_object(trip: Trip) -> None:
    number = uuid.uuid4()
    for first in spellings(number):
        document = await trip.create("Thing", id=first, must="", by_uuid=None)
        assert document["id"] == str(number)
        for second in spellings(number):
            assert (await trip.create("Thing", 409, id=second, must=""))["status"] == 409
            assert (await trip.change("Thing", second, by_uuid=second))["by_uuid"] == str(number)
            found = await trip.things(by_uuid=second)
            assert [t["id"] for t in found] == [str(number)]
        await trip.api.request("DELETE", trip.path("Thing", first.upper()), 204)


async def test_a_tenant_stays_as_given_and_is_found_by_all_its_spellings(trip: Trip) -> None:
    number = uuid.uuid4()
    for given_tenant in spellings(number):
        document = await trip.create("Thing", must="", tenant_id=given_tenant)
        assert document["tenant_id"] == given_tenant
        await trip.arrives("Thing", document)
    for asked in spellings(number):
        assert len(await trip.things(tenant_id=asked)) == len(spellings(number))


@pytest.mark.parametrize("name", ["profile", "vif_details"])
async def test_a_port_carries_64_kib_of_json(trip: Trip, name: str) -> None:
    port = {
        "tenant_id": TENANT,
        "mac_address": "c8:2a:14:04:43:80",
        "admin_state_up": True,
        "status": "ACTIVE",
        "vnic_type": "normal",
        "mtu": 2**63 - 1,
        "vlan_transparency": False,
    }
    for filling in ("x", "\\", "𝄞"):
        text = json.dumps({"a": ""}, ensure_ascii=False)
        room = 64 * 1024 - len(text.encode())
        content = filling * (room // len(json.dumps(filling, ensure_ascii=False).encode()[1:-1]))
        text = json.dumps({"a": content}, ensure_ascii=False)
        document = await trip.create("Port", **port, **{name: text})
        assert document[name] == text
        await trip.arrives("Port", document)
    too_long = await trip.create("Port", 422, **port, **{name: json.dumps({"a": "x" * 64 * 1024})})
    assert [e["field"] for e in too_long["errors"]] == [name]


@pytest.mark.parametrize("name", EMPTY_IS_NULL)
async def test_an_empty_text_is_null_where_the_design_says_so(trip: Trip, name: str) -> None:
    document = await trip.create("Thing", must="", **{name: ""})
    assert document[name] is None
    await trip.arrives("Thing", document)


async def test_an_empty_text_is_a_text_where_nothing_says_otherwise(trip: Trip) -> None:
    document = await trip.create("Thing", must="", text="")
    assert (document["must"], document["text"]) == ("", "")
    await trip.arrives("Thing", document)
    refused = await trip.create("Thing", 422, must=None)
    assert [e["field"] for e in refused["errors"]] == ["must"]
