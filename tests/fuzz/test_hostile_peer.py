"""A peer that knows the key and says what it likes: its own connection ends at most, with a counted reason."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorkube.runtime import Mailbox
from actorkube.runtime.receiving import OUTLETS_MAX
from actorkube.runtime.wire import Frame
from protocols.address import actor_id
from protocols.errors import Answer, AskError
from protocols.frame import Kind
from protocols.message import encode
from tests.fuzz.bodies import BOMBS, ERRORS, TYPES, frames
from tests.fuzz.stage import WINDOW, FuzzFeed, FuzzText, Stage, on_stage

TEXT = FuzzText.type_id
ITEM = encode(FuzzText())
FEED = (Kind.STREAM, FuzzFeed.type_id, actor_id("feed"), 0)
MIB = 2**20


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with on_stage() as stage:
        yield stage


def test_any_frames_harm_nobody_but_their_own_connection() -> None:
    with asyncio.Runner() as runner:
        stage = Stage()
        runner.run(stage.start())

        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(frames, min_size=1, max_size=6))
        def say(sent: list[Frame]) -> None:
            runner.run(_say(stage, sent))

        try:
            say()
        finally:
            runner.run(stage.stop())


async def _say(stage: Stage, sent: list[Frame]) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    for frame in sent:
        hostile.link.send(*frame)

    try:
        if await hostile.is_cut_off():
            assert stage.refused > refused
        await stage.check()
    finally:
        await stage.forget()


@pytest.mark.parametrize("kind", [Kind.TELL, Kind.ASK, Kind.STREAM])
async def test_a_request_that_does_not_decode_is_refused_and_its_actor_goes_on(stage: Stage, kind: Kind) -> None:
    hostile = await stage.hostile()

    for body in BOMBS:
        for type_id in TYPES:
            hostile.link.send(kind, type_id, actor_id("echo"), 0, 77, 1000, body)

    assert not await hostile.is_cut_off()
    await stage.check()


@pytest.mark.parametrize("body", BOMBS, ids=range(len(BOMBS)))
async def test_an_answer_that_does_not_decode_fails_its_ask(stage: Stage, body: bytes) -> None:
    hostile = await stage.hostile()

    hostile.link.send(Kind.REPLY, TEXT, 0, 0, hostile.answer_corr, 0, body)

    assert not await hostile.is_cut_off()
    assert hostile.answer.done()
    assert hostile.answer.exception() is None or isinstance(hostile.answer.exception(), AskError)
    await stage.check()


@pytest.mark.parametrize("body", BOMBS, ids=range(len(BOMBS)))
async def test_an_item_that_does_not_decode_ends_its_stream_with_an_error(stage: Stage, body: bytes) -> None:
    hostile = await stage.hostile()

    hostile.link.send(Kind.ITEM, TEXT, 0, 0, hostile.stream_corr, 0, body)
    hostile.link.send(Kind.END, 0, 0, 0, hostile.stream_corr, 0, b"")

    try:
        assert len([item async for item in hostile.stream]) <= 1
    except AskError as error:
        assert "decode" in str(error)
    await stage.check()


@pytest.mark.parametrize("body", ERRORS, ids=range(len(ERRORS)))
async def test_a_hostile_error_is_an_error_that_can_be_read(stage: Stage, body: bytes) -> None:
    hostile = await stage.hostile()

    hostile.link.send(Kind.ERROR, 0, 0, 0, hostile.answer_corr, 0, body)
    hostile.link.send(Kind.END, 0, 0, 0, hostile.stream_corr, 0, body)

    assert not await hostile.is_cut_off()
    error = hostile.answer.exception()
    assert isinstance(error, Answer | AskError)
    assert str(error)
    with pytest.raises((Answer, AskError)):
        await anext(hostile.stream)
    await stage.check()


@pytest.mark.parametrize("kind", [Kind.REPLY, Kind.ERROR, Kind.ITEM, Kind.END])
async def test_nobody_answers_what_somebody_else_was_asked(stage: Stage, kind: Kind) -> None:
    asked, hostile = await stage.hostile(), await stage.hostile()

    for corr in (asked.answer_corr, asked.stream_corr):
        hostile.link.send(kind, TEXT, 0, 0, corr, 0, b"" if kind == Kind.END else ITEM)
    await hostile.is_cut_off()

    assert not asked.answer.done()
    assert not asked.stream.pending()
    assert list(asked.back.asks) == [asked.answer_corr, asked.stream_corr]
    await stage.check()


async def test_items_beyond_the_credit_are_refused_and_kept_nowhere(stage: Stage) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    for _ in range(WINDOW + 3000):
        hostile.link.send(Kind.ITEM, TEXT, 0, 0, hostile.stream_corr, 0, ITEM)

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    kept = []
    with pytest.raises(AskError):
        async for item in hostile.stream:
            kept.append(item)
    assert len(kept) <= WINDOW
    await stage.check()


@pytest.mark.parametrize("credit", [2**31 - 1, 2**31, 2**32 - 1])
async def test_credit_beyond_any_reason_ends_the_connection(stage: Stage, credit: int) -> None:
    hostile, refused = await stage.hostile(), stage.refused
    hostile.link.send(*FEED, 5, 1, encode(FuzzFeed()))
    assert not await hostile.is_cut_off()

    hostile.link.send(Kind.CREDIT, 0, 0, 0, 5, credit, b"")

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    await stage.check()


@pytest.mark.parametrize("kind", [Kind.ITEM, Kind.END, Kind.CREDIT, Kind.CANCEL, Kind.REPLY, Kind.ERROR])
async def test_what_belongs_to_no_stream_and_no_ask_is_nothing(stage: Stage, kind: Kind) -> None:
    hostile = await stage.hostile()

    for corr in (0, 999_999, 2**32 - 1):
        hostile.link.send(kind, 0, 0, 0, corr, 3, b"")

    assert not await hostile.is_cut_off()
    await stage.check()


async def test_items_after_the_end_are_nothing(stage: Stage) -> None:
    hostile = await stage.hostile()

    for _ in range(2):
        hostile.link.send(Kind.ITEM, TEXT, 0, 0, hostile.stream_corr, 0, ITEM)
        hostile.link.send(Kind.END, 0, 0, 0, hostile.stream_corr, 0, b"")

    assert len([item async for item in hostile.stream]) == 1
    assert not await hostile.is_cut_off()
    await stage.check()


async def test_streams_that_share_a_number_leave_no_producer_behind(stage: Stage) -> None:
    hostile = await stage.hostile()

    for _ in range(50):
        hostile.link.send(*FEED, 5, 1, encode(FuzzFeed()))
    await hostile.is_cut_off()

    await stage.until(lambda: stage.producers() <= 1)
    await stage.forget()
    await stage.until(lambda: not stage.producers())
    await stage.check()


@pytest.mark.parametrize("name", [b"\xff\xfe", b"", b"echo", b"x" * 100_000])
async def test_a_name_that_is_none_or_is_not_the_numbers_ends_the_connection(stage: Stage, name: bytes) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    hostile.link.send(Kind.NAME, 0, 0, actor_id("hole"), 0, 0, name)

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    await stage.check()


async def test_a_name_that_is_said_twice_is_the_same_name(stage: Stage) -> None:
    hostile = await stage.hostile()

    for _ in range(2):
        hostile.link.send(Kind.NAME, 0, 0, actor_id("hole"), 0, 0, b"hole")

    assert not await hostile.is_cut_off()
    await stage.check()


async def test_an_error_that_unfolds_to_much_is_not_unfolded(stage: Stage) -> None:
    hostile = await stage.hostile()
    bomb = b"\x93\xa1x\xa1x\x81\xa1a\xdd\x00\x60\x00\x00" + b"\x90" * 0x600000  # 6 MiB that become 350 MiB
    tracemalloc.start()

    hostile.link.send(Kind.ERROR, 0, 0, 0, hostile.answer_corr, 0, bomb)
    assert not await hostile.is_cut_off()

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * MIB
    assert isinstance(hostile.answer.exception(), Answer)
    await stage.check()


async def test_a_flood_of_streams_is_refused_beyond_a_bound(stage: Stage) -> None:
    hostile = await stage.hostile()
    tracemalloc.start()

    for number in range(25_000):
        hostile.link.send(Kind.STREAM, FuzzFeed.type_id, actor_id("hole"), 0, number, 1, b"\x90")
        if number % 800 == 0:
            await hostile.is_cut_off()
    await hostile.is_cut_off()

    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(hostile.back.outlets) <= OUTLETS_MAX + Mailbox().capacity
    assert held < 40 * MIB
    await stage.check()


async def test_a_refusal_that_is_said_again_and_again_counts_once(stage: Stage) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    for _ in range(1_000):
        hostile.link.send(Kind.REFUSED, 0, 0, 0, 0, 0, b"no")

    assert await hostile.is_cut_off()
    assert stage.refused == refused + 1
    await stage.check()
