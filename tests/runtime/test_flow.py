"""What bounds a link: how much it holds, how long it waits, how many may knock at once, and what it says when not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import msgspec
import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.connection import Connection
from actorkube.runtime.log import Quiet
from actorkube.runtime.settings import Settings
from actorkube.runtime.tcp import TcpTransport
from actorkube.runtime.tcp_link import TcpLink
from protocols.errors import NotSent, Unknown
from protocols.frame import HEADER, HEADER_SIZE, WIRE_VERSION, Hello, Kind
from protocols.message import Lane, Message, Request, table_digest
from tests.runtime.links import LinkCount, LinkNumbered, LinkNumbers, Pair, Remembers, refused, until

SMALL = Settings(high_water=64 * 1024, low_water=32 * 1024, outbox_max=512 * 1024)
QUICK = Settings(ping_s=0.02, silence_s=0.1, handshake_s=0.05, greetings_max=2)
MANY = 100_000


class FlowChunk(Message):
    number: int
    data: bytes


class FlowFetch(Request[FlowChunk]):
    size: int


class Store(Actor):
    def __init__(self) -> None:
        self.numbers: list[int] = []

    def receive(self, message: Message) -> object:
        if isinstance(message, FlowFetch):
            return FlowChunk(0, b"x" * message.size)
        assert isinstance(message, FlowChunk)
        self.numbers.append(message.number)
        return None


# -- how much ---------------------------------------------------------------------------------------------------------


async def test_a_peer_that_does_not_read_gets_no_new_work_until_it_reads_again() -> None:
    async with Pair() as pair:
        there, _ = await pair.serve(None)
        store = Store()
        there.spawn(lambda: store, "store")
        here, server = await pair.client(None, settings=SMALL)
        far = here.ref("server/store")
        await here.ask(server, LinkNumbered(0))
        only(there).pause_reading()

        sent = 0
        while not here.unsent and sent < MANY:
            here.tell(far, FlowChunk(sent, b"x" * 8000))
            sent += 1
            if sent % 8 == 0:
                await asyncio.sleep(0)
        link = link_of(here)
        waiting = asyncio.ensure_future(link.room())
        with pytest.raises(NotSent):
            await here.ask(server, LinkNumbered(1))
        stuck = not link.writable() and not waiting.done()
        only(there).resume_reading()
        await asyncio.wait_for(waiting, 20)
        await here.ask(server, LinkNumbered(2), timeout_s=20)

        assert stuck and here.unsent == 1
        assert store.numbers == list(range(sent - 1))


async def test_a_peer_that_does_not_read_what_it_is_owed_is_given_up() -> None:
    async with Pair() as pair:
        there, _ = await pair.serve(None, settings=SMALL)
        there.spawn(Store, "store")
        here, server = await pair.client(None)
        await here.ask(server, LinkNumbered(0))
        only(here).pause_reading()

        asks = [here.ask(here.ref("server/store"), FlowFetch(256 * 1024), timeout_s=60) for _ in range(200)]
        await until(lambda: refused(there) == {"unread": 1})
        only(here).resume_reading()
        outcomes = await asyncio.gather(*asks, return_exceptions=True)

        assert any(isinstance(outcome, Unknown) for outcome in outcomes)


async def test_who_waits_for_room_goes_on_when_the_link_ends() -> None:
    async with Pair() as pair:
        there, _ = await pair.serve(None)
        here, server = await pair.client(None, settings=SMALL)
        await here.ask(server, LinkNumbered(0))
        only(there).pause_reading()
        link = link_of(here)
        for number in range(MANY):
            here.tell(here.ref("server/store"), FlowChunk(number, b"x" * 8000))
            if number % 8 == 0:
                await asyncio.sleep(0)
            if here.unsent:
                break

        waiting = asyncio.ensure_future(link.room())
        await asyncio.sleep(0)
        pair.systems.remove(there)
        await there.abort()
        await asyncio.wait_for(waiting, 20)

        assert link.ended


async def test_an_item_without_credit_ends_the_connection_with_a_reason() -> None:
    async with Pair() as pair:
        there, _ = await pair.serve(None)
        here, server = await pair.client(None)
        async with here.stream(server, LinkNumbers(), window=4) as numbers:
            first = await anext(numbers)
            link = link_of(there, "client")
            (corr,) = link.outlets

            for _ in range(8):
                link.send(Kind.ITEM, LinkCount.type_id, 0, 0, corr, 0, msgspec.msgpack.encode(LinkCount(9)))
            await until(lambda: refused(here) == {"nonsense": 1})

            assert first == LinkCount(0)


# -- how long, how many -----------------------------------------------------------------------------------------------


async def test_a_stranger_that_says_nothing_is_cut_off() -> None:
    async with Pair() as pair:
        there, _ = await pair.serve(None, settings=QUICK)

        reader, writer = await asyncio.open_connection(*pair.address)
        frames = await read_frames(reader)
        writer.close()

        assert [kind for kind, _ in frames] == [Kind.HELLO, Kind.REFUSED]
        assert refused(there) == {"late": 1}


async def test_only_so_many_may_greet_at_once() -> None:
    async with Pair() as pair:
        settings = Settings(greetings_max=2, handshake_s=60)
        there, _ = await pair.serve(None, settings=settings)

        writers = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(*pair.address)
            await reader.readexactly(HEADER_SIZE)  # it has been greeted
            writers.append(writer)
        reader, writer = await asyncio.open_connection(*pair.address)
        frames = await read_frames(reader)
        for each in [*writers, writer]:
            each.close()

        assert [(kind, body) for kind, body in frames] == [(Kind.REFUSED, b"2 connections are greeting already")]
        assert refused(there) == {"crowd": 1}


@pytest.mark.slow
async def test_a_peer_that_falls_silent_is_given_up_and_one_that_has_nothing_to_say_is_not() -> None:
    async with Pair() as pair:
        there, _ = await pair.serve(None)
        here, server = await pair.client(None, settings=Settings(ping_s=0.02, silence_s=0.5))
        await here.ask(server, LinkNumbered(0))
        link, loop = link_of(here), asyncio.get_running_loop()

        begin = loop.time()
        await until(lambda: loop.time() > begin + 1.0)
        kept = not link.ended
        only(there).pause_reading()
        asked = here.ask(server, LinkNumbered(1), timeout_s=60)
        with pytest.raises(Unknown):
            await asked

        assert kept and refused(here) == {"silence": 1}


async def test_waits_between_dials_are_drawn_from_the_seed(tmp_path: Path) -> None:
    async def waits(seed: int) -> list[float]:
        book = {"server": str(tmp_path / "nobody.sock")}
        transport = TcpTransport(key=b"k", book=book, settings=Settings(backoff_first_s=1e-6, backoff_most_s=1e-3))
        system = System("client", transport, seed=seed, log=Quiet())
        await system.start()
        drawn = []
        for _ in range(5):
            await until(lambda: transport.link("server", Lane.BULK) is not None)
            with contextlib.suppress(NotSent):
                await system.ask(system.ref("server/server"), LinkNumbered(0))
            drawn.append(transport.waits["server"])
        await system.stop()
        return drawn

    first, again, other = await waits(1), await waits(1), await waits(2)

    assert first == again != other
    assert all(0 < wait <= 1e-3 for wait in first)


# -- what it says -----------------------------------------------------------------------------------------------------


def hello(version: int = WIRE_VERSION, table: bytes | None = None, name: str = "old") -> bytes:
    body = msgspec.msgpack.encode(Hello(version, name, 1, 1, table or table_digest(), b"n" * 16))
    return HEADER.pack(len(body), Kind.HELLO, 0, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("first", "label", "sentence"),
    [
        (hello(version=99), "version", f"old speaks wire version 99, not {WIRE_VERSION}"),
        (hello(table=b"12345678"), "messages", "old knows other messages than server (table 3132333435363738"),
        (hello(name="neighbour"), "place", "neighbour lives on this host, and calls over the network"),
        (hello() * 2, "garbage", "old says hello twice"),
        (HEADER.pack(0, Kind.PROOF, 0, 0, 0, 0), "garbage", "a proof before the hello"),
        (hello() + HEADER.pack(0, Kind.PROOF, 0, 0, 0, 0), "key", "old does not know the cluster's key"),
    ],
)
async def test_who_is_refused_is_told_what_differs(first: bytes, label: str, sentence: str) -> None:
    async with Pair() as pair:
        log = Remembers()
        there, _ = await pair.serve(None, log=log, book={"neighbour": "/run/neighbour.sock"})

        reader, writer = await asyncio.open_connection(*pair.address)
        writer.write(first)
        kind, body = (await read_frames(reader))[-1]
        writer.close()

        assert kind == Kind.REFUSED and sentence in body.decode()
        assert refused(there) == {label: 1}
        assert sentence in log.lines[0]["reason"]


async def test_a_process_of_another_user_is_refused_on_a_unix_socket(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    transport = TcpTransport(key=b"k", listen=(listener,))
    transport.user += 1
    there = System("server", transport, seed=1, log=Quiet())
    await there.start()
    here = System("client", TcpTransport(key=b"k", book={"server": listener.getsockname()}), seed=1, log=Quiet())
    await here.start()

    with pytest.raises(NotSent):
        await here.ask(here.ref("server/server"), LinkNumbered(0))
    await until(lambda: refused(here) == {"by_peer": 1})

    assert refused(there) == {"user": 1}
    await here.stop()
    await there.stop()


async def read_frames(reader: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    """All that comes until the other side hangs up."""
    data, frames = b"", []
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(20):
            while chunk := await reader.read(65536):
                data += chunk
    while data:
        length, kind, *_ = HEADER.unpack_from(data)
        frames.append((kind, data[HEADER_SIZE : HEADER_SIZE + length]))
        data = data[HEADER_SIZE + length :]
    return frames


def only(system: System) -> asyncio.Transport:
    """The socket of the system's one connection."""
    assert isinstance(system.transport, TcpTransport)
    connection: Connection
    (connection,) = system.transport._connections
    assert connection.socket is not None
    return connection.socket


def link_of(system: System, peer: str = "server") -> TcpLink:
    link = system.transport.link(peer, Lane.BULK)
    assert isinstance(link, TcpLink)
    return link
