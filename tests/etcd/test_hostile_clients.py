"""Clients of the door that mean harm, or are broken: they are closed with a reason, or cost little, and harm nobody.

Each does its worst beside one that goes on as if nothing were.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.etcd.grpc import http2
from actors.etcd.grpc.fields import write
from actors.etcd.grpc.framing import framed
from actors.etcd.grpc.server import STREAM_WAITING_BYTES, WAITING_BYTES_MAX
from tests.etcd.grpc_client import Client, Housed, Stream, calling, housed, request

VALUE = bytes(1 << 20)
GREETING = http2.PREFACE + struct.pack(">HBBBI", 0, 0, http2.SETTINGS, 0, 0)
WITHIN_S = 30


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Housed]:
    async with housed(tmp_path) as house:
        yield house


@contextlib.asynccontextmanager
async def raw(house: Housed) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack(">HBBBI", len(body) >> 8, len(body) & 255, kind, flags, stream) + body


def call_of(path: str, stream: int, body: bytes, *, last: bool = True) -> bytes:
    fields = [(b":method", b"POST"), (b":path", f"/etcdserverpb.{path}".encode())]
    block = write([*fields, (b"content-type", b"application/grpc")])
    ending = http2.END_STREAM if last else 0
    return frame(http2.HEADERS, http2.END_HEADERS, stream, block) + frame(http2.DATA, ending, stream, framed(body))


async def put(client: Client, key: bytes, value: bytes = b"x") -> int:
    answer = await client.call("KV/Put", request("Put", key=key, value=value))
    revision: int = answer.header.revision
    return revision


async def goes_on(house: Housed) -> None:
    async with calling(house.port) as client:
        revision = await put(client, b"other")
        found = await client.call("KV/Range", request("Range", key=b"other"))
        assert found.kvs[0].mod_revision == revision


async def is_closed(house: Housed, why: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not any(why in reason for reason in house.door.closed):
            await asyncio.sleep(0.01)
    async with asyncio.timeout(WITHIN_S):
        while house.door.connections:
            await asyncio.sleep(0.01)


async def watching(client: Client, key: bytes) -> Stream:
    stream = client.stream("Watch/Watch", "WatchResponse")
    asked = request("Watch")
    asked.create_request.key = key
    stream.send(asked)
    assert (await stream.next()).created
    return stream


async def test_who_reads_no_answers_is_closed_when_too_many_wait(house: Housed) -> None:
    async with calling(house.port) as client:
        await put(client, b"large", VALUE)
    body = request("Range", key=b"large").SerializeToString()

    async with raw(house) as (_, writer):
        writer.write(GREETING)
        for number in range(2 * WAITING_BYTES_MAX // len(VALUE)):
            writer.write(call_of("KV/Range", 2 * number + 1, body))
        await goes_on(house)
        await is_closed(house, "answers that nobody reads")

    await goes_on(house)


@pytest.mark.slow
async def test_a_watcher_that_opens_no_window_keeps_little_waiting_and_others_see_everything(house: Housed) -> None:
    watch = request("Watch")
    watch.create_request.key = b"large"
    async with raw(house) as (reader, writer), calling(house.port) as client:
        writer.write(GREETING + call_of("Watch/Watch", 1, watch.SerializeToString(), last=False))
        await reader.readexactly(9)
        stream = await watching(client, b"large")

        written = [await put(client, b"large", VALUE) for _ in range(40)]
        seen = [event.kv.mod_revision for _ in written for event in (await stream.next()).events]

        assert seen == written
        assert sum(peer.waiting_bytes for peer in house.door.connections) <= 2 * len(VALUE) + STREAM_WAITING_BYTES


@pytest.mark.slow
async def test_ten_thousand_watches_of_one_client_delay_no_other(house: Housed) -> None:
    asked = request("Watch")
    asked.create_request.key, asked.create_request.range_end = b"a", b"b"  # where nothing happens
    async with calling(house.port) as hostile:
        streams = [hostile.stream("Watch/Watch", "WatchResponse") for _ in range(10)]
        for stream in streams:
            for _ in range(1_000):
                stream.send(asked)
        await goes_on(house)
        created = [[await stream.next() for _ in range(1_000)] for stream in streams]
        await goes_on(house)

    assert all(one.created for some in created for one in some)
    await goes_on(house)


@pytest.mark.parametrize("seed", range(5))
async def test_garbage_is_closed_with_a_reason(house: Housed, seed: int) -> None:
    chance = random.Random(seed)
    async with raw(house) as (reader, writer):
        writer.write((GREETING if seed else b"") + chance.randbytes(100_000))
        await goes_on(house)
        async with asyncio.timeout(WITHIN_S):
            with contextlib.suppress(ConnectionError):
                while await reader.read(1 << 16):
                    pass

    assert sum(house.door.closed.values()) == 1
    await goes_on(house)


async def test_a_flood_of_calls_that_are_taken_back_at_once_is_closed(house: Housed) -> None:
    body = request("Range", key=b"a").SerializeToString()
    reset = struct.pack(">I", http2.CANCEL)
    async with raw(house) as (_, writer):
        writer.write(GREETING)
        for number in range(1, 40_001, 2):
            writer.write(call_of("KV/Range", number, body, last=False) + frame(http2.RST_STREAM, 0, number, reset))
        await goes_on(house)
        await is_closed(house, "too many frames that make work")

    await goes_on(house)


async def test_headers_without_end_are_closed(house: Housed) -> None:
    async with raw(house) as (_, writer):
        writer.write(GREETING + frame(http2.HEADERS, 0, 1, b"\0" * 1000))
        writer.write(b"".join([frame(http2.CONTINUATION, 0, 1, bytes(10_000)) for _ in range(100)]))
        await is_closed(house, "a header block of more than")

    await goes_on(house)


@pytest.mark.slow
async def test_requests_that_are_never_whole_are_closed(house: Housed) -> None:
    head = b"\0" + (2 << 20).to_bytes(4, "big")
    async with calling(house.port) as hostile:
        for _ in range(80):
            stream = hostile.stream("KV/Put", "PutResponse")
            hostile.http.data(stream.number, head + bytes(1 << 20))
            hostile.flush()
        await goes_on(house)
        await is_closed(house, "requests that are never whole")

    await goes_on(house)
