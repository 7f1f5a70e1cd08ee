"""A member that only tells its version: real ones that are too old are not to be had any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from gluon.etcd import rpc_pb2 as rpc


class _Status(grpc.GenericRpcHandler):
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


@asynccontextmanager
async def member_of_version(version: str) -> AsyncIterator[str]:
    """Its URL."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Status(version),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.stop(None)
