"""What the errors of MariaDB, of Galera and of the driver mean.

Numbers and names are those of MariaDB's "Error codes" reference; numbers from 2000 on are the client's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from asyncmy import errors

from gluon.store.database import (
    ConstraintViolation,
    DatabaseError,
    DatabaseUnavailable,
    InvalidValue,
    ReferenceViolation,
    UniqueViolation,
)
from gluon.store.driver import AccessRefused, ConnectionLost, Contention

DUPLICATE_ENTRY = 1062
NO_SUCH_TABLE = 1146
IS_REFERENCED = frozenset({1217, 1451})
"""ER_ROW_IS_REFERENCED and its successor."""
NOTHING_REFERENCED = frozenset({1216, 1452})
"""ER_NO_REFERENCED_ROW and its successor."""
LOST = 2013
_STATEMENT_TIMEOUT = frozenset({1969, 3024})

_CONTENTION = frozenset(
    {
        1020,  # ER_CHECKREAD: the row has changed since it was read
        1205,  # ER_LOCK_WAIT_TIMEOUT
        1213,  # ER_LOCK_DEADLOCK; Galera's certification failures are told as that, too
        1317,  # ER_QUERY_INTERRUPTED: Galera makes way for a transaction of another node
        1412,  # ER_TABLE_DEF_CHANGED: somebody made tables after our snapshot
        1614,  # ER_XA_RBDEADLOCK
        1615,  # ER_NEED_REPREPARE
    }
)
_CONNECTION_LOST = frozenset(
    {
        0,  # the driver: not connected
        1047,  # ER_UNKNOWN_COM_ERROR: a Galera node that has left its cluster
        1053,  # ER_SERVER_SHUTDOWN
        1152,  # ER_ABORTING_CONNECTION
        1158,  # ER_NET_READ_ERROR, and how else the network may fail
        1159,
        1160,
        1161,
        1180,  # ER_ERROR_DURING_COMMIT: how it ended has to be looked up
        1184,  # ER_NEW_ABORTING_CONNECTION
        1927,  # ER_CONNECTION_KILLED
        2006,  # CR_SERVER_GONE_ERROR
        LOST,
        2014,  # CR_COMMANDS_OUT_OF_SYNC
        2055,  # CR_SERVER_LOST_EXTENDED
        4031,  # the server closed it for having been idle
    }
)
_UNAVAILABLE = frozenset(
    {
        1021,  # ER_DISK_FULL
        1026,  # ER_ERROR_ON_WRITE
        1030,  # ER_GET_ERRNO: the storage engine failed
        1037,  # ER_OUTOFMEMORY
        1038,  # ER_OUT_OF_SORTMEMORY
        1040,  # ER_CON_COUNT_ERROR
        1041,  # ER_OUT_OF_RESOURCES
        1114,  # ER_RECORD_FILE_FULL
        1129,  # ER_HOST_IS_BLOCKED
        1203,  # ER_TOO_MANY_USER_CONNECTIONS
        1226,  # ER_USER_LIMIT_REACHED
        1290,  # ER_OPTION_PREVENTS_STATEMENT: read-only
        1836,  # ER_READ_ONLY_MODE
        2003,  # CR_CONN_HOST_ERROR
    }
)
_REFUSED = frozenset(
    {
        1044,  # ER_DBACCESS_DENIED_ERROR
        1045,  # ER_ACCESS_DENIED_ERROR
        1049,  # ER_BAD_DB_ERROR
        1130,  # ER_HOST_NOT_PRIVILEGED
        1142,  # ER_TABLEACCESS_DENIED_ERROR
        1698,  # ER_ACCESS_DENIED_NO_PASSWORD_ERROR
    }
)
_INVALID = frozenset(
    {
        1153,  # ER_NET_PACKET_TOO_LARGE
        1264,  # ER_WARN_DATA_OUT_OF_RANGE
        1265,  # WARN_DATA_TRUNCATED
        1300,  # ER_INVALID_CHARACTER_STRING
        1366,  # ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
        1367,  # ER_ILLEGAL_VALUE_FOR_TYPE
        1406,  # ER_DATA_TOO_LONG
        1690,  # ER_DATA_OUT_OF_RANGE
        4078,  # ER_ILLEGAL_PARAMETER_DATA_TYPES2_FOR_OPERATION
    }
)
_VIOLATED = frozenset({1048, 4025})
"""ER_BAD_NULL_ERROR, ER_CONSTRAINT_FAILED."""

ERRORS: tuple[type[Exception], ...] = (errors.MySQLError,)
"""What sessions raise."""


class Unstorable(errors.DataError):
    """A value that the driver can't send: an integer beyond 64 bits, text that is not Unicode."""


_DUPLICATE_KEY = re.compile(r"for key '(?:[^']*\.)?([^'.]+)'\s*\Z")
_REFERENCE = re.compile(r"FOREIGN KEY \(`([^`]+)`\)")


def number_of(error: Exception) -> int | None:
    """The number of an error; None when it has none."""
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) else None


def message_of(error: Exception) -> str:
    """What it says."""
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def violated_key(error: Exception) -> str | None:
    """The key that a duplicate entry is one of: PRIMARY, or the name of an index."""
    found = _DUPLICATE_KEY.search(message_of(error))
    return found.group(1) if found else None


def violated_column(error: Exception) -> str | None:
    """The column whose value refers to what is not there."""
    found = _REFERENCE.search(message_of(error))
    return found.group(1) if found else None


def explain(error: Exception) -> DatabaseError:
    """What an error of the driver means: to be tried again, or what a caller gets to see."""
    if isinstance(error, DatabaseError):
        return error
    number, message = number_of(error), message_of(error)
    if isinstance(error, Unstorable):
        return InvalidValue(message)
    if number == DUPLICATE_ENTRY:
        return UniqueViolation(message, constraint=violated_key(error))
    if number in IS_REFERENCED | NOTHING_REFERENCED:
        return ReferenceViolation("the transaction would leave a reference that leads nowhere")
    if number in _STATEMENT_TIMEOUT:
        return DatabaseUnavailable("a statement took longer than [database] statement_timeout allows")
    for numbers, meaning in _MEANINGS.items():
        if number in numbers:
            return meaning(message)
    return DatabaseError(f"{message} ({number})")


_MEANINGS: Mapping[frozenset[int], type[DatabaseError]] = {
    _CONTENTION: Contention,
    _CONNECTION_LOST: ConnectionLost,
    _UNAVAILABLE: DatabaseUnavailable,
    _REFUSED: AccessRefused,
    _INVALID: InvalidValue,
    _VIOLATED: ConstraintViolation,
}
