"""Bytes that are damaged or cut on their way: the connection ends, with a counted reason where there is one to give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from actorkube.runtime import System
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from protocols.errors import Answer, AskError
from tests.fuzz.stage import ANSWER_S, KEY, FuzzEcho, Stage, on_stage

Damage = Callable[[int, bytes], bytes | None]  # where in the stream the bytes begin; None: hang up


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with on_stage() as stage:
        yield stage


async def ask_through(stage: Stage, damage: Damage) -> bool:
    """Whether an ask over a wire that does this damage was answered."""
    ways: list[asyncio.Task[None]] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, harm: Damage) -> None:
        at = 0
        try:
            while data := await reader.read(65536):
                harmed = harm(at, data)
                at += len(data)
                if harmed is None:
                    break
                writer.write(harmed)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, out = await asyncio.open_connection(*stage.address)
        ways.append(asyncio.create_task(carry(reader, out, damage)))
        ways.append(asyncio.create_task(carry(back, writer, lambda _, data: data)))

    wire = await asyncio.start_server(joined, "127.0.0.1", 0)
    address = wire.sockets[0].getsockname()
    system = System("far", TcpTransport(key=KEY, book={"server": address}), seed=1, log=Quiet())
    await system.start()
    try:
        answer = await system.ask(system.ref("server/echo"), FuzzEcho("x" * 50), 2.0)
        return answer.text == "x" * 50
    except (Answer, AskError):
        return False
    finally:
        await system.stop()
        wire.close()
        await asyncio.gather(*ways)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
async def test_a_connection_that_is_cut_at_any_byte_harms_nobody(stage: Stage, step: int) -> None:
    for size in range(0, 400, step):
        await ask_through(stage, lambda at, data, size=size: data[: size - at] if at < size <= at + len(data) else None)

    await stage.check()


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
async def test_any_flipped_bit_is_refused_or_harmless(stage: Stage, step: int) -> None:
    def flip(place: int, bit: int) -> Damage:
        def harm(at: int, data: bytes) -> bytes:
            here = place - at
            if not 0 <= here < len(data):
                return data
            return data[:here] + bytes([data[here] ^ 1 << bit]) + data[here + 1 :]

        return harm

    before = stage.refused
    for place in range(0, 150, step):
        if place in range(4) or place % 24 < 4:
            continue  # a length that grows waits for bytes that never come: another test's matter
        await ask_through(stage, flip(place, place % 8))

    assert stage.refused > before
    await stage.check()


@pytest.mark.slow
async def test_those_who_say_nothing_are_sent_away_and_counted(stage: Stage) -> None:
    before = stage.refused
    silent = [await asyncio.open_connection(*stage.address) for _ in range(20)]

    await stage.check()
    for reader, writer in silent:
        async with asyncio.timeout(ANSWER_S):
            while await reader.read(65536):
                continue
        writer.close()

    assert stage.refused >= before + 20
    await stage.check()
