"""The controller's datastore by RESTCONF: RFC 8040, or the drafts before it (draft-bierman-netconf-restconf).

Of entries only single ones are written, never a whole list: another's entry can't get lost by our writing.
"""

from __future__ import annotations

import asyncio
import enum
import json
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from gluon.shim.backends.odl.entries import VPN_MODULE, Document, EntryId, Kind, children, listed
from gluon.shim.backends.odl.options import OdlSettings
from gluon.shim.errors import PermanentError, TemporaryError

CURRENT, OLDER = "l3vpn-instances-interfaces", "l3vpn"
"""The modules of VPNs: since 2020, and before."""

_ABSENT = "data-missing"
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds without a request after a refused password: accounts are locked by those who keep trying."""

_log = logging.getLogger(__name__)


class Away(TemporaryError):
    """The controller can't be reached, doesn't answer, or has failed."""


class Unauthorized(Away):
    """The controller refuses user and password, or what they may do."""


class Conflict(TemporaryError):
    """Somebody else writes there at the moment."""


class Refused(PermanentError):
    """The controller won't have what we write; it says why."""


class Version(enum.Enum):
    """How RESTCONF is spoken."""

    RFC8040 = "rfc8040"
    DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Controller:
    """What was found out about the controller."""

    version: Version
    root: str
    """The path before `/data` (RFC 8040) or `/config` (drafts)."""
    modules: frozenset[str]
    vpn_module: str

    def path(self, kind: Kind, key: str | None = None) -> str:
        """The path of a list's container, or of one of its entries."""
        names = [f"{self.module(kind)}:{kind.containers[0]}", *kind.containers[1:]]
        store = "data" if self.version is Version.RFC8040 else "config"
        path = "/".join([self.root, store, *names])
        if key is None:
            return path
        between = "=" if self.version is Version.RFC8040 else "/"
        return f"{path}/{kind.list_name}{between}{quote(key, safe='')}"

    def module(self, kind: Kind) -> str:
        """The module that a list is of."""
        return self.vpn_module if kind.module == VPN_MODULE else kind.module


class Restconf:
    """A connection with the controller; requests may be under way in any number."""

    def __init__(self, settings: OdlSettings) -> None:
        self._settings = settings
        self._client: httpx.AsyncClient | None = None
        self._free = asyncio.Semaphore(settings.max_requests)
        self._refused_until = 0.0
        self._pause = _FIRST_PAUSE
        self._controller: Controller | None = None

    @property
    def controller(self) -> Controller:
        """What is known of it, since `connect`. Raises Away before that."""
        if self._controller is None:
            raise Away("OpenDaylight hasn't been reached yet")
        return self._controller

    async def connect(self) -> Controller:
        """Find out how to speak with the controller.

        Raises Away, and TemporaryError when it has none of the modules that we write by.
        """
        if self._client is None:
            self._client = self._made_client()
        self._controller = await self._discover()
        return self._controller

    async def close(self) -> None:
        """Let go of connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def read(self, kind: Kind) -> dict[EntryId, Document]:
        """All entries of a list, whosever they are. Raises Away."""
        path = self.controller.path(kind)
        if self.controller.version is Version.RFC8040:
            path += "?content=config"
        response = await self._send("GET", path)
        if _is_absent(response):
            return {}
        _check(response, "a list")
        return dict(listed(kind, _body(response)))

    async def put(self, id: EntryId, entry: Document) -> None:
        """Make an entry be as given, and no other. Raises Away, Conflict, Refused."""
        controller = self.controller
        body = {f"{controller.module(id.kind)}:{id.kind.list_name}": [entry]}
        _check(await self._send("PUT", controller.path(*id), body), str(id))

    async def delete(self, id: EntryId) -> bool:
        """Have an entry not be there; whether it was. Raises Away, Conflict, Refused."""
        response = await self._send("DELETE", self.controller.path(*id))
        if _is_absent(response):
            return False
        _check(response, str(id))
        return True

    def _made_client(self) -> httpx.AsyncClient:
        # It would log a line for each request.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        settings = self._settings
        verify: ssl.SSLContext | bool = True
        if settings.https and settings.ca_file:
            verify = ssl.create_default_context(cafile=settings.ca_file)
        limit = settings.max_requests
        return httpx.AsyncClient(
            base_url=settings.url,
            auth=httpx.BasicAuth(settings.user, settings.password),
            verify=verify,
            timeout=httpx.Timeout(settings.timeout, pool=None),
            limits=httpx.Limits(max_connections=limit, max_keepalive_connections=limit),
            # A proxy from the environment is for the way to the world, not to the controller.
            trust_env=False,
        )

    async def _discover(self) -> Controller:
        wanted = self._settings.restconf
        if wanted != Version.DRAFT.value:
            for root in await self._roots():
                modules = await self._library(root)
                if modules is not None:
                    return self._described(Version.RFC8040, root, modules)
        if wanted != Version.RFC8040.value:
            response = await self._send("GET", "/restconf/modules")
            if response.status_code == 200:
                return self._described(Version.DRAFT, "/restconf", _names(_body(response), "modules"))
            _check_alive(response)
        raise Away("OpenDaylight doesn't tell which YANG modules it has")

    async def _roots(self) -> list[str]:
        """Where RFC 8040's resources may be (section 3.1), the likeliest first."""
        response = await self._send("GET", "/.well-known/host-meta", accept="application/xrd+xml")
        told = []
        if response.status_code == 200:
            _, found, rest = response.text.partition("href=")
            if found and rest[:1] in ("'", '"'):
                told.append(rest[1:].partition(rest[0])[0].rstrip("/"))
        return list(dict.fromkeys([*told, "/rests", "/restconf"]))

    async def _library(self, root: str) -> frozenset[str] | None:
        """The modules by YANG library (RFC 7895, or RFC 8525), None where there is none."""
        for resource, path in (
            ("modules-state", ("modules-state",)),
            ("yang-library", ("yang-library", "module-set")),
        ):
            response = await self._send("GET", f"{root}/data/ietf-yang-library:{resource}")
            if response.status_code == 200:
                return _names(_body(response), *path)
            _check_alive(response)
        return None

    def _described(self, version: Version, root: str, modules: frozenset[str]) -> Controller:
        wanted = self._settings.l3vpn_module
        candidates = (CURRENT, OLDER) if wanted == "auto" else (wanted,)
        usable = [name for name in candidates if name in modules]
        missing = {"ietf-interfaces", "neutron"} - modules
        if missing or not usable:
            names = ", ".join(sorted(missing)) or " or ".join(candidates)
            raise TemporaryError(
                f"OpenDaylight has no YANG module {names}: NetVirt isn't installed there", 30.0
            )
        found = Controller(version, root, modules, usable[0])
        _log.info(
            "OpenDaylight at %s: %s under %s, VPNs by %s",
            *(self._settings.url, version.value, root, found.vpn_module),
        )
        return found

    async def _send(
        self, method: str, path: str, body: Any = None, accept: str | None = None
    ) -> httpx.Response:
        loop = asyncio.get_running_loop()
        if loop.time() < self._refused_until:
            raise _unauthorized(self._refused_until - loop.time())
        client = self._client
        if client is None:
            raise Away("not connected with OpenDaylight")
        headers = {"Accept": accept or "application/yang-data+json, application/json"}
        content = None
        if body is not None:
            draft = self._controller is not None and self._controller.version is Version.DRAFT
            headers["Content-Type"] = "application/json" if draft else "application/yang-data+json"
            content = json.dumps(body).encode()
        try:
            async with self._free, asyncio.timeout(self._settings.timeout):
                response = await client.request(method, path, headers=headers, content=content)
        except TimeoutError as error:
            raise Away(f"OpenDaylight hasn't answered within {self._settings.timeout:g} s") from error
        except httpx.HTTPError as error:
            _log.debug("%s %s: %r", method, path, error)
            raise Away("OpenDaylight can't be reached") from error
        if response.status_code in (401, 403):
            self._refused_until = loop.time() + self._pause
            refused, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
            _log.error(
                "OpenDaylight refuses user %s (%d); no request for %g s",
                *(self._settings.user, response.status_code, refused),
            )
            raise _unauthorized(refused)
        self._pause = _FIRST_PAUSE
        return response


def _unauthorized(delay: float) -> Unauthorized:
    return Unauthorized("OpenDaylight refuses the shim server's user and password", delay)


def _check_alive(response: httpx.Response) -> None:
    """Raises Away for a failure, which says nothing of what the controller has."""
    if response.status_code >= 500:
        raise Away(f"OpenDaylight isn't ready ({response.status_code}): {_said(response)}")


def _check(response: httpx.Response, what: str) -> None:
    status = response.status_code
    if status < 300:
        return
    said = _said(response)
    if status == 409:
        raise Conflict(f"OpenDaylight: {what} is being written by another: {said}")
    if status in (408, 429) or status >= 500:
        raise Away(f"OpenDaylight has failed with {what} ({status}): {said}")
    if status == 404:
        # It forgot the schema, or isn't ready after a start: the list itself isn't known there.
        raise Away(f"OpenDaylight knows no such list as that of {what}: {said}")
    raise Refused(f"OpenDaylight refuses {what} ({status}): {said}")


def _is_absent(response: httpx.Response) -> bool:
    """Whether the answer is that there is no such data; the releases differ in how they say that."""
    if response.status_code == 404:
        return True
    return response.status_code == 409 and any(
        children(error, "error-tag") == _ABSENT for error in _errors(response)
    )


def _said(response: httpx.Response) -> str:
    texts = [children(error, "error-message") or children(error, "error-tag") for error in _errors(response)]
    text = "; ".join(str(text) for text in texts if text) or response.reason_phrase
    return text if len(text) <= 300 else f"{text[:300]}…"


def _errors(response: httpx.Response) -> list[Any]:
    try:
        found = children(response.json(), "errors", "error")
    except ValueError:
        return []
    return found if isinstance(found, list) else [found]


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise Away("OpenDaylight has answered with what isn't JSON") from error


def _names(document: Any, *path: str) -> frozenset[str]:
    sets = children(document, *path)
    found: set[str] = set()
    for one in sets if isinstance(sets, list) else [sets]:
        modules = children(one, "module")
        for module in modules if isinstance(modules, list) else []:
            if isinstance(module, Mapping) and isinstance(module.get("name"), str):
                found.add(module["name"])
    return frozenset(found)
