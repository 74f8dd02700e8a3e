"""The userspace backend on real loopback sockets: bytes, ends, refusals, limits."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from actors.proxy.rules import Endpoint, Forward, Frontend
from actors.proxy.streams import Limits
from actors.proxy.table import Changes
from actors.proxy.userspace import UserspaceBackend

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture is deprecated")

IP = "127.66.199.1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """The cluster runs on uvloop, simulations and most tests on asyncio's own loop."""
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


@pytest.fixture
async def backend() -> AsyncIterator[UserspaceBackend]:
    backend = UserspaceBackend(Limits(connections_max=4, connect_timeout_s=1.0))
    yield backend
    await backend.close()
    await asyncio.sleep(0)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Serve], Awaitable[Endpoint]]]:
    """Start a TCP server; its endpoint."""
    servers = []

    async def start(handler: Serve) -> Endpoint:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        servers.append(server)
        return Endpoint(*server.sockets[0].getsockname())

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((IP, 0))
        return int(probe.getsockname()[1])


def opened(*endpoints: Endpoint, protocol: str = "TCP", ip: str = IP) -> tuple[Frontend, Changes]:
    kind = socket.SOCK_DGRAM if protocol == "UDP" else socket.SOCK_STREAM
    frontend = Frontend(ip, free_port(kind), protocol)
    return frontend, Changes(open=((frontend, Forward("default/web", "", endpoints)),))


def changed(frontend: Frontend, *endpoints: Endpoint) -> Changes:
    return Changes(change=((frontend, Forward("default/web", "", endpoints)),))


def named(name: bytes) -> Serve:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name)
        writer.close()
        await writer.wait_closed()

    return handler


async def echo_until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only after the client has ended its side."""
    data = await reader.read()
    writer.write(data[::-1])
    writer.close()
    await writer.wait_closed()


async def ask(frontend: Frontend, data: bytes = b"", *, end: bool = False) -> bytes:
    reader, writer = await asyncio.open_connection(frontend.ip, frontend.port)
    try:
        writer.write(data)
        if end:
            writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def test_takes_connections_to_the_endpoints_in_turn(backend: UserspaceBackend, serve: Callable[..., Any]) -> None:
    frontend, changes = opened(*sorted([await serve(named(b"a")), await serve(named(b"b"))]))

    assert await backend.apply(changes) == []

    answers = [await ask(frontend) for _ in range(6)]
    assert sorted(answers) == [b"a"] * 3 + [b"b"] * 3
    assert answers[0::2] == [answers[0]] * 3


async def test_passes_on_the_end_of_one_direction(backend: UserspaceBackend, serve: Callable[..., Any]) -> None:
    frontend, changes = opened(await serve(echo_until_the_end))
    await backend.apply(changes)

    assert await ask(frontend, b"stressed", end=True) == b"desserts"


async def test_carries_more_than_the_buffers_hold(backend: UserspaceBackend, serve: Callable[..., Any]) -> None:
    frontend, changes = opened(await serve(echo_until_the_end))
    await backend.apply(changes)
    data = bytes(range(256)) * 16 * 1024  # 4 MiB

    assert await ask(frontend, data, end=True) == data[::-1]


async def test_a_reader_that_does_not_read_stops_the_writer(
    backend: UserspaceBackend, serve: Callable[..., Any]
) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.transport.set_write_buffer_limits(high=0)
        try:
            while sent < 1 << 30:
                writer.write(b"x" * 65536)
                sent += 65536
                await writer.drain()
        except ConnectionError:
            writer.close()

    frontend, changes = opened(await serve(flood))
    await backend.apply(changes)
    _, writer = await asyncio.open_connection(frontend.ip, frontend.port, limit=1024)
    before = -1
    while before != sent:
        before = sent
        for _ in range(200):
            await asyncio.sleep(0)

    assert 0 < sent < 1 << 26  # what two buffers and the kernel hold, far from everything
    writer.transport.abort()


async def test_tries_the_next_endpoint_when_one_does_not_accept(
    backend: UserspaceBackend, serve: Callable[..., Any]
) -> None:
    frontend, changes = opened(Endpoint(IP, free_port()), await serve(named(b"alive")))
    await backend.apply(changes)

    assert [await ask(frontend) for _ in range(3)] == [b"alive"] * 3


async def test_ends_the_connection_when_nobody_accepts(backend: UserspaceBackend) -> None:
    frontend, changes = opened(Endpoint(IP, free_port()))
    await backend.apply(changes)

    with pytest.raises(ConnectionResetError):
        await ask(frontend)


async def test_a_closed_frontend_refuses_while_its_connections_live_on(
    backend: UserspaceBackend, serve: Callable[..., Any]
) -> None:
    frontend, changes = opened(await serve(echo_until_the_end))
    await backend.apply(changes)
    reader, writer = await asyncio.open_connection(frontend.ip, frontend.port)
    writer.write(b"ab")
    while not backend.limits.connections:
        await asyncio.sleep(0)

    await backend.apply(Changes(close=(frontend,)))
    with pytest.raises(ConnectionRefusedError):
        await ask(frontend)
    writer.write_eof()

    assert await reader.read() == b"ba"
    writer.close()


async def test_a_changed_frontend_leads_elsewhere(backend: UserspaceBackend, serve: Callable[..., Any]) -> None:
    frontend, changes = opened(await serve(named(b"old")))
    await backend.apply(changes)

    await backend.apply(changed(frontend, await serve(named(b"new"))))

    assert await ask(frontend) == b"new"


async def test_connections_beyond_the_limit_are_ended_at_once(
    backend: UserspaceBackend, serve: Callable[..., Any]
) -> None:
    frontend, changes = opened(await serve(echo_until_the_end))
    await backend.apply(changes)
    held = [await asyncio.open_connection(frontend.ip, frontend.port) for _ in range(4)]
    while len(backend.limits.connections) < 4:
        await asyncio.sleep(0)

    with pytest.raises(ConnectionResetError):
        await ask(frontend)

    assert backend.limits.refused == 1
    for _, writer in held:
        writer.close()
    while backend.limits.connections:
        await asyncio.sleep(0)
    assert await ask(frontend, b"ab", end=True) == b"ba"


async def test_a_reset_is_passed_on_as_a_reset(backend: UserspaceBackend, serve: Callable[..., Any]) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    frontend, changes = opened(await serve(reset))
    await backend.apply(changes)

    with pytest.raises(ConnectionResetError):
        await ask(frontend, b"x")


@pytest.mark.slow
async def test_two_proxies_share_an_address(serve: Callable[..., Any]) -> None:
    first, second = UserspaceBackend(), UserspaceBackend()
    frontend, changes = opened(await serve(named(b"hello")))

    assert await first.apply(changes) == await second.apply(changes) == []

    assert [await ask(frontend) for _ in range(4)] == [b"hello"] * 4
    await first.close()
    assert await ask(frontend) == b"hello"
    await second.close()


async def test_reports_an_address_in_use_and_takes_it_when_it_is_free(
    backend: UserspaceBackend, serve: Callable[..., Any]
) -> None:
    frontend, changes = opened(await serve(named(b"hello")))
    with socket.socket() as other:
        other.bind((frontend.ip, frontend.port))
        other.listen()
        (trouble,) = await backend.apply(changes)
        assert trouble.frontend == frontend
        assert "ss -lntup" in trouble.hint
        assert await backend.retry() == []

    assert await backend.retry() == [frontend]
    assert await ask(frontend) == b"hello"


async def test_what_could_not_be_opened_can_be_changed_and_closed(
    backend: UserspaceBackend, serve: Callable[..., Any]
) -> None:
    frontend, changes = opened(await serve(named(b"old")))
    with socket.socket() as other:
        other.bind((frontend.ip, frontend.port))
        other.listen()
        await backend.apply(changes)
        await backend.apply(changed(frontend, await serve(named(b"new"))))
    await backend.retry()
    assert await ask(frontend) == b"new"

    await backend.apply(Changes(close=(frontend,)))
    with pytest.raises(ConnectionRefusedError):
        await ask(frontend)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "ip_unprivileged_port_start"), (errno.EADDRNOTAVAIL, "does not belong to this machine")],
)
async def test_says_what_to_do_when_the_system_does_not_let_it(
    backend: UserspaceBackend, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    async def refuse(*args: object, **options: object) -> None:
        raise OSError(number, "no")

    _, changes = opened(Endpoint(IP, 1))
    monkeypatch.setattr(asyncio.get_running_loop(), "create_server", refuse)

    (trouble,) = await backend.apply(changes)

    assert words in trouble.hint


async def test_does_not_pretend_to_forward_what_it_cannot(backend: UserspaceBackend) -> None:
    _, changes = opened(Endpoint(IP, 1), protocol="SCTP")

    (trouble,) = await backend.apply(changes)

    assert trouble.reason == "not supported"


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram with its name in front, or only collects."""

    def __init__(self, name: bytes = b"") -> None:
        self.name = name
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.received.put_nowait(data)
        if self.name:
            self.transport.sendto(self.name + data, address)  # type: ignore[attr-defined]


async def test_forwards_datagrams_and_their_answers(backend: UserspaceBackend) -> None:
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(lambda: Datagrams(b"re:"), local_addr=("127.0.0.1", 0))
    frontend, changes = opened(Endpoint(*server.get_extra_info("sockname")), protocol="UDP")
    assert await backend.apply(changes) == []
    clients = [await loop.create_datagram_endpoint(Datagrams, remote_addr=(frontend.ip, frontend.port)) for _ in "ab"]

    for transport, _ in clients:
        for data in (b"one", b"two"):
            transport.sendto(data)

    for transport, client in clients:
        async with asyncio.timeout(5):
            assert [await client.received.get() for _ in "12"] == [b"re:one", b"re:two"]
        transport.close()
    server.close()
