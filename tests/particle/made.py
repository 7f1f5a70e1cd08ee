"""Models for the tests of this room: one with every type that attributes can have, and upstream's."""

from __future__ import annotations

from functools import cache
from typing import Any

from gluon.model.catalog import bundled_models_dir, load_catalog
from gluon.model.compiler import compile_sources
from gluon.model.documents import Source
from gluon.model.library import Library
from gluon.model.model import ApiObject, Model
from gluon.particle.values import text_format
from shared_models import upstream_models

EVERYTHING = """
file_version: "1.0"
info: {name: everything, version: "1.0", description: "Every type <there> & is"}
objects:
  Thing:
    api: {name: thing, plural_name: things}
    attributes:
      id: {type: uuid, primary: true, description: "Key of the thing"}
      tenant_id: {type: uuid, required: true}
      name: {type: string, length: 8}
      label: {type: string, required: true}
      count: {type: integer, required: true, min: 1, max: 31}
      small: {type: integer, format: int32}
      wide: {type: integer}
      atleast: {type: integer, min: 10}
      ratio: {type: number, min: 0, max: 1.5}
      any_number: {type: number, required: true}
      flag: {type: boolean, required: true}
      maybe: {type: boolean}
      colour: {type: enum, values: [red, green, blue], required: true}
      shade: {type: enum, values: [light, dark]}
      plain_uuid: {type: uuid}
      mac: {type: string, format: mac, length: 18}
      must_mac: {type: string, format: mac, required: true}
      v4: {type: string, format: ipv4}
      v6: {type: string, format: ipv6}
      when: {type: string, format: date-time}
      blob: {type: string, format: json}
      link: {type: string, format: uri}
      mail: {type: string, format: email}
      named_ref: {type: Named}
      must_ref: {type: Thing, required: true}
      numbered_ref: {type: Numbered}
      limit: {type: integer}
      fields: {type: string}
  Named:
    api: {name: named, plural_name: nameds}
    attributes:
      title: {type: string, primary: true, required: true, length: 20}
      weight: {type: integer}
  Numbered:
    api: {name: numbered, plural_name: numbereds}
    attributes:
      number: {type: integer, primary: true, min: 1, max: 4094}
  Part:
    api: {name: part, plural_name: parts, parent: Thing, parent_key: thing_id}
    attributes:
      id: {type: uuid, primary: true}
      thing_id: {type: Thing, required: true}
      slot: {type: integer, required: true}
"""

TENANT = "a868a466bca84df18404a77db0ecac72"
DASHED = "a868a466-bca8-4df1-8404-a77db0ecac72"


def compiled(text: str, service: str = "everything") -> Model:
    library = Library((bundled_models_dir(),))
    return compile_sources(service, [Source("api.yaml", text.encode())], library).require()


@cache
def everything() -> Model:
    return compiled(EVERYTHING)


@cache
def upstream(service: str) -> Model:
    return load_catalog(upstream_models(), bundled=False).newest(service)


def a_thing(**changes: Any) -> dict[str, Any]:
    """The smallest body that makes a Thing, changed as given."""
    body = {
        "tenant_id": TENANT,
        "label": "",
        "count": 1,
        "any_number": 0.5,
        "flag": False,
        "colour": "red",
        "must_mac": "c8:2a:14:04:43:80",
        "must_ref": DASHED,
    }
    return body | changes


def a_port(**changes: Any) -> dict[str, Any]:
    """The smallest body that makes a Port of net-l3vpn, changed as given."""
    body = {
        "tenant_id": TENANT,
        "mac_address": "c8:2a:14:04:43:80",
        "admin_state_up": True,
        "status": "ACTIVE",
        "vnic_type": "normal",
        "mtu": 1500,
        "vlan_transparency": True,
    }
    return body | changes


def formatted(api_object: ApiObject) -> list[str]:
    """The attributes that hold text of a format."""
    return [name for name, attribute in api_object.attributes.items() if text_format(attribute)]
