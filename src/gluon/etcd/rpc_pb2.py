"""Messages of etcd's v3 API. Made by scripts/generate-proto from rpc.proto: change that."""

from google.protobuf import descriptor_pool, message_factory

_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(
    b'\n\trpc.proto\x12\x0egluon.etcd.'
    b'rpc"\x85\x01\n\x0eResponseHeader\x12\x1d'
    b'\n\ncluster_id\x18\x01 \x01(\x04R\tclus'
    b'terId\x12\x1b\n\tmember_id\x18\x02 \x01(\x04'
    b'R\x08memberId\x12\x1a\n\x08revision\x18\x03'
    b' \x01(\x03R\x08revision\x12\x1b\n\traft_t'
    b'erm\x18\x04 \x01(\x04R\x08raftTerm"\xae\x01\n\x08'
    b'KeyValue\x12\x10\n\x03key\x18\x01 \x01(\x0cR\x03k'
    b"ey\x12'\n\x0fcreate_revision\x18\x02 "
    b'\x01(\x03R\x0ecreateRevision\x12!\n\x0cm'
    b'od_revision\x18\x03 \x01(\x03R\x0bmodRe'
    b'vision\x12\x18\n\x07version\x18\x04 \x01(\x03R'
    b'\x07version\x12\x14\n\x05value\x18\x05 \x01(\x0cR'
    b'\x05value\x12\x14\n\x05lease\x18\x06 \x01(\x03R\x05l'
    b'ease"\x8c\x01\n\x0cRangeRequest\x12\x10\n'
    b'\x03key\x18\x01 \x01(\x0cR\x03key\x12\x1b\n\trange'
    b'_end\x18\x02 \x01(\x0cR\x08rangeEnd\x12\x14\n\x05'
    b'limit\x18\x03 \x01(\x03R\x05limit\x12\x1a\n\x08re'
    b'vision\x18\x04 \x01(\x03R\x08revision\x12\x1b'
    b'\n\tkeys_only\x18\x08 \x01(\x08R\x08keysO'
    b'nly"\x87\x01\n\rRangeResponse\x126\n'
    b'\x06header\x18\x01 \x01(\x0b2\x1e.gluon.et'
    b'cd.rpc.ResponseHeaderR\x06h'
    b'eader\x12*\n\x03kvs\x18\x02 \x03(\x0b2\x18.glu'
    b'on.etcd.rpc.KeyValueR\x03kv'
    b's\x12\x12\n\x04more\x18\x03 \x01(\x08R\x04more"J\n'
    b'\nPutRequest\x12\x10\n\x03key\x18\x01 \x01(\x0c'
    b'R\x03key\x12\x14\n\x05value\x18\x02 \x01(\x0cR\x05va'
    b'lue\x12\x14\n\x05lease\x18\x03 \x01(\x03R\x05leas'
    b'e"E\n\x0bPutResponse\x126\n\x06head'
    b'er\x18\x01 \x01(\x0b2\x1e.gluon.etcd.rp'
    b'c.ResponseHeaderR\x06header'
    b'"C\n\x12DeleteRangeRequest\x12\x10'
    b'\n\x03key\x18\x01 \x01(\x0cR\x03key\x12\x1b\n\trang'
    b'e_end\x18\x02 \x01(\x0cR\x08rangeEnd"g\n'
    b'\x13DeleteRangeResponse\x126\n\x06'
    b'header\x18\x01 \x01(\x0b2\x1e.gluon.etc'
    b'd.rpc.ResponseHeaderR\x06he'
    b'ader\x12\x18\n\x07deleted\x18\x02 \x01(\x03R\x07d'
    b'eleted"\xf2\x01\n\tRequestOp\x12C\n\r'
    b'request_range\x18\x01 \x01(\x0b2\x1c.gl'
    b'uon.etcd.rpc.RangeReques'
    b'tH\x00R\x0crequestRange\x12=\n\x0breq'
    b'uest_put\x18\x02 \x01(\x0b2\x1a.gluon.e'
    b'tcd.rpc.PutRequestH\x00R\nre'
    b'questPut\x12V\n\x14request_dele'
    b'te_range\x18\x03 \x01(\x0b2".gluon.e'
    b'tcd.rpc.DeleteRangeReque'
    b'stH\x00R\x12requestDeleteRange'
    b'B\t\n\x07request"\xfd\x01\n\nResponse'
    b'Op\x12F\n\x0eresponse_range\x18\x01 \x01'
    b'(\x0b2\x1d.gluon.etcd.rpc.Rang'
    b'eResponseH\x00R\rresponseRan'
    b'ge\x12@\n\x0cresponse_put\x18\x02 \x01(\x0b'
    b'2\x1b.gluon.etcd.rpc.PutRes'
    b'ponseH\x00R\x0bresponsePut\x12Y\n\x15'
    b'response_delete_range\x18\x03 '
    b'\x01(\x0b2#.gluon.etcd.rpc.Del'
    b'eteRangeResponseH\x00R\x13resp'
    b'onseDeleteRangeB\n\n\x08respo'
    b'nse"\xb4\x03\n\x07Compare\x126\n\x06resul'
    b't\x18\x01 \x01(\x0e2\x1e.gluon.etcd.rpc'
    b'.Compare.ResultR\x06result\x12'
    b'6\n\x06target\x18\x02 \x01(\x0e2\x1e.gluon.'
    b'etcd.rpc.Compare.TargetR'
    b'\x06target\x12\x10\n\x03key\x18\x03 \x01(\x0cR\x03ke'
    b'y\x12\x1a\n\x07version\x18\x04 \x01(\x03H\x00R\x07ve'
    b'rsion\x12)\n\x0fcreate_revision'
    b'\x18\x05 \x01(\x03H\x00R\x0ecreateRevision'
    b'\x12#\n\x0cmod_revision\x18\x06 \x01(\x03H\x00'
    b'R\x0bmodRevision\x12\x16\n\x05value\x18\x07'
    b' \x01(\x0cH\x00R\x05value\x12\x16\n\x05lease\x18\x08'
    b' \x01(\x03H\x00R\x05lease"9\n\x06Result\x12'
    b'\t\n\x05EQUAL\x10\x00\x12\x0b\n\x07GREATER\x10\x01\x12'
    b'\x08\n\x04LESS\x10\x02\x12\r\n\tNOT_EQUAL\x10\x03'
    b'"@\n\x06Target\x12\x0b\n\x07VERSION\x10\x00\x12'
    b'\n\n\x06CREATE\x10\x01\x12\x07\n\x03MOD\x10\x02\x12\t\n\x05'
    b'VALUE\x10\x03\x12\t\n\x05LEASE\x10\x04B\x0e\n\x0cta'
    b'rget_union"\xa9\x01\n\nTxnReques'
    b't\x121\n\x07compare\x18\x01 \x03(\x0b2\x17.glu'
    b'on.etcd.rpc.CompareR\x07com'
    b'pare\x123\n\x07success\x18\x02 \x03(\x0b2\x19.'
    b'gluon.etcd.rpc.RequestOp'
    b'R\x07success\x123\n\x07failure\x18\x03 \x03'
    b'(\x0b2\x19.gluon.etcd.rpc.Requ'
    b'estOpR\x07failure"\x9d\x01\n\x0bTxnRe'
    b'sponse\x126\n\x06header\x18\x01 \x01(\x0b2\x1e'
    b'.gluon.etcd.rpc.Response'
    b'HeaderR\x06header\x12\x1c\n\tsuccee'
    b'ded\x18\x02 \x01(\x08R\tsucceeded\x128\n\t'
    b'responses\x18\x03 \x03(\x0b2\x1a.gluon.'
    b'etcd.rpc.ResponseOpR\tres'
    b'ponses"K\n\x11CompactionRequ'
    b'est\x12\x1a\n\x08revision\x18\x01 \x01(\x03R\x08r'
    b'evision\x12\x1a\n\x08physical\x18\x02 \x01('
    b'\x08R\x08physical"L\n\x12Compactio'
    b'nResponse\x126\n\x06header\x18\x01 \x01('
    b'\x0b2\x1e.gluon.etcd.rpc.Respo'
    b'nseHeaderR\x06header"\xb1\x01\n\x05Ev'
    b'ent\x12.\n\x04type\x18\x01 \x01(\x0e2\x1a.gluo'
    b'n.etcd.rpc.Event.TypeR\x04t'
    b'ype\x12(\n\x02kv\x18\x02 \x01(\x0b2\x18.gluon.'
    b'etcd.rpc.KeyValueR\x02kv\x121\n'
    b'\x07prev_kv\x18\x03 \x01(\x0b2\x18.gluon.e'
    b'tcd.rpc.KeyValueR\x06prevKv'
    b'"\x1b\n\x04Type\x12\x07\n\x03PUT\x10\x00\x12\n\n\x06DEL'
    b'ETE\x10\x01"\xb9\x01\n\x0cWatchRequest\x12K'
    b'\n\x0ecreate_request\x18\x01 \x01(\x0b2"'
    b'.gluon.etcd.rpc.WatchCre'
    b'ateRequestH\x00R\rcreateRequ'
    b'est\x12Q\n\x10progress_request\x18'
    b'\x03 \x01(\x0b2$.gluon.etcd.rpc.W'
    b'atchProgressRequestH\x00R\x0fp'
    b'rogressRequestB\t\n\x07reques'
    b't"\xac\x01\n\x12WatchCreateRequest'
    b'\x12\x10\n\x03key\x18\x01 \x01(\x0cR\x03key\x12\x1b\n\tra'
    b'nge_end\x18\x02 \x01(\x0cR\x08rangeEnd\x12'
    b'%\n\x0estart_revision\x18\x03 \x01(\x03R'
    b"\rstartRevision\x12'\n\x0fprogre"
    b'ss_notify\x18\x04 \x01(\x08R\x0eprogres'
    b'sNotify\x12\x17\n\x07prev_kv\x18\x06 \x01(\x08'
    b'R\x06prevKv"\x16\n\x14WatchProgres'
    b'sRequest"\x97\x02\n\rWatchRespon'
    b'se\x126\n\x06header\x18\x01 \x01(\x0b2\x1e.glu'
    b'on.etcd.rpc.ResponseHead'
    b'erR\x06header\x12\x19\n\x08watch_id\x18\x02'
    b' \x01(\x03R\x07watchId\x12\x18\n\x07created'
    b'\x18\x03 \x01(\x08R\x07created\x12\x1a\n\x08cance'
    b'led\x18\x04 \x01(\x08R\x08canceled\x12)\n\x10c'
    b'ompact_revision\x18\x05 \x01(\x03R\x0fc'
    b'ompactRevision\x12#\n\rcancel'
    b'_reason\x18\x06 \x01(\tR\x0ccancelRea'
    b'son\x12-\n\x06events\x18\x0b \x03(\x0b2\x15.gl'
    b'uon.etcd.rpc.EventR\x06even'
    b'ts"5\n\x11LeaseGrantRequest\x12'
    b'\x10\n\x03ttl\x18\x01 \x01(\x03R\x03ttl\x12\x0e\n\x02id\x18'
    b'\x02 \x01(\x03R\x02id"n\n\x12LeaseGrantR'
    b'esponse\x126\n\x06header\x18\x01 \x01(\x0b2'
    b'\x1e.gluon.etcd.rpc.Respons'
    b'eHeaderR\x06header\x12\x0e\n\x02id\x18\x02 '
    b'\x01(\x03R\x02id\x12\x10\n\x03ttl\x18\x03 \x01(\x03R\x03tt'
    b'l"$\n\x12LeaseRevokeRequest\x12'
    b'\x0e\n\x02id\x18\x01 \x01(\x03R\x02id"M\n\x13Lease'
    b'RevokeResponse\x126\n\x06header'
    b'\x18\x01 \x01(\x0b2\x1e.gluon.etcd.rpc.'
    b'ResponseHeaderR\x06header"\''
    b'\n\x15LeaseKeepAliveRequest\x12'
    b'\x0e\n\x02id\x18\x01 \x01(\x03R\x02id"r\n\x16Lease'
    b'KeepAliveResponse\x126\n\x06hea'
    b'der\x18\x01 \x01(\x0b2\x1e.gluon.etcd.r'
    b'pc.ResponseHeaderR\x06heade'
    b'r\x12\x0e\n\x02id\x18\x02 \x01(\x03R\x02id\x12\x10\n\x03ttl'
    b'\x18\x03 \x01(\x03R\x03ttl"E\n\x13Authentic'
    b'ateRequest\x12\x12\n\x04name\x18\x01 \x01(\t'
    b'R\x04name\x12\x1a\n\x08password\x18\x02 \x01(\t'
    b'R\x08password"d\n\x14Authentica'
    b'teResponse\x126\n\x06header\x18\x01 \x01'
    b'(\x0b2\x1e.gluon.etcd.rpc.Resp'
    b'onseHeaderR\x06header\x12\x14\n\x05to'
    b'ken\x18\x02 \x01(\tR\x05token"\x0f\n\rStat'
    b'usRequest"\xd0\x01\n\x0eStatusResp'
    b'onse\x126\n\x06header\x18\x01 \x01(\x0b2\x1e.g'
    b'luon.etcd.rpc.ResponseHe'
    b'aderR\x06header\x12\x18\n\x07version\x18'
    b'\x02 \x01(\tR\x07version\x12\x17\n\x07db_siz'
    b'e\x18\x03 \x01(\x03R\x06dbSize\x12\x16\n\x06leade'
    b'r\x18\x04 \x01(\x04R\x06leader\x12\x16\n\x06error'
    b's\x18\x08 \x03(\tR\x06errors\x12#\n\x0edb_si'
    b'ze_in_use\x18\t \x01(\x03R\x0bdbSizeI'
    b'nUseb\x06proto3'
)


def _message(name):
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName("gluon.etcd.rpc." + name))


ResponseHeader = _message("ResponseHeader")
KeyValue = _message("KeyValue")
RangeRequest = _message("RangeRequest")
RangeResponse = _message("RangeResponse")
PutRequest = _message("PutRequest")
PutResponse = _message("PutResponse")
DeleteRangeRequest = _message("DeleteRangeRequest")
DeleteRangeResponse = _message("DeleteRangeResponse")
RequestOp = _message("RequestOp")
ResponseOp = _message("ResponseOp")
Compare = _message("Compare")
TxnRequest = _message("TxnRequest")
TxnResponse = _message("TxnResponse")
CompactionRequest = _message("CompactionRequest")
CompactionResponse = _message("CompactionResponse")
Event = _message("Event")
WatchRequest = _message("WatchRequest")
WatchCreateRequest = _message("WatchCreateRequest")
WatchProgressRequest = _message("WatchProgressRequest")
WatchResponse = _message("WatchResponse")
LeaseGrantRequest = _message("LeaseGrantRequest")
LeaseGrantResponse = _message("LeaseGrantResponse")
LeaseRevokeRequest = _message("LeaseRevokeRequest")
LeaseRevokeResponse = _message("LeaseRevokeResponse")
LeaseKeepAliveRequest = _message("LeaseKeepAliveRequest")
LeaseKeepAliveResponse = _message("LeaseKeepAliveResponse")
AuthenticateRequest = _message("AuthenticateRequest")
AuthenticateResponse = _message("AuthenticateResponse")
StatusRequest = _message("StatusRequest")
StatusResponse = _message("StatusResponse")
