"""HTTP with one Proton Server: keystoneauth's session underneath, JSON and our exceptions on top.

Without an authentication plugin the server must run with `auth_strategy = noauth`; any keystoneauth
plugin may be passed instead.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from keystoneauth1 import adapter, exceptions, noauth, plugin, session

from gluon import __version__
from gluon.client.errors import (
    AnswerLost,
    ClientError,
    InvalidRequest,
    ServerUnreachable,
    UnexpectedAnswer,
    api_error,
)

DEFAULT_TIMEOUT = 60.0
"""Seconds of silence after which an answer is given up. A PUT that binds a port waits for its
controller (8 s unless `bind_timeout` says otherwise), and a write may queue behind others."""

CONNECT_TIMEOUT = 5.0
"""Seconds for a connection to come about; a server that is there takes milliseconds."""

Query = Sequence[tuple[str, str]]


class ProtonSession:
    """Requests to the Proton Server at `url`; connections are kept open between them."""

    def __init__(
        self,
        url: str,
        *,
        auth: plugin.BaseAuthPlugin | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        request_id: str | None = None,
    ) -> None:
        """`url` is the server's root, such as `http://127.0.0.1:2705`; `timeout` is in seconds.

        `request_id` (`req-<uuid>`) is sent with each request: logs and audit lines of the server name it.

        Raises InvalidRequest for what is not an http or https URL.
        """
        self.url = _checked(url)
        # Whoever calls us from within a trace says so here; the server's part of it then is found there.
        trace = os.environ.get("TRACEPARENT")
        self._trace = {"traceparent": trace} if trace else {}
        self._timeout = (min(CONNECT_TIMEOUT, timeout), timeout)
        self._http = requests.Session()
        # A proxy of the environment can't reach this machine's own loopback on our behalf.
        self._http.trust_env = not _is_loopback(urlsplit(self.url).hostname or "")
        self._adapter = adapter.Adapter(
            session.Session(session=self._http, auth=auth or noauth.NoAuth(endpoint=self.url)),
            endpoint_override=self.url,
            client_name="protonclient",
            client_version=__version__,
            global_request_id=request_id,
        )

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's JSON, None where it has no body; `path` is percent-encoded already.

        Raises ApiError for a refusal, and the other errors of `gluon.client.errors`.
        """
        arguments: dict[str, Any] = {"params": list(query)} if query else {}
        sent_headers = {"Accept": "application/json", **self._trace, **(headers or {})}
        try:
            if body is not None:
                arguments["data"] = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
                sent_headers["Content-Type"] = "application/json"
            response = self._adapter.request(
                path, method, raise_exc=False, timeout=self._timeout, headers=sent_headers, **arguments
            )
        except UnicodeEncodeError as error:
            wrong = error.object[error.start : error.end]
            raise InvalidRequest(f"not valid UTF-8: {wrong!r} in what was given") from error
        except ValueError as error:
            raise InvalidRequest(f"can't be sent as JSON: {error}") from error
        except exceptions.ClientException as error:
            raise self._explained(error) from error
        if response.status_code >= 400:
            raise api_error(response)
        if not response.content:
            return None
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError) as error:
            raise self.unexpected(path) from error

    @contextmanager
    def stream(
        self, path: str, *, query: Query, headers: Mapping[str, str], silence: float
    ) -> Iterator[Iterator[bytes]]:
        """The answer to a GET in pieces, as they come, for as long as the block lasts.

        Raises as `request` does, in the block AnswerLost when the connection breaks or nothing comes for
        `silence` seconds; UnexpectedAnswer for what is no stream of events.
        """
        try:
            response = self._adapter.request(
                path,
                "GET",
                raise_exc=False,
                timeout=(self._timeout[0], silence),
                headers={**self._trace, **headers},
                params=list(query),
                stream=True,
            )
        except exceptions.ClientException as error:
            raise self._explained(error) from error
        with closing(response):
            if response.status_code >= 400:
                raise api_error(response)
            if response.headers.get("Content-Type", "").partition(";")[0] != "text/event-stream":
                raise self.unexpected(path)
            yield self._pieces(response)

    def _pieces(self, response: requests.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_content(None)
        except requests.RequestException as error:
            raise AnswerLost(f"the connection to {self.url} broke") from error

    @contextmanager
    def reading(self, path: str) -> Iterator[None]:
        """Within it, an answer of `path` in which something is missing becomes UnexpectedAnswer."""
        try:
            yield
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise self.unexpected(path) from error

    def unexpected(self, path: str) -> UnexpectedAnswer:
        """The error for an answer to `path` that no Proton Server gives."""
        return UnexpectedAnswer(
            f"{self.url}{path} did not answer as a Proton Server does: is {self.url} the URL of one?"
        )

    def _explained(self, error: exceptions.ClientException) -> ClientError:
        causes = list(_causes(error))
        if any(isinstance(c, requests.ReadTimeout) for c in causes):
            return AnswerLost(
                f"{self.url} took the request but did not answer within {self._timeout[1]:g} s:"
                " look whether it was done before you repeat it"
            )
        if any(isinstance(c, requests.ConnectTimeout) for c in causes):
            reason = f"no connection within {self._timeout[0]:g} s"
        elif tls := next((c for c in causes if isinstance(c, ssl.SSLError)), None):
            reason = f"TLS: {getattr(tls, 'verify_message', '') or tls.reason or tls}"
        elif any(isinstance(c, requests.exceptions.ChunkedEncodingError) for c in causes) or any(
            isinstance(c, ConnectionResetError | BrokenPipeError) or "RemoteDisconnected" in type(c).__name__
            for c in causes
        ):
            return AnswerLost(
                f"{self.url} closed the connection before it answered:"
                " look whether the request was done before you repeat it"
            )
        elif failed := next((c for c in causes if isinstance(c, OSError) and c.strerror), None):
            reason = str(failed.strerror)
        elif isinstance(error, exceptions.ConnectionError):
            reason = str(causes[-1])
        else:
            return ClientError(str(error))
        return ServerUnreachable(
            f"no Proton Server can be reached at {self.url} ({reason}): start one, or name another"
            " by --url, or by OS_PROTON_HOST and OS_PROTON_PORT"
        )


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.username or parts.query or parts.fragment:
        raise InvalidRequest(f"{url!r} is not the URL of a server; one looks like http://127.0.0.1:2705")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, down to what the operating system said."""
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
