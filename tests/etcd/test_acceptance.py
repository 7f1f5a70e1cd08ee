"""An etcd of a version that loses writes is refused, by whichever of its members that is seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import grpc.aio
import pytest

from gluon.etcd import rpc_pb2 as rpc
from gluon.etcd.acceptance import UnsafeVersion, refuse_unsafe_version
from gluon.etcd.client import Etcd
from servers.etcd import EtcdServer, free_ports


class OtherVersion(grpc.GenericRpcHandler):
    """A member that only tells its version: old ones are not to be had any more."""

    def __init__(self, version: str) -> None:
        self._answer = rpc.StatusResponse(version=version, leader=1)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        async def status(request: rpc.StatusRequest, context: object) -> rpc.StatusResponse:
            return self._answer

        if details.method != "/etcdserverpb.Maintenance/Status":
            return None
        return grpc.unary_unary_rpc_method_handler(
            status, rpc.StatusRequest.FromString, rpc.StatusResponse.SerializeToString
        )


@pytest.fixture
async def member() -> AsyncIterator[Callable[..., object]]:
    async with AsyncExitStack() as stack:

        async def start(version: str) -> str:
            server = grpc.aio.server()
            server.add_generic_rpc_handlers((OtherVersion(version),))
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            stack.push_async_callback(server.stop, None)
            return f"http://127.0.0.1:{port}"

        yield start


async def accepted(*urls: str, allowed: bool = False) -> bool:
    client = Etcd(urls)
    try:
        return await refuse_unsafe_version(client, allowed=allowed)
    finally:
        await client.close()


async def test_the_etcd_that_tests_use_is_accepted(etcd_server: EtcdServer) -> None:
    assert await accepted(etcd_server.url)


@pytest.mark.parametrize("version", ["3.3.27", "3.5.1"])
async def test_an_unsafe_version_is_refused_with_those_that_will_do(
    member: Callable[..., object], version: str
) -> None:
    url = await member(version)
    with pytest.raises(UnsafeVersion, match=rf"{url}.*{version}.*use 3\.4\.22 or later") as caught:
        await accepted(url)
    assert "allow_unsafe_version" in str(caught.value)


async def test_one_unsafe_member_is_enough(member: Callable[..., object]) -> None:
    with pytest.raises(UnsafeVersion, match=r"3\.5\.0"):
        await accepted(await member("3.5.30"), await member("3.5.0"))


async def test_it_can_be_allowed_for_a_trial(member: Callable[..., object]) -> None:
    assert await accepted(await member("3.5.1"), allowed=True)


async def test_of_an_etcd_that_is_away_nothing_is_known(member: Callable[..., object]) -> None:
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert not await accepted(away)
    assert await accepted(away, await member("3.5.30"))
