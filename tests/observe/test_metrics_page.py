"""Prometheus reads systems that have no API server: over HTTP, all that are linked, whatever else calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from actorkube.runtime import Actor, System, page_server
from actorkube.runtime.log import Quiet
from actorkube.runtime.metrics_page import MetricsPage
from actorkube.runtime.page_server import CONNECTIONS_MAX, HEAD_BYTES_MAX
from actorkube.runtime.tcp import TcpTransport
from protocols.message import Done, Message, Request


class GreetMeasured(Request[Done]):
    pass


class Measured(Actor):
    def receive(self, message: Message) -> object:
        return Done() if isinstance(message, GreetMeasured) else super().receive(message)


@contextlib.asynccontextmanager
async def page() -> AsyncIterator[tuple[System, int]]:
    """Two linked systems with an actor each, and the port of the first one's page."""
    listener = socket.create_server(("127.0.0.1", 0))
    near = System("near", TcpTransport(key=b"k", book={"far": listener.getsockname()}), metrics=True, log=Quiet())
    far = System("far", TcpTransport(key=b"k", listen=(listener,)), metrics=True, log=Quiet())
    for system in (far, near):
        await system.start()
        system.spawn(Measured, "measured")
    await near.ask(near.ref("far/measured"), GreetMeasured())
    page = MetricsPage("127.0.0.1", 0)
    near.spawn(lambda: page, "metrics-page")
    async with asyncio.timeout(10):
        while not page.port:
            await asyncio.sleep(0)
        yield near, page.port
    for system in (near, far):
        await system.stop()


async def call(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer; both empty where there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
        head, _, body = answer.partition(b"\r\n\r\n")
        writer.close()
        return head, body
    writer.close()
    return b"", b""


async def test_prometheus_reads_the_actors_of_all_systems_that_are_linked() -> None:
    async with page() as (_, port):
        head, body = await call(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=")
    assert f"Content-Length: {len(body)}".encode() in head
    lines = body.decode().splitlines()
    handled = [
        line for line in lines if line.startswith("actorkube_messages_handled_total") and "GreetMeasured" in line
    ]
    assert len(handled) == 1
    assert 'system="far"' in handled[0]
    assert {'actorkube_system_answers{system="near"} 1.0', 'actorkube_system_answers{system="far"} 1.0'} <= {*lines}


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"\xff\x00 /\xfe\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"GET /" + b"x" * 5 * HEAD_BYTES_MAX, b""),
    ],
)
async def test_what_is_no_question_for_it_harms_nobody(request_bytes: bytes, status: bytes) -> None:
    async with page() as (_, port):
        head, _ = await call(port, request_bytes)
        after, _ = await call(port, b"GET /metrics HTTP/1.0\r\n\r\n")

    assert head.partition(b"\r\n")[0] == status
    assert after.startswith(b"HTTP/1.1 200")


async def test_only_so_many_wait_at_once_and_all_are_let_go_of_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_server, "HEAD_WITHIN_S", 600.0)
    async with page() as (system, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
        one_too_many, _ = await call(port, b"GET /metrics HTTP/1.1\r\n\r\n")
        await system.kill("metrics-page")
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()

    assert one_too_many == b""
