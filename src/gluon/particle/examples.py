"""Requests and commands to copy: made from the model, and such that its own validator accepts them."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gluon.etcd.keys import segment
from gluon.model.model import ApiObject, Attribute, AttributeType, Model
from gluon.particle.spelling import with_article
from gluon.particle.texts import text_of_key
from gluon.particle.validators import server_makes_key
from gluon.particle.values import integer_range, is_reference, text_format

_TENANT = "a868a466bca84df18404a77db0ecac72"
_UUID = "6b0f3a4e-7f3c-4f0a-9d0b-2f1f8d5c1e77"
_OTHER_UUID = "0d9c1f52-3a7e-4c53-8f43-6f1b6c0f9a10"
_BY_FORMAT = {
    "date-time": "2026-11-22T04:15:36Z",
    "json": "{}",
    "ipv4": "192.0.2.10",
    "ipv6": "2001:db8::10",
    "mac": "c8:2a:14:04:43:80",
    "uri": "https://example.org/",
    "email": "noc@example.org",
}


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to do, in the two ways to do it."""

    title: str
    curl: str
    command: str


def example_value(attribute: Attribute) -> Any:
    """A value that the attribute can have."""
    kind = attribute.value_type
    if attribute.name == "tenant_id" and kind is AttributeType.UUID:
        return _TENANT
    if kind is AttributeType.UUID:
        return _OTHER_UUID if is_reference(attribute) else _UUID
    if kind is AttributeType.BOOLEAN:
        return True
    if kind is AttributeType.INTEGER:
        least, greatest = integer_range(attribute)
        return min(max(1500 if attribute.name == "mtu" else 1, least), greatest)
    if kind is AttributeType.NUMBER:
        least_number = -math.inf if attribute.minimum is None else attribute.minimum
        greatest_number = math.inf if attribute.maximum is None else attribute.maximum
        return min(max(1.5, least_number), greatest_number)
    if kind is AttributeType.ENUM and attribute.values:
        return attribute.values[0]
    text = _BY_FORMAT.get(text_format(attribute) or "")
    return text if text is not None else f"my-{attribute.name}"[: attribute.length or None]


def example_body(api_object: ApiObject) -> dict[str, Any]:
    """The smallest body that creates an object, and its name if it may have one."""
    needed = [a for a in api_object.attributes.values() if a.required or a.name in (api_object.key, "name")]
    return {
        a.name: example_value(a)
        for a in needed
        if a.name != api_object.key or not server_makes_key(api_object)
    }


def examples(model: Model, api_object: ApiObject, base_url: str) -> tuple[Example, ...]:
    """Create, list, show, update and delete one kind of object, at the server `base_url`."""
    url = f"{base_url}/proton/{segment(model.service)}/{segment(model.version_id)}/{api_object.plural}"
    noun = api_object.api_name
    key = text_of_key(example_value(api_object.key_attribute))
    item = f"{url}/{segment(key)}"
    command = f"protonclient --api {shlex.quote(model.service)} {noun}"
    body = example_body(api_object)
    change = _example_change(api_object)
    return (
        Example(
            f"Create {with_article(noun)}", _curl("POST", url, body), f"{command}-create{_options(body)}"
        ),
        Example(f"List {api_object.plural}", _curl("GET", f"{url}?limit=20"), f"{command}-list --limit 20"),
        Example(f"Show one {noun}", _curl("GET", item), f"{command}-show {shlex.quote(key)}"),
        Example(
            f"Change {with_article(noun)}",
            _curl("PATCH", item, change),
            f"{command}-update{_options(change)} {shlex.quote(key)}",
        ),
        Example(
            f"Delete {with_article(noun)}", _curl("DELETE", item), f"{command}-delete {shlex.quote(key)}"
        ),
    )


def _example_change(api_object: ApiObject) -> dict[str, Any]:
    fixed = (api_object.key, api_object.parent_key, "tenant_id")
    free = [a for a in api_object.attributes.values() if a.name not in fixed and not is_reference(a)]
    named = [a for a in free if a.name == "name"] or free
    return {named[0].name: example_value(named[0])} if named else {}


def _curl(method: str, url: str, body: Mapping[str, Any] | None = None) -> str:
    words = ["curl", "-s"] + ([] if method == "GET" else ["-X", method])
    lines = [" ".join([*words, shlex.quote(url)])]
    if body is not None:
        lines.append("  -H 'Content-Type: application/json'")
        lines.append(f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return " \\\n".join(lines)


def _options(body: Mapping[str, Any]) -> str:
    # The `=` form also takes a value that begins with a dash.
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
    return "".join(
        f" \\\n  --{name}{'=' if text.startswith('-') else ' '}{shlex.quote(text)}"
        for name, text in texts.items()
    )
