"""The client of a real etcd: what it says and understands, how it fails, and servers that make no sense."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime import Ref, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.etcd.external import channel as external_channel
from actors.etcd.external import convert
from actors.etcd.external.actor import ExternalEtcd, compaction_turn
from actors.etcd.external.address import Endpoint, ExternalAddress, parse
from actors.etcd.external.channel import Channel, Failed, Lost
from actors.etcd.external.failures import failure
from actors.etcd.external.look import look
from actors.etcd.grpc import convert as served
from actors.etcd.grpc import fields, http2
from actors.etcd.grpc.framing import framed
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.status import trailers
from protocols.errors import AskError, BadRequest, Unknown
from protocols.etcd import (
    Compacted,
    Compare,
    Event,
    FutureRevision,
    KeyValue,
    LeaseRevoke,
    NoSpace,
    NotLeader,
    Op,
    OpResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
    WatchKeys,
    WatchResponse,
)
from tests.etcd.real_etcd import needs_etcd, real_etcd

keys = st.binary(min_size=1, max_size=4)
ends = st.sampled_from([b"", b"\0", b"z"])
small = st.integers(0, 2**40)
ranges = st.builds(
    Range,
    keys,
    ends,
    small,
    small,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["key", "version", "create", "mod", "value"]),
    st.booleans(),
    small,
    small,
    small,
    small,
)
operators = st.sampled_from(["=", "!=", ">", "<"])
numbers = st.builds(Compare, keys, st.sampled_from(["version", "create", "mod", "lease"]), operators, small, ends)
values = st.builds(Compare, keys, st.just("value"), operators, st.binary(max_size=4), ends)
plain_ops = st.one_of(
    st.builds(
        Op,
        st.just("put"),
        keys,
        st.binary(max_size=8),
        lease=small,
        prev_kv=st.booleans(),
        ignore_value=st.booleans(),
        ignore_lease=st.booleans(),
    ),
    st.builds(Op, st.just("delete"), keys, range_end=ends, prev_kv=st.booleans()),
    ranges.map(lambda asked: Op("range", asked.key, range=asked)),
)


def txns(ops: st.SearchStrategy[Op]) -> st.SearchStrategy[Txn]:
    several = st.lists(ops, max_size=3).map(tuple)
    return st.builds(Txn, st.lists(numbers | values, max_size=3).map(tuple), several, several)


nested = txns(plain_ops | txns(plain_ops).map(lambda txn: Op("txn", txn=txn)))
kvs = st.builds(KeyValue, keys, st.binary(max_size=8), small, small, small, small)


# -- messages ---------------------------------------------------------------------------------------------------------


@given(ranges)
def test_a_range_means_to_the_server_what_it_means_here(asked: Range) -> None:
    sent = convert.RANGE.FromString(convert.from_range(asked).SerializeToString())

    assert served.to_range(sent) == asked


@given(nested)
def test_a_transaction_means_to_the_server_what_it_means_here(asked: Txn) -> None:
    sent = convert.TXN.FromString(convert.from_txn(asked).SerializeToString())

    assert served.to_txn(sent) == asked


def test_a_short_range_in_a_transaction_is_a_range() -> None:
    sent = convert.from_txn(Txn((), (Op("range", b"a", range_end=b"b", limit=3),)))

    assert served.to_txn(sent).success[0].range == Range(b"a", b"b", 3)


@given(st.lists(kvs, max_size=4).map(tuple), small, st.booleans(), small)
def test_the_answer_to_a_range_is_understood(
    found: tuple[KeyValue, ...], count: int, more: bool, revision: int
) -> None:
    answer = RangeResponse(revision, found, count, more)
    response = message("etcdserverpb.RangeResponse")()

    served.fill_range(response, answer)
    response.header.revision = revision

    assert convert.to_range(response) == answer


@given(st.data())
def test_the_answer_to_a_transaction_is_understood(data: st.DataObject) -> None:
    txn = data.draw(nested)
    answer = drawn_answer(data, txn, data.draw(small))
    response = message("etcdserverpb.TxnResponse")()

    served.fill_txn(response, txn, answer)
    response.header.revision = answer.revision

    found = convert.to_txn(response.FromString(response.SerializeToString()))
    assert without_inner_revisions(found) == without_inner_revisions(answer)


def drawn_answer(data: st.DataObject, txn: Txn, revision: int) -> TxnResponse:
    succeeded = data.draw(st.booleans())
    parts: list[OpResponse] = []
    for op in txn.success if succeeded else txn.failure:
        if op.kind == "txn":
            assert op.txn is not None
            parts.append(OpResponse(txn=drawn_answer(data, op.txn, revision)))
        elif op.kind == "put":
            parts.append(OpResponse(data.draw(st.lists(kvs, max_size=1).map(tuple))))
        else:
            more = data.draw(st.booleans()) if op.kind == "range" else False
            parts.append(OpResponse(data.draw(st.lists(kvs, max_size=3).map(tuple)), data.draw(small), more))
    return TxnResponse(succeeded, revision, tuple(parts))


def without_inner_revisions(answer: TxnResponse) -> TxnResponse:
    """A nested transaction's revision is nowhere in etcd's answer."""
    parts = tuple(
        [part if part.txn is None else OpResponse(txn=without_inner_revisions(part.txn)) for part in answer.responses]
    )
    return TxnResponse(answer.succeeded, 0, parts)


@given(st.lists(st.tuples(kvs, st.none() | kvs, st.booleans()), min_size=1, max_size=4), st.booleans())
def test_events_tell_how_far_they_reach_whatever_the_header_says(
    drawn: list[tuple[KeyValue, KeyValue | None, bool]], fragment: bool
) -> None:
    events = tuple([Event("put" if is_put else "delete", kv, previous) for kv, previous, is_put in drawn])
    response = message("etcdserverpb.WatchResponse")(fragment=fragment, events=[served.event(each) for each in events])
    response.header.revision = 2**50  # etcd is further than what it hands over

    found = convert.to_watch(response)

    last = events[-1].kv.mod_revision
    assert found == WatchResponse(last - 1 if fragment else last, events, fragment)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Failed(11, "etcdserver: mvcc: required revision has been compacted"), Compacted),
        (Failed(11, "etcdserver: mvcc: required revision is a future revision"), FutureRevision),
        (Failed(8, "etcdserver: mvcc: database space exceeded"), NoSpace),
        (Failed(3, "etcdserver: something new"), BadRequest),
        (Failed(14, "etcdserver: leader changed"), Unknown),
        (Failed(14, "etcdserver: request timed out"), Unknown),
        (Failed(9, "etcdserver: not leader"), Unknown),
        (Failed(14, "etcdserver: no leader"), NotLeader),
        (Failed(16, "etcdserver: invalid auth token"), NotLeader),
        (Lost("gone", sent=True), Unknown),
        (Lost("gone", sent=False), NotLeader),
    ],
)
def test_a_failure_says_what_is_known(error: Failed | Lost, expected: type[Exception]) -> None:
    assert type(failure(error)) is expected


# -- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "endpoints", "tls"),
    [
        ("etcd://127.0.0.1:2379", (Endpoint("127.0.0.1", 2379),), False),
        ("etcd://a,b:1/", (Endpoint("a", 2379), Endpoint("b", 1)), False),
        ("etcds://[::1]:5", (Endpoint("::1", 5),), True),
    ],
)
def test_an_address_names_its_endpoints(text: str, endpoints: tuple[Endpoint, ...], tls: bool) -> None:
    assert parse(text) == ExternalAddress(endpoints, tls)


@pytest.mark.parametrize(
    ("text", "files", "said"),
    [
        ("http://a:1", (), "a store is etcd://"),
        ("etcd://", (), "is no HOST:PORT"),
        ("etcd://a:x", (), "is no HOST:PORT"),
        ("etcd://a:1/b,c", (), "is no HOST:PORT"),
        ("etcd://a:70000", (), "is no HOST:PORT"),
        ("etcd://a", ("ca",), "speaks TLS"),
        ("etcds://a", ("ca", "cert", ""), "go together"),
    ],
)
def test_an_address_that_is_none_is_refused_with_a_sentence(text: str, files: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text, *files)


# -- servers that make no sense ---------------------------------------------------------------------------------------


Reply = Callable[[bytes], bytes | None]


class Server(asyncio.Protocol):
    """Says what it is told to, to whatever is asked."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        said = self._reply(data)
        if said is None:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.write(said)


@contextlib.asynccontextmanager
async def store_at(*replies: Callable[[], Reply] | None) -> AsyncIterator[tuple[System, str]]:
    """An ExternalEtcd with an endpoint for each, which makes a reply for each connection (None: nobody listens)."""
    loop = asyncio.get_running_loop()
    servers, endpoints = [], []
    for reply in replies:
        listener = socket.create_server(("127.0.0.1", 0))
        endpoints.append("{}:{}".format(*listener.getsockname()))
        if reply is None:
            listener.close()
        else:
            servers.append(await loop.create_server(lambda reply=reply: Server(reply()), sock=listener))  # type: ignore[misc]
    system = System("s", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    address = parse(f"etcd://{','.join(endpoints)}")
    system.spawn(lambda: ExternalEtcd(address), "store")
    try:
        yield system, "s/store"
    finally:
        await system.stop()
        for server in servers:
            server.close()


class Talker:
    """An end that answers every call in the same way."""

    def __init__(self, answer: Callable[[http2.Connection, int], None]) -> None:
        self._http = http2.Connection(client=False)
        self._answer = answer

    def __call__(self, data: bytes) -> bytes:
        for event in self._http.receive(data, 0.0):
            if isinstance(event, http2.Data) and event.end:
                self._answer(self._http, event.stream)
        return self._http.take_output()


OK = fields.write(((b":status", b"200"), (b"content-type", b"application/grpc")))
RANGED = message("etcdserverpb.RangeResponse")(count=7).SerializeToString()


def ranged(http: http2.Connection, number: int) -> None:
    http.answer(number, OK, framed(RANGED), fields.write(trailers(0)))  # type: ignore[arg-type]


def with_trailers(*pairs: tuple[bytes, bytes]) -> Callable[[http2.Connection, int], None]:
    def answer(http: http2.Connection, number: int) -> None:
        http.end(number, fields.write((*((b":status", b"200"),), *pairs)))

    return answer


NONSENSE: dict[str, Callable[[], Reply]] = {
    "hangs up": lambda: lambda data: None,
    "is no HTTP/2": lambda: lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 2,
    "is silent after its greeting": lambda: Talker(lambda http, number: None),
    "resets": lambda: Talker(lambda http, number: http.reset(number, 2)),
    "leaves": lambda: Talker(lambda http, number: http.leave()),
    "answers without a message": lambda: Talker(with_trailers((b"grpc-status", b"0"))),
    "answers without a status": lambda: Talker(with_trailers()),
    "has a status that is none": lambda: Talker(with_trailers((b"grpc-status", b"x" * 9), (b"grpc-message", b"%zz%"))),
    "answers nonsense": lambda: Talker(
        lambda http, number: http.answer(number, OK, framed(b"\xff" * 9), fields.write(((b"grpc-status", b"0"),)))
    ),
    "answers twice": lambda: Talker(
        lambda http, number: http.answer(
            number, OK, framed(RANGED) + framed(RANGED), fields.write(((b"grpc-status", b"0"),))
        )
    ),
    "claims a huge answer": lambda: Talker(
        lambda http, number: http.answer(number, OK, b"\0\xff\xff\xff\xff", fields.write(((b"grpc-status", b"0"),)))
    ),
    "is HTTP that is not gRPC": lambda: Talker(
        lambda http, number: http.end(number, fields.write(((b":status", b"503"),)))
    ),
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_a_call_to_what_makes_no_sense_ends_with_what_is_known(what: str) -> None:
    async with store_at(NONSENSE[what]) as (system, store):
        with pytest.raises((AskError, NotLeader)):
            await system.ask(system.ref(store), Txn((), (Op("put", b"a", b"1"),)), timeout_s=0.3)

        assert system.failed is not None and not system.failed.done()


async def test_an_endpoint_that_does_not_serve_is_left_for_the_next() -> None:
    async with store_at(None, NONSENSE["hangs up"], lambda: Talker(ranged)) as (system, store):
        counts = []
        for _ in range(3):
            with contextlib.suppress(AskError, NotLeader):
                counts.append((await system.ask(system.ref(store), Range(b"a"), timeout_s=5)).count)

    assert counts and set(counts) == {7}


@pytest.mark.slow
async def test_an_endpoint_that_is_silent_is_left_for_the_next() -> None:
    async with store_at(NONSENSE["is silent after its greeting"], lambda: Talker(ranged)) as (system, store):
        with pytest.raises(AskError):
            await system.ask(system.ref(store), Range(b"a"), timeout_s=1.1)

        assert (await system.ask(system.ref(store), Range(b"a"), timeout_s=5)).count == 7


async def test_a_watch_of_who_answers_no_ping_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_channel, "SILENCE_S", 0.1)
    greeting = http2.Connection(client=False).take_output()
    async with store_at(lambda: lambda data: greeting if data.startswith(b"PRI") else b"") as (system, store):
        with pytest.raises(AskError):
            await asyncio.wait_for(anext(system.stream(system.ref(store), WatchKeys(b"\0", b"\0", 1))), 20)


@pytest.mark.slow
async def test_a_watch_where_nothing_happens_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_channel, "SILENCE_S", 0.4)
    pings = 0

    class Pinged(Talker):
        def __call__(self, data: bytes) -> bytes:
            nonlocal pings
            pings += data[3] == http2.PING
            return super().__call__(data)

    async with store_at(lambda: Pinged(lambda http, number: None)) as (system, store):
        stream = system.stream(system.ref(store), WatchKeys(b"\0", b"\0", 1))
        waiting = asyncio.ensure_future(anext(stream))
        while pings < 3:
            await asyncio.sleep(0.01)

        assert not waiting.done()
        waiting.cancel()
        stream.close()


async def test_where_nobody_listens_nothing_was_sent() -> None:
    async with store_at(None, None) as (system, store):
        with pytest.raises(NotLeader, match="no etcd answers: 127"):
            await system.ask(system.ref(store), Txn((), (Op("put", b"a", b"1"),)))
        with pytest.raises(NotLeader):
            await anext(system.stream(system.ref(store), WatchKeys(b"\0", b"\0", 1)))


async def test_what_a_store_is_never_asked_is_refused() -> None:
    async with store_at(None) as (system, store):
        with pytest.raises(BadRequest):
            await system.ask(system.ref(store), LeaseRevoke(1))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 400))
def test_any_bytes_of_a_server_leave_the_client_alive(seed: int, size: int) -> None:
    async def scenario() -> None:
        chance = random.Random(seed)
        greeting = http2.Connection(client=False).take_output()
        async with store_at(lambda: lambda data: greeting + chance.randbytes(size)) as (system, store):
            for request in (Range(b"a"), Txn((), (Op("put", b"a", b"1"),))):
                with contextlib.suppress(AskError, BadRequest, NotLeader):
                    await system.ask(system.ref(store), request, timeout_s=0.05)
            assert system.failed is not None and not system.failed.done()

    asyncio.run(scenario())


# -- a real one -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_etcd(tmp_path_factory.mktemp("etcd")) as found:
        yield found.url


@contextlib.asynccontextmanager
async def asking(url: str) -> AsyncIterator[tuple[System, str]]:
    system = System("s", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    system.spawn(lambda: ExternalEtcd(parse(url)), "store")
    try:
        yield system, "s/store"
    finally:
        await system.stop()


@needs_etcd
@pytest.mark.cluster
async def test_a_watch_from_the_past_hands_over_all_and_says_how_far(etcd: str) -> None:
    async with asking(etcd) as (system, store):
        ref = system.ref(store)
        first = await system.ask(ref, Txn((), (Op("put", b"w/0", b"0"),)))
        for number in range(1, 30):
            await system.ask(ref, Txn((), (Op("put", b"w/%d" % number, b"x"), Op("put", b"w/n", b"%d" % number))))

        seen: list[Event] = []
        async with system.stream(ref, WatchKeys(b"w/", b"w0", first.revision)) as stream:
            began = await anext(stream)
            while len(seen) < 59:
                response = await anext(stream)
                assert response.revision >= max(event.kv.mod_revision for event in response.events)
                seen += response.events

    assert began == WatchResponse(first.revision - 1)
    assert [event.kv.mod_revision for event in seen] == sorted(event.kv.mod_revision for event in seen)
    assert {event.kv.key for event in seen} == {b"w/n", *(b"w/%d" % number for number in range(30))}


@needs_etcd
@pytest.mark.cluster
async def test_one_of_several_servers_compacts_and_a_watch_of_what_is_gone_says_so(etcd: str) -> None:
    async with asking(etcd) as (system, store):
        ref = system.ref(store)
        for number in range(5):
            newest = await system.ask(ref, Txn((), (Op("put", b"c", b"%d" % number),)))
        turns = [await system.ask(ref, compaction_turn(0, newest.revision)) for _ in range(2)]

        actor = system.actor("store")
        assert isinstance(actor, ExternalEtcd)
        for _ in range(3):  # learns whose turn it is, waits for its own, compacts
            await actor._compact_history()

        assert [turn.succeeded for turn in turns] == [True, False]
        with pytest.raises(Compacted):
            await system.ask(ref, Range(b"c", revision=2))
        with pytest.raises(Compacted) as gone:
            async for _ in system.stream(ref, WatchKeys(b"c", start_revision=1)):
                pass
        assert gone.value.details["compact_revision"] >= newest.revision


@needs_etcd
@pytest.mark.cluster
async def test_a_look_tells_version_and_first_value(etcd: str) -> None:
    async with asking(etcd) as (system, store):
        await system.ask(system.ref(store), Txn((), (Op("put", b"look/a", b"k8s\0"),)))

        found = await look(parse(etcd), b"look/", b"look0")

    assert found.version.startswith("3.")
    assert found.value == b"k8s\0"


@needs_etcd
@pytest.mark.cluster
async def test_a_member_that_hangs_is_left_by_calls_and_watches(tmp_path: Path) -> None:
    with real_etcd(tmp_path, members=3) as etcd:
        async with asking(etcd.url) as (system, store):
            ref = system.ref(store)
            await until_answered(system, ref)
            stream = system.stream(ref, WatchKeys(b"h/", b"h0"))
            await anext(stream)

            etcd.hang("m0")
            with pytest.raises(AskError):
                await asyncio.wait_for(anext(stream), 30)
            await until_answered(system, ref)

            async with system.stream(ref, WatchKeys(b"h/", b"h0", 1)) as again:
                await asyncio.wait_for(anext(again), 30)


async def until_answered(system: System, ref: Ref) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(AskError, NotLeader):
                await system.ask(ref, Txn((), (Op("put", b"h/1", b"x"),)), timeout_s=3)
                return


@needs_etcd
@pytest.mark.cluster
async def test_a_slow_watch_holds_up_nobody(etcd: str) -> None:
    async with asking(etcd) as (system, store):
        ref = system.ref(store)
        async with system.stream(ref, WatchKeys(b"s/", b"s0"), window=1) as stream:
            await anext(stream)
            for number in range(40):  # 20 MB that nobody takes
                await asyncio.wait_for(system.ask(ref, Txn((), (Op("put", b"s/%d" % number, b"x" * 500_000),))), 10)

            seen = 0
            while seen < 40:
                seen += len((await anext(stream)).events)
    assert seen == 40


async def test_a_channel_that_was_closed_sends_nothing(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(Talker(ranged)), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    channel = await Channel.open(Endpoint(host, port), None, 5.0)

    channel.close()

    with pytest.raises(Lost) as lost:
        await channel.call("/a/B", b"")
    assert not lost.value.sent
    server.close()
