"""The connection to OVN's northbound database, in a thread of its own (python-ovs' IDL, by ovsdbapp).

The thread keeps a copy of the tables up to date, tells of changes to our rows, and commits. When the database
goes away it connects again by itself, for ever. Everything public here may block, but for what says that it
doesn't, and is safe from any thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

from ovs import stream
from ovs.db import idl
from ovsdbapp import exceptions
from ovsdbapp.backend.ovs_idl import connection, idlutils, transaction

from gluon.shim.backends.ovn.changes import ApplyRows, Changes
from gluon.shim.backends.ovn.difference import Tags, different, different_tags
from gluon.shim.backends.ovn.index import RowIndex
from gluon.shim.backends.ovn.options import OvnSettings
from gluon.shim.backends.ovn.rows import COLUMNS, Row, RowId

_DATABASE = "OVN_Northbound"

_RECONNECT = (100, 2000)
"""Milliseconds between tries to connect: the first, and the longest. OVS' own are 1 s and 8 s."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

Told = Callable[[RowId | None], None]
"""Hears of a row of ours that has changed, or, with None, that everything may have. Called in the thread."""


class NorthboundAway(Exception):
    """The database can't be reached, or hasn't answered in time; whether it has done it isn't known."""


class NorthboundRefuses(Exception):
    """The database says no: a name that is taken, a value that its schema doesn't have."""


class Northbound:
    """One connection. `start` it until it succeeds once; from then on it keeps itself connected."""

    def __init__(self, settings: OvnSettings, tags: Tags, told: Told) -> None:
        self._settings = settings
        self._tags = tags
        self._told = told
        self._index = RowIndex(tags)
        self._connection: connection.Connection | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Connect and read everything; raises NorthboundAway."""
        with self._lock:
            if self._connection is not None:
                return
            self._present_certificates()
            remote, patience = self._settings.connection, self._settings.timeout
            helper = _while_away(lambda: idlutils.get_schema_helper(remote, _DATABASE))
            replica = _Replica(remote, helper, self._index, self._told)
            made = connection.Connection(replica, patience)
            _while_away(made.start)
            self._connection = made

    def stop(self) -> None:
        """Disconnect."""
        with self._lock:
            stopped, self._connection = self._connection, None
        if stopped is not None:
            stopped.stop(self._settings.timeout)

    @property
    def is_connected(self) -> bool:
        """Whether the copy of the tables is up to date, as far as that can be known."""
        return self._connection is not None and bool(self._connection.idl.is_live)

    @property
    def version(self) -> str:
        """The version of the database's schema."""
        return str(self._started.idl.schema_version)

    def ids(self) -> set[RowId]:
        """The rows of ours that are there."""
        with self._started.lock:
            self._index.forget_absent()
            return self._index.ids()

    def ids_for(self, whose: Iterable[str]) -> set[RowId]:
        """The rows of ours that are there for these interfaces, ports, services or subnets. Never blocks."""
        return {id for key in whose for id in self._index.ids_for(key)}

    def commit(self, wanted: Mapping[RowId, Row | None]) -> Changes:
        """Make rows what they should be, None for those that shouldn't be, in one transaction.

        Raises NorthboundAway and NorthboundRefuses.
        """
        if not self.is_connected:
            raise NorthboundAway("there is no connection")
        started = self._started
        # A database that hangs in the middle of a transaction keeps the lock.
        if not started.lock.acquire(timeout=self._settings.timeout):
            raise NorthboundAway("a transaction has taken too long")
        try:
            if not any(self._differs(id, row) for id, row in wanted.items()):
                # Most writes are such: much that objects say is nothing to OVN.
                return Changes()
        finally:
            started.lock.release()
        api = SimpleNamespace(idl=started.idl)
        command = ApplyRows(api, self._index, self._tags, wanted)
        change = transaction.Transaction(
            api, started, self._settings.timeout, check_error=True, log_errors=False
        )
        change.add(command)
        try:
            change.commit()
        except exceptions.TimeoutException as error:
            raise NorthboundAway("a transaction has taken too long") from error
        except RuntimeError as error:
            # What ovsdbapp raises for errors of the database, and for its own end of patience.
            if not self.is_connected or "timed out" in str(error):
                raise NorthboundAway(str(error)) from error
            raise NorthboundRefuses(str(error)) from error
        changes: Changes = command.result
        return changes

    def differing(self, wanted: Mapping[RowId, Row | None]) -> set[RowId]:
        """The rows that are not what they should be."""
        with self._started.lock:
            return {id for id, row in wanted.items() if self._differs(id, row)}

    def _differs(self, id: RowId, row: Row | None) -> bool:
        found = self._index.rows(id)
        if row is None:
            return bool(found)
        if len(found) != 1:
            return row.ours or len(found) > 1
        (there,) = found
        if not row.ours:
            return False
        if different_tags(self._tags.of(row), there.external_ids):
            return True
        columns = {name: self._read(getattr(there, name)) for name in row.columns}
        return bool(different(row, columns))

    def _read(self, found: Any) -> Any:
        if isinstance(found, list):
            return [self._index.id_of(item) if hasattr(item, "uuid") else item for item in found]
        return found

    @property
    def _started(self) -> connection.Connection:
        if self._connection is None:
            raise NorthboundAway("there is no connection yet")
        return self._connection

    def _present_certificates(self) -> None:
        settings = self._settings
        # Of the whole process: python-ovs has one set of certificates for all connections.
        if settings.private_key:
            stream.Stream.ssl_set_private_key_file(settings.private_key)
        if settings.certificate:
            stream.Stream.ssl_set_certificate_file(settings.certificate)
        if settings.ca_cert:
            stream.Stream.ssl_set_ca_cert_file(settings.ca_cert)


class _Replica(connection.OvsdbIdl):  # type: ignore[misc]  # ovsdbapp has no types
    """The copy of the tables; says which rows of ours change."""

    def __init__(self, remote: str, helper: Any, index: RowIndex, told: Told) -> None:
        self.schema_version = helper.schema_json.get("version", "unknown")
        for table, columns in COLUMNS.items():
            helper.register_columns(table, list(columns))
        super().__init__(remote, helper)
        self._index = index
        self._told = told
        self._reading_anew = True
        index.belong_to(self)
        # Nothing public reaches these; without it a database that is back is found up to 8 s later.
        self._session.reconnect.set_backoff(*_RECONNECT)

    @property
    def is_live(self) -> bool:
        """Whether there is a connection, and everything was read."""
        return bool(self._session.is_connected()) and self.state == idl.Idl.IDL_S_MONITORING

    def cooperative_yield(self) -> None:
        """Called by python-ovs for each row; ovsdbapp gives way there, which real threads need not."""

    def restart_fsm(self) -> None:
        """Called by python-ovs at each new connection."""
        self._reading_anew = True
        super().restart_fsm()

    def run(self) -> bool:
        """Called by ovsdbapp whenever something may have arrived."""
        changed = bool(super().run())
        if self._reading_anew and self.state == idl.Idl.IDL_S_MONITORING:
            self._reading_anew = False
            _log.info("connected with OVN's northbound database")
            self._told(None)
        return changed

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        """Called by python-ovs for each row that is new, has changed, or is gone."""
        id = self._index.forget(row) if event == idl.ROW_DELETE else self._index.learn(row)
        if id is not None and not self._reading_anew:
            self._told(id)


def _while_away(call: Callable[[], _T]) -> _T:
    """What a call gives; whatever ovsdbapp raises of a database that isn't there is NorthboundAway."""
    try:
        return call()
    # It has several exceptions for that, and bare Exceptions.
    except Exception as error:
        raise NorthboundAway(str(error) or type(error).__name__) from error
