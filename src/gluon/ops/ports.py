"""TCP ports that stay ours while nobody listens on them yet, or not for the moment."""

from __future__ import annotations

import errno
import random
import socket

from gluon.ops.errors import CannotStart

_FREE_PORTS = range(20000, 32768)
"""Below what Linux gives to outgoing connections: none can take the port of a role that restarts."""


class ReservedPort:
    """A port of one address, held until `close`.

    The socket is bound but never listens. With SO_REUSEADDR on both sides Linux lets a server listen on the
    port nevertheless, while nobody else is given it as a free one.
    """

    def __init__(self, host: str, bound: socket.socket) -> None:
        self.host = host
        self.number: int = bound.getsockname()[1]
        self._socket = bound

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


def reserve_port(host: str, number: int) -> ReservedPort:
    """Reserve the port `number`, or any free one for 0; raises CannotStart when it can't be had."""
    return _reserve_free(host) if number == 0 else _reserve_given(host, number)


def _reserve_free(host: str) -> ReservedPort:
    for number in random.sample(_FREE_PORTS, 200):
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # Without SO_REUSEADDR at first: this fails for a port that anyone has, listening or not.
            bound.bind((host, number))
        except OSError as error:
            bound.close()
            if error.errno != errno.EADDRINUSE:
                raise CannotStart(f"no port can be opened on {host}: {error.strerror}") from error
            continue
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return ReservedPort(host, bound)
    raise CannotStart(f"no free port was found on {host}; choose one with --port")


def _reserve_given(host: str, number: int) -> ReservedPort:
    # With SO_REUSEADDR: what is left of old connections to the port must not be in the way. Only a socket
    # that listens shows whether another one does.
    try:
        with _bound_for_reuse(host, number) as trial:
            trial.listen()
        return ReservedPort(host, _bound_for_reuse(host, number))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"port {number} of {host} is taken by another program; "
                "choose another one with --port, or --port 0 for any free one"
            ) from error
        raise CannotStart(f"port {number} of {host} can't be opened: {error.strerror}") from error


def _bound_for_reuse(host: str, number: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, number))
    except OSError:
        bound.close()
        raise
    return bound
