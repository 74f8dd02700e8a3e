"""What the store reads of strangers and disks, as functions of bytes: HTTP/2, etcd's messages, the log, the snapshot.

Checksums keep a fuzzer out of what is behind them; so the log and the snapshot are also given records whose checksum is
right and whose payload is anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actors.etcd.grpc import convert, http2
from actors.etcd.grpc.auth import granting
from actors.etcd.grpc.fields import write
from actors.etcd.grpc.framing import Unframer, framed, timeout_s
from actors.etcd.grpc.messages import DecodeError, message
from actors.etcd.grpc.status import Refused
from actors.etcd.mvcc.dump import Dump
from actors.etcd.mvcc.store import Store
from actors.etcd.raft.types import START, AppendJob, HardState, Mark
from actors.etcd.records import encode_record, records
from actors.etcd.snapshot import CorruptSnapshot, decode_snapshot, encode_snapshot
from actors.etcd.wal import CorruptWal, Segment, encode_header, encode_jobs, recover, segment_name
from protocols.raft import Entry

MEMBER = "etcd-0"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
CONVERSIONS: dict[str, Callable[[object], object]] = {
    "RangeRequest": convert.to_range,
    "PutRequest": convert.put_op,
    "DeleteRangeRequest": convert.delete_op,
    "TxnRequest": convert.to_txn,
    "WatchRequest": lambda request: request,
    "AlarmRequest": lambda request: request,
    "AuthRoleGrantPermissionRequest": lambda request: Store().apply(granting(request)),
}


def http2_server(data: bytes) -> None:
    """Any bytes in any pieces, from one that has greeted or not: events, or an end with a reason."""
    server = http2.Connection(client=False)
    how, rest = data[0] if data else 0, data[1:]
    if how & 1:
        server.receive(http2.PREFACE + SETTINGS, 0.0)
    size = (how >> 1) + 1
    for at in range(0, len(rest), size):
        for event in server.receive(rest[at : at + size], 0.0):
            if isinstance(event, http2.Headers) and event.opens:
                server.answer(event.stream, write([(b":status", b"200")]), b"x" * 100, write([(b"grpc-status", b"0")]))
        assert 0 <= server.waiting_bytes <= 100 * server.streams
        assert server.streams <= http2.STREAMS_MAX
    server.take_output()


def etcd_messages(data: bytes) -> None:
    """Any bytes as a body, and as a request of every kind."""
    try:
        for body in Unframer().feed(data):
            assert len(body) < len(data)
    except Refused:
        pass
    try:
        assert timeout_s(data) >= 0
    except Refused:
        pass
    for name, conversion in CONVERSIONS.items():
        try:
            conversion(message(f"etcdserverpb.{name}").FromString(data))
        except (DecodeError, Refused):
            continue


def wal(data: bytes) -> None:
    """Any bytes as a segment, and behind a header; any payloads, soundly recorded: recovered, or refused."""
    header = encode_header(MEMBER, 1, HardState(), START)
    for segment in (data, header + data, b"".join(_records(data)), header + b"".join(_records(data))):
        try:
            found = recover([Segment(segment_name(1), segment)], MEMBER)
        except CorruptWal as error:
            assert str(error)
        else:
            assert [entry.index for entry in found.entries] == list(range(1, len(found.entries) + 1))


def snapshot(data: bytes) -> None:
    """Any bytes as a snapshot; any payloads, soundly recorded: loaded, or refused with a reason."""
    for file in (data, b"".join(_records(data))):
        try:
            decode_snapshot(file)
        except CorruptSnapshot as error:
            assert str(error)


def _records(data: bytes) -> Iterator[bytes]:
    """Each: a byte of kind, two of length, the payload."""
    at = 0
    while at + 3 <= len(data):
        end = at + 3 + int.from_bytes(data[at + 1 : at + 3], "big")
        yield encode_record(data[at], data[at + 3 : end])
        at = end


STORE_TARGETS: dict[str, Callable[[bytes], None]] = {
    "http2": http2_server,
    "etcd_messages": etcd_messages,
    "wal": wal,
    "snapshot": snapshot,
}


def store_seeds(target: str) -> list[bytes]:
    if target == "http2":
        return [b"\xff" + _call(), b"\x02" + http2.PREFACE + SETTINGS + _call()]
    if target == "etcd_messages":
        return _requests()
    if target == "wal":
        entries = tuple(Entry(1, index, b"data") for index in (1, 2, 3))
        log = encode_jobs([AppendJob(HardState(1, MEMBER, 0), entries, (), 3, 1)])
        return [log, _unchecked(log)]
    dump = Dump(Store())
    whole = b"".join(encode_snapshot(Mark(7, 3), dump))
    return [whole, _unchecked(whole)]


def _call() -> bytes:
    client = http2.Connection(client=True)
    client.take_output()
    stream = client.open(write([(b":method", b"POST"), (b":path", b"/etcdserverpb.KV/Put")]))
    client.data(stream, framed(b"\n\1k"), end=True)
    return client.take_output()


def _requests() -> list[bytes]:
    put = message("etcdserverpb.PutRequest")(key=b"k", value=b"v", lease=7)
    txn = message("etcdserverpb.TxnRequest")()
    txn.compare.add(key=b"k", target=2, mod_revision=3)
    txn.success.add(request_put=put)
    txn.failure.add(request_range=message("etcdserverpb.RangeRequest")(key=b"k"))
    watch = message("etcdserverpb.WatchRequest")()
    watch.create_request.key = b"k"
    grant = message("etcdserverpb.AuthRoleGrantPermissionRequest")(name="r")
    grant.perm.key, grant.perm.range_end = b"k", b"l"
    bodies: list[bytes] = [each.SerializeToString() for each in (put, txn, watch, grant)]
    return [*bodies, framed(bodies[0]), b"10S"]


def _unchecked(encoded: bytes) -> bytes:
    """The same payloads as `_records` reads them."""
    found = records(encoded)[0]
    return b"".join([bytes((kind,)) + len(payload).to_bytes(2, "big") + payload for kind, payload in found])
