"""A RESTCONF server with OpenDaylight's manners, whose datastore must be what real YANG allows.

A request that YANG would refuse gets OpenDaylight's error, and is remembered in `refused`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import uvicorn

from servers.certificates import Certificates
from servers.yang_models import YangModels

KEYS = {
    "network": "uuid",
    "subnet": "uuid",
    "port": "uuid",
    "interface": "name",
    "vpn-instance": "vpn-instance-name",
    "vpn-interface": "name",
}
YANG_DATA = "application/yang-data+json"

Answer = tuple[int, Any]
Fault = Callable[[str, str], Answer | None]


class RestconfError(Exception):
    def __init__(self, status: int, tag: str, message: str) -> None:
        super().__init__(message)
        error = {"error-type": "protocol", "error-tag": tag, "error-message": message}
        self.answer = status, {"errors": {"error": [error]}}


class RestconfServer:
    """In the test's own event loop. `roots`: where RFC 8040 is spoken; `draft`: whether the drafts are."""

    def __init__(
        self,
        *,
        older: bool = False,
        root: str | None = "/rests",
        draft: bool = False,
        user: str = "admin",
        password: str = "admin",
        certificates: Certificates | None = None,
        further_modules: tuple[str, ...] = (),
    ) -> None:
        self.yang = YangModels(older=older)
        self.modules = (*self.yang.modules, *further_modules)
        self.root = root
        self.draft = draft
        self.password = password
        self.user = user
        self.data: dict[str, Any] = {}
        self.requests: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.fault: Fault | None = None
        self.delay = 0.0
        self._lock = asyncio.Lock()
        self._certificates = certificates
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]

    async def start(self) -> None:
        tls: dict[str, Any] = {}
        if self._certificates is not None:
            certificate, key = self._certificates.server
            tls = {"ssl_certfile": certificate, "ssl_keyfile": key}
        config = uvicorn.Config(
            self._serve,
            host="127.0.0.1",
            port=self.port,
            lifespan="off",
            interface="asgi3",
            log_level="warning",
            **tls,
        )
        self._server = uvicorn.Server(config)
        self._server.capture_signals = _no_signals  # type: ignore[method-assign]
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            assert not self._task.done(), "the RESTCONF server did not come up"
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = self._server.force_exit = True
            await self._task
        self._server = self._task = None

    def forget(self) -> None:
        """Lose the whole datastore."""
        self.data = {}

    def entries(self, list_name: str) -> dict[str, dict[str, Any]]:
        """The entries of a list by key."""
        found = self._list(self.data, *_HOMES[list_name], list_name)
        return {entry[KEYS[list_name]]: entry for entry in found}

    def put(self, list_name: str, entry: dict[str, Any]) -> None:
        """Have an entry of somebody else's, or another one than was written."""
        key = entry[KEYS[list_name]]
        self.remove(list_name, key)
        self._list(self.data, *_HOMES[list_name], list_name, make=self._home_module(list_name)).append(entry)
        problem = self.yang.problem(self.data)
        assert problem is None, problem

    def remove(self, list_name: str, key: str) -> None:
        """Have an entry not be there."""
        found = self._list(self.data, *_HOMES[list_name], list_name)
        found[:] = [entry for entry in found if entry[KEYS[list_name]] != key]

    def writes(self) -> list[tuple[str, str]]:
        """The requests that were to change something."""
        return [(method, path) for method, path in self.requests if method != "GET"]

    def _home_module(self, list_name: str) -> str:
        if list_name.startswith("vpn-"):
            return "l3vpn" if "l3vpn" in self.yang.modules else "l3vpn-instances-interfaces"
        return "ietf-interfaces" if list_name == "interface" else "neutron"

    def _list(
        self, data: dict[str, Any], container: str, inner: str | None, list_name: str, make: str | None = None
    ) -> list[Any]:
        top = next((name for name in data if name.partition(":")[2] == container), None)
        if top is None:
            if make is None:
                return []
            top = f"{make}:{container}"
            data[top] = {}
        place = data[top]
        if inner is not None:
            place = place.setdefault(inner, {})
        found: list[Any] = place.setdefault(list_name, [])
        return found

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        method, path = scope["method"], scope["raw_path"].decode()
        self.requests.append((method, path))
        if self.delay:
            await asyncio.sleep(self.delay)
        try:
            status, document = await self._answer(method, path, scope["query_string"], headers, body)
        except RestconfError as error:
            status, document = error.answer
        text = document if isinstance(document, str) else json.dumps(document)
        content = b"" if document is None else text.encode()
        kind = "application/xrd+xml" if isinstance(document, str) else YANG_DATA
        answered = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": answered})
        await send({"type": "http.response.body", "body": content})

    async def _answer(
        self, method: str, path: str, query: bytes, headers: dict[str, str], body: bytes
    ) -> Answer:
        known = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if headers.get("authorization") != f"Basic {known}":
            raise RestconfError(401, "access-denied", "HTTP Error 401 Unauthorized")
        if self.fault is not None:
            answer = self.fault(method, path)
            if answer is not None:
                return answer
        if path == "/.well-known/host-meta" and self.root is not None:
            return 200, f"<XRD><Link rel='restconf' href='{self.root}'/></XRD>"
        if self.root is not None and path.startswith(f"{self.root}/data/"):
            return await self._rfc8040(method, path.removeprefix(f"{self.root}/data/"), query, headers, body)
        if self.draft and path == "/restconf/modules":
            return 200, {"modules": {"module": [{"name": name} for name in self.modules]}}
        if self.draft and path.startswith("/restconf/config/"):
            *containers, last = path.removeprefix("/restconf/config/").split("/")
            if containers and containers[-1] in KEYS:
                *containers, list_name = containers
                return await self._entry(method, containers, list_name, unquote(last), headers, body)
            return self._container(method, [*containers, last])
        raise RestconfError(404, "invalid-value", "HTTP 404 Not Found")

    async def _rfc8040(
        self, method: str, path: str, query: bytes, headers: dict[str, str], body: bytes
    ) -> Answer:
        if path == "ietf-yang-library:modules-state":
            modules = [{"name": name, "revision": ""} for name in self.modules]
            return 200, {"ietf-yang-library:modules-state": {"module": modules}}
        *containers, last = path.split("/")
        list_name, equals, key = last.partition("=")
        if equals:
            if method != "GET" and method != "DELETE" and headers.get("content-type") != YANG_DATA:
                raise self._refusal(415, "malformed-message", f"content-type {headers.get('content-type')}")
            return await self._entry(method, containers, list_name, unquote(key), headers, body)
        if query != b"content=config":
            raise self._refusal(400, "invalid-value", "operational data was asked for")
        return self._container(method, [*containers, last])

    def _container(self, method: str, names: list[str]) -> Answer:
        if method != "GET":
            raise self._refusal(400, "operation-not-supported", f"{method} of the whole of {'/'.join(names)}")
        place: Any = self.data
        for name in names:
            place = place.get(name) if isinstance(place, dict) else None
        if not place:
            raise RestconfError(409 if self.root else 404, "data-missing", "Request could not be completed")
        module, _, last = names[0].partition(":")
        return 200, {f"{module}:{names[-1] if len(names) > 1 else last}": place}

    async def _entry(
        self,
        method: str,
        containers: list[str],
        list_name: str,
        key: str,
        headers: dict[str, str],
        body: bytes,
    ) -> Answer:
        module, _, container = containers[0].partition(":")
        if module not in self.modules or list_name not in KEYS:
            raise self._refusal(404, "unknown-element", f"no schema for {containers}/{list_name}")
        async with self._lock:
            # Many times faster than copy.deepcopy.
            candidate = json.loads(json.dumps(self.data))
            inner = containers[1] if len(containers) > 1 else None
            entries = self._list(candidate, container, inner, list_name, make=module)
            others = [entry for entry in entries if entry[KEYS[list_name]] != key]
            new = len(others) == len(entries)
            if method == "DELETE":
                if new:
                    raise RestconfError(404 if not self.root else 409, "data-missing", "Data does not exist")
                entries[:] = others
            elif method == "PUT":
                entries[:] = [*others, self._given(f"{module}:{list_name}", list_name, key, body)]
            else:
                raise self._refusal(405, "operation-not-supported", method)
            problem = await asyncio.to_thread(self.yang.problem, _without_empty(candidate))
            if problem is not None:
                raise self._refusal(400, "invalid-value", problem)
            self.data = candidate
        if method == "DELETE":
            return 204 if self.root else 200, None
        return 201 if new else (204 if self.root else 200), None

    def _given(self, name: str, list_name: str, key: str, body: bytes) -> dict[str, Any]:
        document = json.loads(body)
        entries = document.get(name)
        if list(document) != [name] or not isinstance(entries, list) or len(entries) != 1:
            raise self._refusal(400, "malformed-message", f"not one entry of {name}: {document}")
        if entries[0].get(KEYS[list_name]) != key:
            raise self._refusal(400, "invalid-value", f"the key isn't {key}: {document}")
        given: dict[str, Any] = entries[0]
        return given

    def _refusal(self, status: int, tag: str, message: str) -> RestconfError:
        self.refused.append(message)
        return RestconfError(status, tag, message)


_HOMES: dict[str, tuple[str, str | None]] = {
    "network": ("neutron", "networks"),
    "subnet": ("neutron", "subnets"),
    "port": ("neutron", "ports"),
    "interface": ("interfaces", None),
    "vpn-instance": ("vpn-instances", None),
    "vpn-interface": ("vpn-interfaces", None),
}


def _without_empty(data: dict[str, Any]) -> dict[str, Any]:
    return {name: content for name, content in data.items() if content}


class _NoSignals:
    """The test's process keeps its own signal handlers."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


def _no_signals() -> _NoSignals:
    return _NoSignals()
