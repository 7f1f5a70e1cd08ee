from __future__ import annotations

import socket

import pytest

from gluon.ops.errors import CannotStart
from gluon.ops.ports import reserve_port

HOST = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """As servers do it: asyncio, uvicorn and Go all set SO_REUSEADDR."""
    return socket.create_server((HOST, port))


def test_a_server_can_listen_on_a_reserved_port_again_and_again() -> None:
    reserved = reserve_port(HOST, 0)
    for _ in range(2):
        with listen(reserved.number) as server, socket.create_connection((HOST, reserved.number)):
            server.accept()[0].close()
    reserved.close()


def test_reserved_ports_differ() -> None:
    reserved = [reserve_port(HOST, 0) for _ in range(50)]
    assert len({port.number for port in reserved}) == 50
    for port in reserved:
        port.close()


def test_a_given_port_that_someone_listens_on_is_refused_with_what_to_do() -> None:
    with socket.create_server((HOST, 0)) as server:
        number = server.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"^port {number} of 127.0.0.1 is taken.*--port 0") as refused:
            reserve_port(HOST, number)
    assert "\n" not in str(refused.value)


def test_a_given_port_is_reserved_in_spite_of_what_is_left_of_old_connections() -> None:
    with socket.create_server((HOST, 0)) as server:
        number = server.getsockname()[1]
        client = socket.create_connection((HOST, number))
        # The server's side closes first and stays in TIME_WAIT.
        server.accept()[0].close()
        assert client.recv(1) == b""
        client.close()
    reserved = reserve_port(HOST, number)
    assert reserved.number == number
    listen(number).close()
    reserved.close()
