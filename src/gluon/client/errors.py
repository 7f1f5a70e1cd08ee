"""What can go wrong between a client and a Proton Server; `str()` of each is one line to show.

An API user handles differently: a server that cannot be reached, a request that the server refuses
(by status: not found, conflict, a changed object, wrong fields, try again later), and an answer that
no Proton Server gives. There is a class for each of these and no more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loading it takes longer than all the rest of the command line
    import requests

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells have it: 128 and the number of SIGINT."""

_SHOWN_REFERRERS = 5
"""Referrers named in the one line of a conflict; `Conflict.referrers` has all that the server sent."""


class ClientError(Exception):
    """Anything that went wrong in talking with a Proton Server."""


class InvalidRequest(ClientError, ValueError):
    """The client itself can't send this: a malformed URL, an empty key, an unknown object."""


class ServerUnreachable(ClientError):
    """No connection: refused, no such host, a certificate that isn't trusted. Nothing was sent."""


class AnswerLost(ClientError):
    """The request was sent and no answer came in time or whole: the server may have done the work."""


class UnexpectedAnswer(ClientError):
    """Something answered, but not as a Proton Server does: most often the wrong URL or a proxy."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field of a request's body, or one wrong query parameter."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class ApiError(ClientError):
    """The server refused; carries its problem document (RFC 9457) taken apart."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: str | None = None) -> None:
        self.status = status
        self.title = str(problem.get("title") or "")
        self.detail = str(problem.get("detail") or "")
        self.request_id: str | None = problem.get("request_id")
        self.retry_after = retry_after
        """Value of the Retry-After header, in seconds as a rule, if the server sent one."""
        self.errors = tuple(
            FieldError(str(e.get("field", "")), str(e.get("message", "")))
            for e in _mappings(problem.get("errors"))
        )
        self.referrers: tuple[Mapping[str, Any], ...] = tuple(_mappings(problem.get("referrers")))
        """For a 409 on DELETE: who still refers to the object (`object`, `key`, `attribute`, `href`)."""
        super().__init__(self._line())

    def _line(self) -> str:
        said = self.detail or self.title or f"HTTP status {self.status}"
        more = [str(error) for error in self.errors if str(error) not in said]
        if self.referrers:
            named = [
                " ".join(str(r[part]) for part in ("object", "key") if part in r)
                for r in self.referrers[:_SHOWN_REFERRERS]
            ]
            rest = len(self.referrers) - len(named)
            missing = [name for name in named if name not in said]
            if missing:
                more.append("referred to by " + ", ".join(missing) + (f" and {rest} more" if rest else ""))
        if self.status >= 500 and self.request_id:
            more.append(f"request {self.request_id}")
        return f"{said.rstrip('.')}: {'; '.join(more)}" if more else said


class NotFound(ApiError):
    """404: no such service, version or object, or not one that the caller may see."""


class Conflict(ApiError):
    """409: the object exists already, or others still refer to it (`referrers`)."""


class Changed(ApiError):
    """412: the object is no longer at the revision that the request was meant for."""


class InvalidFields(ApiError):
    """400 or 422: what was sent is wrong; `errors` names every wrong field."""


class Unavailable(ApiError):
    """503: the server can't do it now; try again after `retry_after`."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidFields,
    404: NotFound,
    409: Conflict,
    412: Changed,
    422: InvalidFields,
    503: Unavailable,
}


def api_error(response: requests.Response) -> ClientError:
    """The exception that an answer with a status of 400 or more stands for."""
    try:
        problem = json.loads(response.content)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict):
        # A proxy's or another server's error page: its status is all that can be relied on.
        return UnexpectedAnswer(
            f"{response.url} answered {response.status_code} {response.reason} and no problem document:"
            " is this the URL of a Proton Server?"
        )
    kind = _BY_STATUS.get(response.status_code, ApiError)
    return kind(response.status_code, problem, response.headers.get("Retry-After"))


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, Sequence) else []
