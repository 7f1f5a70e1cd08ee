"""The SDK: services of a Proton Server, and the objects of one service, as plain dictionaries.

    with Client("http://127.0.0.1:2705") as client:
        l3vpn = client.proton("net-l3vpn")
        vpn = l3vpn.create("vpn", {"name": "blue", "tenant_id": TENANT})
        for port in l3vpn.list("ports", status="ACTIVE"):
            print(port["id"], port["host_id"])

An object is named by any of its three names: `Port` (in the model), `port`, `ports` (in the API).
What a service's objects are comes from the server: the client has no model files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlsplit

from keystoneauth1 import plugin

from gluon.client.errors import ClientError, InvalidRequest
from gluon.client.port_bindings import PortBindings
from gluon.client.session import DEFAULT_TIMEOUT, ProtonSession, Query
from gluon.client.watching import Change, Watching
from gluon.model.model import ApiObject, Model
from gluon.model.resolution import model_from_document
from gluon.particle.spelling import did_you_mean
from gluon.particle.texts import text_of_key

DEFAULT_URL = "http://127.0.0.1:2705"

Document = dict[str, Any]
"""An object as the API shows it: attributes by name, then `created_at`, `updated_at`, `revision_number`."""


Key = str | int | float | bool
"""The value of an object's identifying attribute."""


@dataclass(frozen=True, slots=True)
class Service:
    """A networking service that the server hosts."""

    name: str
    status: str


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions in which a service is served, as they stand in URLs (`v1.0`)."""

    default: str
    served: tuple[str, ...]


class Client:
    """A Proton Server; a context manager that closes its connections at the end."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        auth: plugin.BaseAuthPlugin | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        request_id: str | None = None,
    ) -> None:
        """`auth` is a keystoneauth plugin (None: no authentication), `timeout` in seconds.

        `request_id` (`req-<uuid>`) is the id under which the server logs all that this client asks for.
        """
        self.session = ProtonSession(url, auth=auth, timeout=timeout, request_id=request_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self.session.close()

    @property
    def url(self) -> str:
        """The server's root."""
        return self.session.url

    def services(self) -> tuple[Service, ...]:
        """The services that the server hosts."""
        path = "/proton"
        with self.session.reading(path):
            protons = self.session.request("GET", path)["protons"]
            return tuple(Service(str(p["proton_service"]), str(p["status"])) for p in protons)

    def controllers(self) -> tuple[Document, ...]:
        """The shim servers that are alive, as `GET /controllers` shows them; for administrators."""
        path = "/controllers"
        with self.session.reading(path):
            return tuple(dict(found) for found in self.session.request("GET", path)["controllers"])

    def versions(self, service: str) -> Versions:
        """The versions of a service; raises NotFound when the server does not host it."""
        path = f"/proton/{_segment(service)}"
        with self.session.reading(path):
            answer = self.session.request("GET", path)
            served = tuple(str(v["version_id"]) for v in answer["versions"])
            return Versions(str(answer["default_version"]["version_id"]), served)

    def proton(self, service: str, version: str | None = None) -> Proton:
        """The API of one service, in the version that the server prefers if none is named.

        `version` is spelt `1.0` or `v1.0`. Raises NotFound when the server does not host the service.
        """
        if version is None:
            version = self.versions(service).default
        return Proton(self.session, service, version if version.startswith("v") else f"v{version}")


class Proton:
    """The API of one service in one version."""

    def __init__(self, session: ProtonSession, service: str, version_id: str) -> None:
        self.service = service
        self.version_id = version_id
        self._session = session
        self._root = f"/proton/{_segment(service)}/{_segment(version_id)}"

    @cached_property
    def model(self) -> Model:
        """The service's model, as the server publishes it; asked for once."""
        path = f"{self._root}/openapi.json"
        with self._session.reading(path):
            return model_from_document(self._session.request("GET", path)["x-gluon-model"])

    def object(self, name: str) -> ApiObject:
        """The object that is called `name` in the model, or in the API in singular or plural."""
        objects = self.model.objects
        found = (
            self.model.by_plural.get(name)
            or next((o for o in objects.values() if o.api_name == name), None)
            or objects.get(name)
        )
        if found is None:
            known = [n for o in objects.values() for n in (o.plural, o.api_name, o.name)]
            hint = did_you_mean(name, known) or f"; it has {', '.join(self.model.by_plural)}"
            raise InvalidRequest(f"{self.service} {self.version_id} has no object {name}{hint}")
        return found

    def create(self, name: str, body: Mapping[str, Any], *, dry_run: bool = False) -> Document:
        """Create one object; returns it as it was stored.

        With `dry_run`, as in all that writes, nothing is done: it returns what it would, or raises.
        """
        path = self._collection(self.object(name))
        answer = self._session.request("POST", path, query=_dry(dry_run), body=dict(body))
        return self._document(path, answer)

    def create_many(
        self, name: str, bodies: Sequence[Mapping[str, Any]], *, dry_run: bool = False
    ) -> tuple[Document, ...]:
        """Create several objects of one type, all or none; returns them in the order given."""
        found = self.object(name)
        path = self._collection(found)
        body = {found.plural: [dict(b) for b in bodies]}
        with self._session.reading(path):
            answer = self._session.request("POST", path, query=_dry(dry_run), body=body)
            return tuple(answer[found.plural])

    def get(self, name: str, key: Key) -> Document:
        """One object by its identifying key; raises NotFound."""
        path = self._member(name, key)
        return self._document(path, self._session.request("GET", path))

    def status(self, name: str, key: Key) -> tuple[Document, ...]:
        """What each controller made of an object.

        Each is `{"controller", "state", "reason", "revision_number", "time"}`; raises NotFound.
        """
        path = f"{self._member(name, key)}/status"
        with self._session.reading(path):
            return tuple(dict(found) for found in self._session.request("GET", path)["status"])

    def update(
        self,
        name: str,
        key: Key,
        body: Mapping[str, Any],
        *,
        revision: int | None = None,
        dry_run: bool = False,
    ) -> Document:
        """Change what `body` gives and nothing else; None clears a value. Returns the whole object.

        With `revision` (the object's `revision_number`) only if nobody has changed it since: else
        Changed is raised. For a port, giving `host_id` and `device_id` binds it, and the answer comes
        when its controller has answered or the server's wait is over; a dry run waits for nobody.
        """
        path = self._member(name, key)
        answer = self._session.request(
            "PUT", path, query=_dry(dry_run), body=dict(body), headers=_if_match(revision)
        )
        return self._document(path, answer)

    def delete(
        self,
        name: str,
        key: Key,
        *,
        cascade: bool = False,
        revision: int | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete an object, with `cascade` also all that refers to it; else Conflict names the referrers."""
        query = [*([("cascade", "true")] if cascade else []), *_dry(dry_run)]
        self._session.request("DELETE", self._member(name, key), query=query, headers=_if_match(revision))

    def list(
        self,
        name: str,
        /,
        *,
        limit: int | None = None,
        marker: Key | None = None,
        sort_key: str | None = None,
        sort_dir: str | None = None,
        **filters: Any,
    ) -> Iterator[Document]:
        """The objects whose attributes have the values of `filters`, page after page as they are taken.

        A filter by a list takes objects with any of its values, by None those without a value.
        `limit` is the most that is given in all, `marker` the key of the object after which to start,
        `sort_dir` "asc" or "desc"; `fields="id,name"` gives these attributes alone. An attribute that is
        called like one of these parameters is filtered by `**{"attr:limit": value}`.
        """
        found = self.object(name)
        query = _filters(filters)
        paging = {"sort_key": sort_key, "sort_dir": sort_dir, "marker": marker, "limit": limit}
        query += [(parameter, _text(value)) for parameter, value in paging.items() if value is not None]
        return self._pages(found, query, limit)

    def watch(
        self,
        name: str,
        /,
        *,
        fields: Sequence[str] = (),
        last_event_id: str | None = None,
        on_trouble: Callable[[ClientError], None] | None = None,
        **filters: Any,
    ) -> Iterator[Change]:
        """What happens to objects of one type, for ever: first all that there are as ADDED, then changes.

        With `last_event_id` (of a change of an earlier watch) only what came after it. `filters` are as for
        `list`: an object that begins to match is ADDED, one that ends to match is DELETED. After the first
        connection interruptions are bridged; `on_trouble` is told of each, once.
        """
        found = self.object(name)
        watching = Watching(
            self._session,
            self._collection(found),
            _filters(filters),
            key=found.key,
            fields=tuple(fields),
            last_event_id=last_event_id,
            on_trouble=on_trouble,
        )
        return iter(watching)

    def port_bindings(self, port_id: Key) -> PortBindings:
        """Where a port is bound, and where it is being made ready; raises InvalidRequest without ports."""
        port = self.model.port
        if port is None:
            raise InvalidRequest(f"{self.service} has no ports")
        return PortBindings(self._session, self._member(port.name, port_id))

    def _pages(self, found: ApiObject, query: Query, limit: int | None) -> Iterator[Document]:
        path = self._collection(found)
        left = limit
        while True:
            with self._session.reading(path):
                answer = self._session.request("GET", path, query=query)
                page = [dict(document) for document in answer[found.plural]]
                links = answer.get(f"{found.plural}_links", [])
                following = next((link["href"] for link in links if link["rel"] == "next"), None)
            yield from page if left is None else page[:left]
            if left is not None:
                left -= len(page)
            if following is None or not page or (left is not None and left <= 0):
                return
            # Only the query of the link is used: its host is what the server calls itself, which is
            # not always the name by which this client reaches it.
            following_query = parse_qsl(urlsplit(following).query, keep_blank_values=True)
            if following_query == query:
                raise self._session.unexpected(path)
            query = following_query

    def _collection(self, found: ApiObject) -> str:
        return f"{self._root}/{_segment(found.plural)}"

    def _member(self, name: str, key: Key) -> str:
        return f"{self._collection(self.object(name))}/{_segment(text_of_key(key))}"

    def _document(self, path: str, answer: Any) -> Document:
        if not isinstance(answer, dict):
            raise self._session.unexpected(path)
        return answer


def _segment(text: str) -> str:
    # HTTP clients and proxies take `.` and `..` for steps in the path, however they are encoded.
    if text in ("", ".", ".."):
        raise InvalidRequest(f"{text!r} can't stand for an object in a URL")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"not valid UTF-8: {text!r}") from error


def _filters(filters: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (parameter, _text(one))
        for parameter, value in filters.items()
        for one in (value if isinstance(value, Sequence) and not isinstance(value, str) else [value])
    ]


def _text(value: object) -> str:
    if value is None:
        return ""  # null, in the query of any type but plain strings
    return value if isinstance(value, str) else json.dumps(value)


def _dry(dry_run: bool) -> Query:
    return [("dry_run", "true")] if dry_run else []


def _if_match(revision: int | None) -> Mapping[str, str] | None:
    return None if revision is None else {"If-Match": f'"{revision}"'}
