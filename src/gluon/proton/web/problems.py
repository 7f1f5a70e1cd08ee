"""The one place that turns an exception into an HTTP answer: RFC 9457 problem documents."""

from __future__ import annotations

import logging
from typing import Any

import falcon
import msgspec
from falcon.asgi import App, Request, Response

from gluon.proton.errors import (
    BodyTooLarge,
    Conflict,
    Forbidden,
    MalformedRequest,
    NotFound,
    PreconditionFailed,
    RequestError,
    Unavailable,
    Unprocessable,
)
from gluon.proton.identity import Unauthenticated
from gluon.store.database import ConstraintViolation, DatabaseUnavailable, InvalidValue, OutcomeUnknown

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 1
"""Seconds after which a client may try again when something that the server needs is away."""

_log = logging.getLogger(__name__)

_STATUS: dict[type[RequestError], int] = {
    MalformedRequest: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    PreconditionFailed: 412,
    BodyTooLarge: 413,
    Unprocessable: 422,
    Unavailable: 503,
}


def install(app: App[Any, Any]) -> None:
    """Make every error of the application a problem document."""
    app.add_error_handler(Exception, _unforeseen)
    app.add_error_handler(falcon.HTTPError, _falcon_error)
    app.add_error_handler(RequestError, _request_error)
    app.add_error_handler(Unauthenticated, _unauthenticated)
    app.add_error_handler(DatabaseUnavailable, _database_unavailable)
    app.add_error_handler(ConstraintViolation, _constraint_violation)
    app.add_error_handler(InvalidValue, _invalid_value)


def problem_document(status: int, detail: str, request_id: str, **further: Any) -> dict[str, Any]:
    """The body of a problem (RFC 9457); `further` members that are empty are left out."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": falcon.code_to_http_status(status).partition(" ")[2],
        "status": status,
        "detail": detail,
    }
    document.update({name: value for name, value in further.items() if value})
    document["request_id"] = request_id
    return document


def answer(req: Request, resp: Response, status: int, detail: str, **further: Any) -> None:
    """Fill the response with a problem document."""
    document = problem_document(status, detail, req.context.request_id, **further)
    resp.status = status
    resp.content_type = MEDIA_TYPE
    resp.data = msgspec.json.encode(document)
    resp.text = None
    resp.media = None


async def _request_error(req: Request, resp: Response, error: RequestError, params: dict[str, Any]) -> None:
    status = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
    detail = str(error)
    errors: list[dict[str, str]] = []
    referrers: list[dict[str, str]] = []
    if isinstance(error, MalformedRequest | Unprocessable):
        errors = [{"field": w.field, "message": w.message} for w in error.wrong]
    if isinstance(error, Unprocessable):
        detail = "1 field is wrong" if len(errors) == 1 else f"{len(errors)} fields are wrong"
    if isinstance(error, Conflict):
        base = req.context.base_url
        referrers = [
            {"object": r.object, "key": r.key, "attribute": r.attribute, "href": base + r.path}
            for r in error.referrers
        ]
    if isinstance(error, Unavailable):
        resp.set_header("Retry-After", str(RETRY_AFTER))
    answer(req, resp, status, detail, errors=errors, referrers=referrers)


async def _unauthenticated(
    req: Request, resp: Response, error: Unauthenticated, params: dict[str, Any]
) -> None:
    answer(req, resp, 401, str(error) or "this request is not authenticated")


async def _database_unavailable(
    req: Request, resp: Response, error: DatabaseUnavailable, params: dict[str, Any]
) -> None:
    _log.error("the database can't be used: %s", error)
    resp.set_header("Retry-After", str(RETRY_AFTER))
    what = (
        "whether the change was made can't be learnt; look before you try again"
        if isinstance(error, OutcomeUnknown)
        else "nothing was changed"
    )
    answer(req, resp, 503, f"the database can't be used at the moment; {what}")


async def _constraint_violation(
    req: Request, resp: Response, error: ConstraintViolation, params: dict[str, Any]
) -> None:
    # What an operation doesn't foresee: a manager's doing, or another server's at the same time.
    answer(req, resp, 409, f"the database refuses the change: {error}")


async def _invalid_value(req: Request, resp: Response, error: InvalidValue, params: dict[str, Any]) -> None:
    answer(req, resp, 422, f"the database can't hold a value: {error}")


async def _falcon_error(
    req: Request, resp: Response, error: falcon.HTTPError, params: dict[str, Any]
) -> None:
    if error.headers:
        resp.set_headers(error.headers)
    if error.status_code == 404:
        detail = f"there is nothing at {req.path}"
    elif error.status_code == 405:
        detail = f"{req.method} is not possible here"
    else:
        detail = error.description or error.title
    answer(req, resp, error.status_code, detail)


async def _unforeseen(req: Request, resp: Response, error: Exception, params: dict[str, Any]) -> None:
    _log.error("%s %s failed", req.method, req.path, exc_info=error)
    answer(req, resp, 500, "the server made a mistake; its log has more under this request id")
