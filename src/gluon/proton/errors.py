"""What a request may run into; `problems.py` turns each into its HTTP answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wrong:
    """One wrong field or query parameter, and what is wrong with it."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Referrer:
    """An object that still refers to the one that should go."""

    object: str
    key: str
    attribute: str
    path: str
    """Path of the referring object below the API's root."""


class RequestError(Exception):
    """A request that can't be carried out; the message is for the caller."""


class MalformedRequest(RequestError):
    """The request can't be read at all: no JSON, a bad query parameter (400)."""

    def __init__(self, message: str, wrong: Sequence[Wrong] = ()) -> None:
        super().__init__(message)
        self.wrong = tuple(wrong)


class Forbidden(RequestError):
    """The caller may see the object, but not do this with it (403)."""


class NotFound(RequestError):
    """What the path names isn't there, or the caller may not see it (404)."""


class Conflict(RequestError):
    """The state of other objects forbids it (409); `referrers` are those in the way."""

    def __init__(self, message: str, referrers: Sequence[Referrer] = ()) -> None:
        super().__init__(message)
        self.referrers = tuple(referrers)


class PreconditionFailed(RequestError):
    """The object isn't at the revision that If-Match or If-None-Match asks for (412)."""


class BodyTooLarge(RequestError):
    """The body is larger than `[api] max_body` (413)."""


class Unprocessable(RequestError):
    """The body is understood, but some fields are wrong (422); all of them are in `wrong`."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        super().__init__("; ".join(f"{w.field}: {w.message}" for w in wrong))
        self.wrong = tuple(wrong)


class Unavailable(RequestError):
    """Something that the server needs is away; try again later (503)."""


class Stopping(Unavailable):
    """The server stops, and has no time left to see a request through (503)."""
