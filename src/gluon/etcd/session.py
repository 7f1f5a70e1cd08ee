"""What a client shows etcd with each call: that it wants a member with a leader, and the token of its user.

Life of a token: the first call asks etcd for one, all others wait for the same answer → it goes along with
every call and stream → etcd says that it doesn't know it (its time is up, the member was restarted, users
or roles were changed) → it is dropped, and the call that noticed it asks for another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gluon.etcd.backoff import Backoff
from gluon.etcd.credentials import Credentials
from gluon.etcd.errors import AccessRefused, AuthenticationOff, StaleToken

Metadata = tuple[tuple[str, str], ...]

WITH_LEADER: Metadata = (("hasleader", "true"),)
"""A member that has lost its leader then refuses calls and ends streams, where it would serve old data."""

_YOUNG = 1.0
"""Seconds in which a token isn't replaced: it can't be at fault yet, and each costs etcd a password hash."""

_TRUSTED = 5.0
"""Seconds in which a token isn't doubted for an answer that is missing: etcd may simply be slow."""

_REFUSED_FIRST, _REFUSED_LAST = 1.0, 30.0
"""Seconds until a password that etcd has refused is tried again; doubled up to the last."""

Authenticate = Callable[[str, str], Awaitable[str]]
"""Asks etcd for a token, by name and password. Raises EtcdError."""


class Session:
    """One client's access. Without a user it has nothing to show, and asks for nothing."""

    def __init__(self, credentials: Credentials, authenticate: Authenticate) -> None:
        self._user = credentials.user
        self._password = credentials.password or ""
        self._authenticate = authenticate
        self._metadata = WITH_LEADER if self._user is None else None
        self._since = 0.0
        self._asking: asyncio.Future[Metadata] | None = None
        self._backoff = Backoff(_REFUSED_FIRST, _REFUSED_LAST)
        self._refusal: str | None = None
        self._refused_until = 0.0

    async def metadata(self) -> Metadata:
        """What to send along. Raises AccessRefused for a wrong password, and EtcdError when etcd is away."""
        if self._metadata is not None:
            return self._metadata
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(self._asked)
        # Who is cancelled while waiting leaves the question to the others.
        return await asyncio.shield(self._asking)

    def renew(self, refused: Metadata, failure: AccessRefused) -> bool:
        """Whether there is, or can be had, something else to show than what etcd has refused."""
        # Without a token, from a time when etcd asked for none, any refusal may be for the lack of it.
        if self._user is None or (refused != WITH_LEADER and not isinstance(failure, StaleToken)):
            return False
        if self._metadata is not refused:
            return True
        if asyncio.get_running_loop().time() < self._since + _YOUNG:
            return False
        self.forget()
        return True

    def doubt(self, unanswered: Metadata) -> None:
        """A member was silent when it was shown this.

        A token names the write of etcd that made it, and a member first waits until it has done that write
        itself. One that was restored from a backup may be far from there, and waits for good.
        """
        if self._metadata is unanswered and asyncio.get_running_loop().time() > self._since + _TRUSTED:
            self.forget()

    def forget(self) -> None:
        """Have another token asked for."""
        if self._user is not None:
            self._metadata = None

    async def _ask(self) -> Metadata:
        assert self._user is not None
        loop = asyncio.get_running_loop()
        if self._refusal is not None and loop.time() < self._refused_until:
            raise AccessRefused(self._refusal)
        try:
            token = await self._authenticate(self._user, self._password)
        except AuthenticationOff:
            token = ""
        except AccessRefused as error:
            self._refusal = f"{error} (user {self._user!r})"
            self._refused_until = loop.time() + self._backoff.delay()
            raise AccessRefused(self._refusal) from error
        self._refusal = None
        self._backoff.reset()
        self._since = loop.time()
        self._metadata = (*WITH_LEADER, ("token", token)) if token else (*WITH_LEADER,)
        return self._metadata

    def _asked(self, asking: asyncio.Future[Metadata]) -> None:
        self._asking = None
        if not asking.cancelled():
            # Nobody may be left to hear it.
            asking.exception()
