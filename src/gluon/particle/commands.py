"""The commands of a command line for a service: plain values, made from its model.

Every kind of object has `<api name>-create`, `-show`, `-update`, `-delete`, `-list` and `-status`. The
command line turns these into its own terms; nothing here knows how.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gluon.model.model import ApiObject, Attribute, AttributeType, Model
from gluon.particle.queries import filter_name
from gluon.particle.spelling import with_article
from gluon.particle.texts import value_from_text
from gluon.particle.validators import server_makes_key
from gluon.particle.values import text_format

_FORMAT_WORDS = {
    "date-time": "date and time (RFC 3339)",
    "json": "JSON text",
    "ipv4": "IPv4 address",
    "ipv6": "IPv6 address",
    "mac": "MAC address",
    "uri": "URI",
    "email": "e-mail address",
}


class Verb(enum.Enum):
    """What a command does; the value ends its name."""

    CREATE = "create"
    SHOW = "show"
    UPDATE = "update"
    DELETE = "delete"
    LIST = "list"
    STATUS = "status"


class Place(enum.Enum):
    """Where in the request an option's value goes."""

    BODY = "body"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Argument:
    """A value that stands without a name: the key of the object."""

    name: str
    help: str


@dataclass(frozen=True, slots=True)
class Option:
    """A value with a name."""

    name: str
    """Unique within the command: the attribute, or the query parameter."""
    flags: tuple[str, ...]
    """How it is written: `--mac_address` and `--mac-address`."""
    place: Place
    parameter: str
    """Its name in the body or in the query."""
    kind: AttributeType
    help: str
    required: bool = False
    """The server refuses the request without it, unless it knows the value from the caller's token."""
    choices: tuple[str, ...] = ()
    is_flag: bool = False
    """It may stand without a value, which then is true."""

    def value(self, text: str) -> Any:
        """The typed value for the body, or the text for the query.

        Raises ValueError with what the value must be. What a value may be beyond its type is the
        server's to say, which names all wrong fields at once.
        """
        typed = value_from_text(self.kind, text)
        return text if self.place is Place.QUERY else typed


@dataclass(frozen=True, slots=True)
class Command:
    """One command on one kind of object."""

    name: str
    verb: Verb
    object: str
    """Name of the object in the model."""
    plural: str
    """The collection in the URL."""
    help: str
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()


def command_descriptions(model: Model) -> tuple[Command, ...]:
    """Every command of the model, objects in declared order."""
    return tuple(command for api_object in model.objects.values() for command in _commands(model, api_object))


def _commands(model: Model, api_object: ApiObject) -> Iterable[Command]:
    noun = api_object.api_name
    key = Argument(api_object.key, api_object.key_attribute.description or f"Key of the {noun}")
    about = f" {api_object.description}" if api_object.description else ""

    def command(verb: Verb, text: str, arguments: tuple[Argument, ...], options: Iterable[Option]) -> Command:
        return Command(
            f"{noun}-{verb.value}",
            verb,
            api_object.name,
            api_object.plural,
            text,
            arguments,
            tuple(options),
        )

    attributes = tuple(api_object.attributes.values())
    changeable = tuple(a for a in attributes if a.name != api_object.key)
    yield command(
        Verb.CREATE,
        f"Create {with_article(noun)}.{about}",
        (),
        [*(_body_option(api_object, a, Verb.CREATE) for a in attributes), _DRY_RUN],
    )
    yield command(Verb.SHOW, f"Show one {noun}.", (key,), ())
    yield command(
        Verb.UPDATE,
        f"Change what is given of {with_article(noun)}, and nothing else.",
        (key,),
        [*(_body_option(api_object, a, Verb.UPDATE) for a in changeable), _DRY_RUN],
    )
    yield command(Verb.DELETE, f"Delete {with_article(noun)}.", (key,), [_CASCADE, _DRY_RUN])
    yield command(Verb.LIST, f"List {api_object.plural}.", (), (*_filters(attributes), *_PAGING))
    yield command(Verb.STATUS, f"Show what the controllers made of {with_article(noun)}.", (key,), ())


def _flags(name: str) -> tuple[str, ...]:
    # Underscores at the ends stay: `--_x` must not become `---x`, which reads as another option.
    core = name.strip("_")
    dashed = name.replace(core, core.replace("_", "-"), 1) if core else name
    return (f"--{name}",) if dashed == name else (f"--{name}", f"--{dashed}")


def _body_option(api_object: ApiObject, attribute: Attribute, verb: Verb) -> Option:
    required = attribute.required
    if attribute.name == api_object.key:
        required = not server_makes_key(api_object)
    notes = []
    if verb is Verb.CREATE:
        if required:
            notes.append("required")
        elif attribute.name == api_object.key:
            notes.append("made by the server if left out")
    elif attribute.name == api_object.parent_key:
        notes.append("fixed after creation")
    # What the API itself calls a parameter of writes, an attribute can't be called as well.
    name = filter_name(attribute.name) if attribute.name == _DRY_RUN.name else attribute.name
    return Option(
        name,
        _flags(name),
        Place.BODY,
        attribute.name,
        attribute.value_type,
        option_help(attribute, notes),
        required and verb is Verb.CREATE,
        attribute.values,
    )


def option_help(attribute: Attribute, notes: Iterable[str] = ()) -> str:
    """The attribute's description, what its values are, and the notes, in one line."""
    text = " ".join(attribute.description.split())
    said = [value_words(attribute), *notes]
    return f"{text} [{'; '.join(said)}]" if text else f"[{'; '.join(said)}]"


def value_words(attribute: Attribute) -> str:
    """What the values of an attribute are, in a few words: `integer from 1 to 31`."""
    if attribute.values:
        words = "one of " + ", ".join(attribute.values)
    elif text_format(attribute) is not None:
        words = _FORMAT_WORDS.get(str(attribute.format), str(attribute.format))
    else:
        words = attribute.value_type.value
    if attribute.minimum is not None and attribute.maximum is not None:
        words += f" from {attribute.minimum} to {attribute.maximum}"
    elif attribute.minimum is not None:
        words += f" of at least {attribute.minimum}"
    elif attribute.maximum is not None:
        words += f" of at most {attribute.maximum}"
    if attribute.refers_to:
        words += f", key of {with_article(' or '.join(attribute.refers_to))}"
    return words


def _filters(attributes: Iterable[Attribute]) -> Iterable[Option]:
    for attribute in attributes:
        parameter = filter_name(attribute.name)
        yield Option(
            parameter,
            _flags(parameter),
            Place.QUERY,
            parameter,
            attribute.value_type,
            f"Only those with this {attribute.name} [{value_words(attribute)}]",
            choices=attribute.values,
        )


_CASCADE = Option(
    "cascade",
    ("--cascade",),
    Place.QUERY,
    "cascade",
    AttributeType.BOOLEAN,
    "Delete all that refers to it too",
    is_flag=True,
)

_DRY_RUN = Option(
    "dry_run",
    ("--dry_run", "--dry-run"),
    Place.QUERY,
    "dry_run",
    AttributeType.BOOLEAN,
    "Change nothing, and answer as if it were done",
    is_flag=True,
)

_PAGING = (
    Option("limit", ("--limit",), Place.QUERY, "limit", AttributeType.INTEGER, "At most so many objects"),
    Option(
        "marker",
        ("--marker",),
        Place.QUERY,
        "marker",
        AttributeType.STRING,
        "Begin behind the object with this key",
    ),
    Option(
        "sort_key",
        ("--sort_key", "--sort-key"),
        Place.QUERY,
        "sort_key",
        AttributeType.STRING,
        "Sort by this attribute",
    ),
    Option(
        "sort_dir",
        ("--sort_dir", "--sort-dir"),
        Place.QUERY,
        "sort_dir",
        AttributeType.ENUM,
        "Direction to sort in",
        choices=("asc", "desc"),
    ),
    Option(
        "fields",
        ("--fields",),
        Place.QUERY,
        "fields",
        AttributeType.STRING,
        "Only these attributes, separated by commas",
    ),
)
