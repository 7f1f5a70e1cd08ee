"""Reading requests: who sends them, their JSON bodies, preconditions, and query parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from falcon.asgi import Request, Response

from gluon.log.request_ids import ACCEPTED_HEADERS, HEADER, begin_request
from gluon.particle.spelling import did_you_mean
from gluon.proton.errors import BodyTooLarge, MalformedRequest, Wrong
from gluon.proton.identity import AuthStrategy
from gluon.proton.listing import QueryPairs
from gluon.proton.operations import Precondition
from gluon.proton.web.repeated_keys import repeated_keys

OPEN_PATHS = frozenset({"/healthcheck", "/healthcheck/ready", "/healthcheck/live"})
"""Paths that anyone may ask for: a load balancer has no credentials."""

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(:(?P<port>[0-9]{0,5}))?")
_HIGHEST_PORT = 65535
_FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}


class RequestContext:
    """Gives each request its id, its caller, and the URL that links start with."""

    def __init__(
        self, auth: AuthStrategy, public_url: str | None, open_paths: frozenset[str] = OPEN_PATHS
    ) -> None:
        """`open_paths` are answered to anybody; their handlers find no identity."""
        self._auth = auth
        self._open_paths = open_paths
        self._public_url = public_url

    async def process_request(self, req: Request, resp: Response) -> None:
        """Called by Falcon before routing; raises Unauthenticated."""
        req.context.request_id = begin_request(map(req.get_header, ACCEPTED_HEADERS))
        resp.set_header(HEADER, req.context.request_id)
        req.context.base_url = self._public_url or _called(req)
        if req.path not in self._open_paths:
            req.context.identity = await self._auth.identify(req.headers)


def _called(req: Request) -> str:
    """The server's root as the client called it; raises MalformedRequest for a Host that is none.

    Links and pages are made with it, so it must be what RFC 9110 section 4.2 calls an authority.
    """
    found = _AUTHORITY.fullmatch(req.netloc)
    if found is None or int(found["port"] or 0) > _HIGHEST_PORT:
        raise MalformedRequest("the Host header is not the name or address of a server")
    return str(req.prefix)


async def json_body(req: Request, max_body: int) -> Any:
    """The decoded body; raises BodyTooLarge and MalformedRequest."""
    content_type = (req.content_type or "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise MalformedRequest(f"the body must be application/json, not {content_type}")
    encoding = (req.get_header("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise MalformedRequest(f"the body must be sent as it is, not with Content-Encoding: {encoding}")
    raw = bytearray()
    async for chunk in req.stream:
        raw += chunk
        if len(raw) > max_body:
            raise BodyTooLarge(f"the body is larger than the {max_body} bytes that this server takes")
    if not raw:
        raise MalformedRequest("the request has no body; it must be a JSON document")
    try:
        document = msgspec.json.decode(raw)
        repeated = repeated_keys(raw, document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if b"\\ud" in raw.lower():
            raise MalformedRequest("the body is not JSON: it may hold half of a surrogate pair") from error
        raise MalformedRequest(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise MalformedRequest("the body is nested too deeply") from error
    if repeated:
        wrong = [Wrong(name, "is given more than once in one object") for name in repeated]
        raise MalformedRequest("the body has the same key twice", wrong)
    return document


def precondition(req: Request) -> Precondition | None:
    """What If-Match asks of the stored object; raises MalformedRequest."""
    text = req.get_header("If-Match")
    if text is None:
        return None
    tags = [tag.strip() for tag in text.split(",")]
    if tags == ["*"]:
        return Precondition(any_revision=True)
    return Precondition(frozenset(_revisions(tags)))


def none_match(req: Request, revision: int) -> bool:
    """Whether If-None-Match names the revision: the caller has it already."""
    text = req.get_header("If-None-Match")
    if text is None:
        return False
    tags = [tag.strip() for tag in text.split(",")]
    return tags == ["*"] or etag(revision) in [tag.removeprefix("W/") for tag in tags]


def etag(revision: int) -> str:
    """The entity tag of a revision."""
    return f'"{revision}"'


def _revisions(tags: Iterable[str]) -> Iterable[int]:
    # RFC 9110 section 13.1.1: If-Match compares strongly, so a weak tag matches nothing.
    for tag in tags:
        inner = tag[1:-1]
        if len(tag) > 2 and tag[0] == tag[-1] == '"' and inner.isascii() and inner.isdigit():
            yield int(inner[:19])


@dataclass(frozen=True, slots=True)
class QueryString:
    """The parameters of a request, in order, with repetitions."""

    pairs: QueryPairs

    @classmethod
    def of(cls, req: Request) -> QueryString:
        """Parse it; raises MalformedRequest where percent-encoding hides no UTF-8."""
        try:
            pairs = parse_qsl(req.query_string, keep_blank_values=True, errors="strict", max_num_fields=1000)
        except (UnicodeDecodeError, ValueError) as error:
            raise MalformedRequest(f"the query string can't be read: {error}") from error
        return cls(tuple(pairs))

    def allow(self, *names: str) -> None:
        """Raises MalformedRequest if there is any other parameter."""
        wrong = [
            Wrong(name, f"unknown query parameter{did_you_mean(name, names)}")
            for name, _ in self.pairs
            if name not in names
        ]
        if wrong:
            raise MalformedRequest("the query has unknown parameters", wrong)

    def without(self, name: str) -> QueryString:
        """The same without a parameter."""
        return QueryString(tuple(pair for pair in self.pairs if pair[0] != name))

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; missing means false, and no value means true.

        Raises MalformedRequest for any other value, and where it is given as both.
        """
        given = {_FLAGS.get(text.lower()) for key, text in self.pairs if key == name}
        if len(given) > 1 or None in given:
            raise MalformedRequest("the query has a wrong parameter", [Wrong(name, "must be true or false")])
        return True in given


def decoded(segment: str) -> str:
    """A path segment as text; raises MalformedRequest where it isn't UTF-8."""
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise MalformedRequest("the path is not UTF-8") from error
