"""The page that describes a service version to people: one HTML file that needs nothing from elsewhere.

No script, no font, no image is loaded; what comes from the model is escaped by the template.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from gluon.etcd.keys import segment
from gluon.model.model import ApiObject, Attribute, Model, Role
from gluon.particle.commands import command_descriptions, value_words
from gluon.particle.examples import Example, examples
from gluon.particle.policies import ACTIONS, rule_name
from gluon.particle.validators import server_makes_key
from gluon.particle.values import empty_is_null, text_limits

_ROLES = {
    Role.PORT: "port: what virtual machines bind to",
    Role.INTERFACE: "interface: segments a port",
    Role.SERVICE: "service",
    Role.SERVICE_BINDING: "service binding: puts an interface into a service",
}


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """A line of an object's table."""

    name: str
    words: str
    """What the values are."""
    refers_to: tuple[str, ...]
    rules: tuple[str, ...]
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A request that is possible."""

    method: str
    path: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """Everything about one kind of object."""

    name: str
    api_name: str
    plural: str
    role: str
    description: str
    key: str
    parent: str | None
    unique: tuple[str, ...]
    attributes: tuple[AttributeRow, ...]
    endpoints: tuple[Endpoint, ...]
    examples: tuple[Example, ...]
    policies: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]


def docs_page(model: Model, base_url: str) -> str:
    """The page as HTML; `base_url` is the URL of the server's root, without a `/` at its end."""
    path = f"/proton/{segment(model.service)}/{segment(model.version_id)}"
    server = urlsplit(base_url)
    commands = command_descriptions(model)
    names = {o.name: tuple(c.name for c in commands if c.object == o.name) for o in model.objects.values()}
    return _template().render(
        service=model.service,
        version=model.version,
        description=model.description,
        digest=model.digest,
        url=base_url + path,
        host=server.hostname or "127.0.0.1",
        port=server.port or (443 if server.scheme == "https" else 80),
        sections=[_section(model, o, base_url, path, names[o.name]) for o in model.objects.values()],
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("gluon.particle"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("docs.html")


def _section(
    model: Model, api_object: ApiObject, base_url: str, path: str, commands: tuple[str, ...]
) -> Section:
    return Section(
        name=api_object.name,
        api_name=api_object.api_name,
        plural=api_object.plural,
        role=_ROLES.get(api_object.role, ""),
        description=api_object.description,
        key=api_object.key,
        parent=api_object.parent,
        unique=api_object.unique_together,
        attributes=tuple(_row(api_object, a) for a in api_object.attributes.values()),
        endpoints=_endpoints(model, api_object, path),
        examples=examples(model, api_object, base_url),
        policies=tuple(
            (rule_name(model.service, action, api_object.api_name), api_object.policies[action])
            for action in ACTIONS
        ),
        commands=commands,
    )


def _row(api_object: ApiObject, attribute: Attribute) -> AttributeRow:
    is_key = attribute.name == api_object.key
    made = is_key and server_makes_key(api_object)
    rules = []
    if is_key:
        rules.append("identifies the object, fixed after creation")
    if made:
        rules.append("made by the server if left out")
    if attribute.name == api_object.parent_key:
        rules.append("fixed after creation, and filled from the URL below the parent")
    if attribute.value_type.value == "string":
        characters, allowed_bytes = text_limits(attribute, api_object.role)
        longest = f"{allowed_bytes // 1024} KiB" if allowed_bytes > characters else f"{characters} characters"
        rules.append(f"at most {longest}")
    if empty_is_null(attribute) and not is_key:
        rules.append("empty means null")
    return AttributeRow(
        name=attribute.name,
        words=value_words(attribute).partition(", key of ")[0],
        refers_to=attribute.refers_to,
        rules=tuple(rules),
        required=(attribute.required or is_key) and not made,
        description=" ".join(attribute.description.split()),
    )


def _endpoints(model: Model, api_object: ApiObject, path: str) -> tuple[Endpoint, ...]:
    collections = [f"{path}/{api_object.plural}"]
    if api_object.parent is not None:
        parent = model.objects[api_object.parent]
        collections.append(f"{path}/{parent.plural}/{{{parent.api_name}_{parent.key}}}/{api_object.plural}")
    found = []
    for collection in collections:
        item = f"{collection}/{{{api_object.key}}}"
        found += [
            Endpoint("GET", collection, "list"),
            Endpoint("POST", collection, "create one, or several at once"),
            Endpoint("GET", item, "show"),
            Endpoint("PUT", item, "change what is given"),
            Endpoint("PATCH", item, "change what is given"),
            Endpoint("DELETE", item, "delete; ?cascade=true: with all that refers to it"),
            Endpoint("GET", f"{item}/status", "what each controller made of it"),
        ]
    if api_object.role is Role.PORT:
        bindings = f"{path}/{api_object.plural}/{{{api_object.key}}}/bindings"
        found += [
            Endpoint("GET", bindings, "list where it is bound"),
            Endpoint("POST", bindings, "make it ready on another host"),
            Endpoint("GET", f"{bindings}/{{host}}", "show one binding"),
            Endpoint("PUT", f"{bindings}/{{host}}", "change its profile"),
            Endpoint("PATCH", f"{bindings}/{{host}}", "change its profile"),
            Endpoint("DELETE", f"{bindings}/{{host}}", "unbind that host"),
            Endpoint("PUT", f"{bindings}/{{host}}/activate", "use it there from now on"),
        ]
    return tuple(found)
