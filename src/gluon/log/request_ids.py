"""The id of the request that is being worked on, known to everything that is logged meanwhile.

Ids have OpenStack's form, `req-<uuid>`: one that a client or another service made is kept, so that what
several services did for one purpose can be found together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextvars import ContextVar
from random import getrandbits
from uuid import UUID

HEADER = "X-Openstack-Request-Id"
ACCEPTED_HEADERS = (HEADER, "X-Request-Id")
"""Where a request may bring its id, the first one that has the form of one counts."""

_FORM = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_current: ContextVar[str | None] = ContextVar("gluon_request_id", default=None)


def new_request_id() -> str:
    """An id that no other request has."""
    # Drawn without the system call of uuid4, which would hand the interpreter to another thread.
    return f"req-{UUID(int=getrandbits(128), version=4)}"


def begin_request(brought: Iterable[str | None] = ()) -> str:
    """The id of a request that begins in this task: the first that it brought in OpenStack's form, or a new
    one.
    """
    request_id = next((text for text in brought if text and _FORM.fullmatch(text)), None) or new_request_id()
    _current.set(request_id)
    return request_id


def current_request_id() -> str | None:
    """The id of the request that this task works on; None outside of requests."""
    return _current.get()
