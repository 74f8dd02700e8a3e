"""Links over TCP and unix sockets: what a stranger, a wrong key, a large body and a restarted peer do to them."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from actorkube.runtime import Actor, Ref, System
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from protocols.errors import NotSent, Terminated, Unknown
from protocols.frame import FRAME_MAX
from protocols.message import Lane, Message, Request


class Bytes(Message):
    data: bytes


class Mirror(Request[Bytes]):
    data: bytes


class Server(Actor):
    def receive(self, message: Message) -> object:
        assert isinstance(message, Mirror)
        return Bytes(message.data)


class Remembers(Quiet):
    """A log that a test can read."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def bind(self, **values: Any) -> Remembers:
        return self

    def warning(self, event: str, **values: Any) -> None:
        self.lines.append({"event": event, **values})


async def serve(listener: socket.socket, key: bytes = b"k", log: Quiet | None = None) -> tuple[System, Ref]:
    system = System("server", TcpTransport(key=key, listen=(listener,)), seed=1, log=log or Quiet())
    await system.start()
    return system, system.spawn(Server, "server")


async def client(listener: socket.socket, key: bytes = b"k") -> System:
    system = System("client", TcpTransport(key=key, book={"server": listener.getsockname()}), seed=1, log=Quiet())
    await system.start()
    return system


@pytest.fixture(params=["tcp", "unix"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> socket.socket:
    if request.param == "tcp":
        return socket.create_server(("127.0.0.1", 0))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "server.sock"))
    listener.listen()
    return listener


async def call(listener: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stranger's connection."""
    if listener.family == socket.AF_UNIX:
        return await asyncio.open_unix_connection(listener.getsockname())
    return await asyncio.open_connection(*listener.getsockname())


async def test_bodies_of_many_sizes_come_back_unchanged(listener: socket.socket) -> None:
    server, mirror = await serve(listener)
    here = await client(listener)
    sizes = [0, 1, 8191, 8192, 65535, 65536, 70000, 3_000_000, 5]

    got = await asyncio.gather(*(here.ask(mirror, Mirror(os.urandom(size))) for size in sizes))

    assert [len(reply.data) for reply in got] == sizes
    await here.stop()
    await server.stop()


async def test_what_is_refused_again_and_again_is_counted_each_time_and_logged_once_in_a_while(
    listener: socket.socket,
) -> None:
    log = Remembers()
    server, _ = await serve(listener, log=log)

    for _ in range(20):
        reader, writer = await call(listener)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"x" * 100)
        try:
            await asyncio.wait_for(reader.read(), 20)
        except ConnectionResetError:
            pass
        writer.close()

    transport = server.transport
    assert isinstance(transport, TcpTransport)
    assert sum(transport.refused.values()) == 20
    assert len(log.lines) < 10
    await server.stop()


async def test_a_small_ask_and_its_answer_pass_large_ones(listener: socket.socket) -> None:
    server, mirror = await serve(listener)
    other = server.spawn(Server, "other")
    here = await client(listener)
    await here.ask(mirror, Mirror(b""))
    answered: list[int] = []

    async def ask(ref: Ref, size: int) -> None:
        answered.append(len((await here.ask(ref, Mirror(b"x" * size), 60)).data))

    await asyncio.gather(ask(mirror, 6_000_000), ask(other, 10))

    assert answered == [10, 6_000_000]
    await here.stop()
    await server.stop()


async def test_what_is_told_arrives_in_order_however_large_it_is(listener: socket.socket) -> None:
    server, _ = await serve(listener)
    told: list[int] = []

    class Hears(Actor):
        def receive(self, message: Message) -> object:
            assert isinstance(message, Bytes)
            told.append(len(message.data))
            return None

    server.spawn(Hears, "hears")
    here = await client(listener)
    sizes = [5, 400_000, 6, 7, 8, 9, 10, 300_000, 11, 2_000_000, 12]

    for size in sizes:
        here.tell(here.ref("server/hears"), Bytes(b"x" * size))

    async with asyncio.timeout(20):
        while len(told) < len(sizes):
            await asyncio.sleep(0.001)
    assert told == sizes
    await here.stop()
    await server.stop()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"x" * 100,
        struct.pack("<IBBHIIII", FRAME_MAX + 1, 1, 0, 0, 0, 0, 0, 0),
        struct.pack("<IBBHIIII", 4, 1, 0, 0, 0, 0, 0, 0) + b"\xc1\xc1\xc1\xc1",
        struct.pack("<IBBHIIII", 0, 5, 0, 0, 0, 0, 0, 0),
        struct.pack("<IBBHIIII", 0, 2, 0, 0, 0, 0, 0, 0),
    ],
)
async def test_garbage_closes_its_own_connection_with_a_reason_and_harms_nobody(
    listener: socket.socket, garbage: bytes
) -> None:
    log = Remembers()
    server, mirror = await serve(listener, log=log)
    here = await client(listener)
    await here.ask(mirror, Mirror(b"before"))

    reader, writer = await call(listener)
    writer.write(garbage)
    try:
        await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        pass
    writer.close()

    assert [line["event"] for line in log.lines] == ["connection closed"]
    assert log.lines[0]["reason"]
    assert (await here.ask(mirror, Mirror(b"after"))).data == b"after"
    await here.stop()
    await server.stop()


async def test_a_peer_that_sends_frames_of_no_known_kind_is_cut_off_with_a_reason(listener: socket.socket) -> None:
    log = Remembers()
    server, mirror = await serve(listener, log=log)
    here = await client(listener)
    await here.ask(mirror, Mirror(b"before"))

    link = here.transport.link("server", Lane.BULK)
    assert link is not None and link.send(99, 0, 0, 0, 0, 0, b"")
    with pytest.raises(Unknown):
        await here.ask(mirror, Mirror(b"behind it"))

    assert [line["event"] for line in log.lines] == ["connection closed"]
    assert "unknown kind 99" in log.lines[0]["reason"]
    assert (await here.ask(mirror, Mirror(b"after"))).data == b"after"
    await here.stop()
    await server.stop()


async def test_a_peer_with_another_key_is_refused_and_the_asker_knows_that_nothing_was_sent(
    listener: socket.socket,
) -> None:
    log = Remembers()
    server, mirror = await serve(listener, log=log)
    here = await client(listener, key=b"other")

    with pytest.raises(NotSent, match=r"the link to server ended: .*does not know the cluster's key"):
        await here.ask(mirror, Mirror(b"x"))

    assert "key" in log.lines[0]["reason"]
    await here.stop()
    await server.stop()


async def test_an_address_where_nobody_listens_means_not_sent(listener: socket.socket) -> None:
    here = await client(listener)
    listener.close()

    with pytest.raises(NotSent, match="the link to server ended: cannot connect to "):
        await here.ask(here.ref("server/server"), Mirror(b"x"))
    with pytest.raises(NotSent, match="system server cannot be reached: cannot connect to "):  # it is tried again later
        await here.ask(here.ref("server/server"), Mirror(b"x"))
    with pytest.raises(NotSent, match="system nobody is not known: it is not in the book, and has not connected"):
        async with here.stream(here.ref("nobody/x"), Mirror(b"x")) as answers:  # type: ignore[arg-type]
            await anext(answers)

    await here.stop()


async def test_whoever_asks_an_actor_that_is_not_there_is_told_which(listener: socket.socket) -> None:
    server, _ = await serve(listener)
    here = await client(listener)

    with pytest.raises(Terminated, match="Mirror to server/servr: there is no such actor"):
        await here.ask(here.ref("server/servr"), Mirror(b"x"))

    await here.stop()
    await server.stop()


async def test_a_peer_that_comes_back_on_the_same_socket_is_found_again(listener: socket.socket) -> None:
    again = listener.dup()
    server, mirror = await serve(listener)
    here = await client(listener)
    await here.ask(mirror, Mirror(b"one"))
    await server.stop()

    server, mirror = await serve(again)
    answers = []
    async with asyncio.timeout(10):
        while not answers:
            try:
                answers.append(await here.ask(mirror, Mirror(b"two"), timeout_s=2))
            except (NotSent, Unknown):
                await asyncio.sleep(0)

    assert [a.data for a in answers] == [b"two"]
    await here.stop()
    await server.stop()


class Sent(Message):
    before: int
    after: int


class Say(Request[Sent]):
    pass


class Speaker(Actor):
    """Says something, and what of it has left while it goes on working."""

    def __init__(self, listener: Ref) -> None:
        self._listener = listener

    def receive(self, message: Message) -> Sent:
        links = self.ctx._cell.system.transport.census().links
        self.ctx.tell(self._listener, Mirror(bytes(1000)))
        before = sum(link.traffic().bytes_sent for link in links)
        self.ctx.flush()
        return Sent(before, sum(link.traffic().bytes_sent for link in links))


async def test_what_was_said_leaves_at_a_flush_while_the_handler_goes_on(listener: socket.socket) -> None:
    server, mirror = await serve(listener)
    here = await client(listener)
    await here.ask(mirror, Mirror(b"so that the link is open"))

    sent = await here.ask(here.spawn(lambda: Speaker(mirror), "speaker"), Say())

    assert sent.after - sent.before > 1000
    await here.stop()
    await server.stop()
