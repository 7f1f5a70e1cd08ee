"""The calls of etcd's API that Gluon makes."""

from __future__ import annotations

from gluon.etcd import rpc_pb2 as rpc
from gluon.etcd.endpoint import Method

RANGE = Method("/etcdserverpb.KV/Range", rpc.RangeRequest, rpc.RangeResponse, repeatable=True)
PUT = Method("/etcdserverpb.KV/Put", rpc.PutRequest, rpc.PutResponse)
DELETE = Method("/etcdserverpb.KV/DeleteRange", rpc.DeleteRangeRequest, rpc.DeleteRangeResponse)
TXN = Method("/etcdserverpb.KV/Txn", rpc.TxnRequest, rpc.TxnResponse)
COMPACT = Method("/etcdserverpb.KV/Compact", rpc.CompactionRequest, rpc.CompactionResponse)
GRANT = Method("/etcdserverpb.Lease/LeaseGrant", rpc.LeaseGrantRequest, rpc.LeaseGrantResponse)
REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", rpc.LeaseRevokeRequest, rpc.LeaseRevokeResponse)
KEEP_ALIVE = Method(
    "/etcdserverpb.Lease/LeaseKeepAlive",
    rpc.LeaseKeepAliveRequest,
    rpc.LeaseKeepAliveResponse,
    repeatable=True,
)
STATUS = Method("/etcdserverpb.Maintenance/Status", rpc.StatusRequest, rpc.StatusResponse, repeatable=True)
AUTHENTICATE = Method(
    "/etcdserverpb.Auth/Authenticate", rpc.AuthenticateRequest, rpc.AuthenticateResponse, repeatable=True
)
