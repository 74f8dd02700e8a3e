"""A peer that knows the key and says what it likes: its own connection ends at most, with a counted reason."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorkube.runtime import Mailbox
from actorkube.runtime.monitors import LIFE, LINK, NAME
from actorkube.runtime.receiving import OUTLETS_MAX
from protocols.address import actor_id
from protocols.errors import Answer, AskError
from protocols.frame import BATCHED, Frame, Kind, encode_rows
from protocols.message import Lane, encode
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


@pytest.mark.slow
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


NO_BATCHES = {
    "empty": (Kind.TELL, b""),
    "no array": (Kind.TELL, b"\x01"),
    "short row": (Kind.TELL, encode_rows([(1, 2, 3)])),  # type: ignore[list-item]
    "number too large": (Kind.ASK, encode_rows([(1, 2, 3, 2**32, 0, b"")])),
    "number below zero": (Kind.REPLY, encode_rows([(1, -2, 3, 4, 0, b"")])),
    "text for a body": (Kind.ITEM, encode_rows([(1, 2, 3, 4, 0, "x")])),  # type: ignore[list-item]
    "an array that says it is huge": (Kind.TELL, b"\xdd\xff\xff\xff\xff"),
    "too long": (Kind.TELL, encode_rows([(TEXT, 2, 3, 4, 0, b"x" * 1000)] * 200)),
    "batch of batches": (Kind.BATCH, encode_rows([(1, 2, 3, 4, 0, b"\x90")])),
    "batch of names": (Kind.NAME, encode_rows([(0, 0, 3, 0, 0, b"echo")])),
}


@pytest.mark.parametrize("kind, body", NO_BATCHES.values(), ids=NO_BATCHES)
async def test_a_batch_that_is_none_ends_the_connection(stage: Stage, kind: Kind, body: bytes) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    hostile.link.send(Kind.BATCH, kind, 0, 0, 0, 0, body)

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    await stage.check()


@pytest.mark.parametrize("missing, part", [(0, b""), (2**32 - 1, b"x"), (0, b"x" * 23), (0, b"\x05" + b"\x18" * 28)])
async def test_parts_that_make_no_frame_end_the_connection(stage: Stage, missing: int, part: bytes) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    hostile.link.send(Kind.PART, 0, 0, 0, 0, missing, part)

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    await stage.check()


@pytest.mark.parametrize("kind", sorted(BATCHED))
async def test_what_does_not_decode_in_a_batch_harms_nobody(stage: Stage, kind: Kind) -> None:
    hostile = await stage.hostile()
    deep = b"\x92\xa0\x81\xa1a" + b"\x91" * 1015 + b"\xc0"
    rows = [(t, actor_id("echo"), 0, 77, 1000, b) for t in (*TYPES, 5) for b in (*BOMBS, deep) if len(b) < 1024]

    hostile.link.send(Kind.BATCH, kind, 0, 0, 0, 0, encode_rows(rows))

    assert not await hostile.is_cut_off()
    await stage.check()


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


ANSWERS = (Kind.REPLY, Kind.ERROR, Kind.ACCEPTED, Kind.ITEM, Kind.END)


@pytest.mark.parametrize(
    ("kind", "together"),
    [*((kind, False) for kind in ANSWERS), *((kind, True) for kind in ANSWERS if kind in BATCHED)],
)
async def test_nobody_answers_what_somebody_else_was_asked(stage: Stage, kind: Kind, together: bool) -> None:
    asked, hostile = await stage.hostile(), await stage.hostile()
    body = b"" if kind == Kind.END else ITEM
    rows = [(TEXT, 0, 0, corr, 0, body) for corr in (asked.answer_corr, asked.stream_corr)]

    if together:
        hostile.link.send(Kind.BATCH, kind, 0, 0, 0, 0, encode_rows(rows))
    else:
        for row in rows:
            hostile.link.send(kind, *row)
    await hostile.is_cut_off()

    assert not asked.answer.done()
    assert not asked.stream.pending()
    assert list(asked.back.streams) == [asked.stream_corr]
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
    await stage.until(hostile.answer.done)  # small frames pass large ones

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * MIB
    assert isinstance(hostile.answer.exception(), Answer)
    await stage.check()


@pytest.mark.slow
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


@pytest.mark.parametrize("kind", [3, 255, 2**32 - 1])
async def test_a_watch_of_no_known_kind_ends_the_connection(stage: Stage, kind: int) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    hostile.link.send(Kind.WATCH, 0, actor_id("echo"), 0, 5, kind, b"")

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    await stage.check()


async def test_a_watch_with_a_number_that_is_taken_ends_the_connection_and_leaves_no_watch(stage: Stage) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    for _ in range(2):
        hostile.link.send(Kind.WATCH, 0, actor_id("echo"), 0, 5, NAME, b"")

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    await stage.until(lambda: not stage.server.monitors.watchers(actor_id("echo")))
    await stage.check()


async def test_a_link_from_an_actor_that_has_not_said_its_name_ends_the_connection(stage: Stage) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    hostile.link.send(Kind.WATCH, 0, actor_id("echo"), 12345, 5, LINK, b"")

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    await stage.check()


async def test_a_flood_of_watches_is_refused_beyond_a_bound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorkube.runtime.monitors.WATCHERS_MAX", 1000)
    hostile, refused = await stage.hostile(), stage.refused

    for number in range(1001):
        hostile.link.send(Kind.WATCH, 0, actor_id("echo"), 0, number, NAME, b"")

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    await stage.until(lambda: not stage.server.monitors.watchers(actor_id("echo")))
    await stage.check()


async def test_a_watch_of_nobody_is_answered_and_kept_nowhere(stage: Stage) -> None:
    hostile = await stage.hostile()

    for number in range(100):
        hostile.link.send(Kind.WATCH, 0, actor_id("nobody"), 0, number, NAME, b"")

    assert not await hostile.is_cut_off()
    assert not stage.server.monitors.watchers(actor_id("nobody"))
    await stage.check()


@pytest.mark.parametrize("kind", [NAME, LINK, LIFE, 99])
async def test_an_unwatch_of_what_is_not_watched_is_nothing(stage: Stage, kind: int) -> None:
    hostile = await stage.hostile()

    for number in (0, 7, 2**32 - 1):
        hostile.link.send(Kind.UNWATCH, 0, actor_id("echo"), 12345, number, kind, b"garbage")

    assert not await hostile.is_cut_off()
    await stage.check()


@pytest.mark.parametrize("reason", [b"", b"\xff\xfe", b"bored", b"x" * 100_000])
async def test_an_end_for_no_known_reason_ends_the_connection(stage: Stage, reason: bytes) -> None:
    hostile, refused = await stage.hostile(), stage.refused

    hostile.link.send(Kind.DOWN, 0, 0, 0, 1, 0, reason)

    assert await hostile.is_cut_off()
    assert stage.refused > refused
    await stage.check()


async def test_nobody_says_the_end_of_what_another_peer_has(stage: Stage) -> None:
    watched, hostile = await stage.hostile(), await stage.hostile()
    watched.system.transport.link("server", Lane.CONTROL)
    await stage.until(lambda: stage.server.transport.link(watched.system.name, Lane.CONTROL))
    echo, hole = stage.server._cells[actor_id("echo")], stage.server.ref(f"{watched.system.name}/hole")
    stage.server.monitors.watch(echo, hole)
    (number,) = stage.server.monitors._watches

    for guess in range(number + 3):
        hostile.link.send(Kind.DOWN, 0, 0, 0, guess, 0, b"stopped")
    assert not await hostile.is_cut_off()

    assert list(stage.server.monitors._watches) == [number]
    stage.server.monitors.unwatch(echo, hole)
    await stage.check()


@pytest.mark.parametrize("kind", [Kind.TELL, Kind.ASK, Kind.SEND, Kind.STREAM])
async def test_what_is_said_to_nobody_is_counted_or_answered_and_kept_nowhere(stage: Stage, kind: Kind) -> None:
    hostile, lost = await stage.hostile(), stage.server.dead_letters
    type_id = FuzzFeed.type_id if kind == Kind.STREAM else TEXT

    for number in range(100):
        hostile.link.send(kind, type_id, 0xDEAD_BEEF, 0, number, 1000, b"\x90")

    assert not await hostile.is_cut_off()
    assert stage.server.dead_letters - lost == (100 if kind == Kind.TELL else 0)
    assert not hostile.back.calls and not hostile.back.outlets
    await stage.check()
