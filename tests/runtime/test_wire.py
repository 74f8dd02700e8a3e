"""Frames survive any way of cutting the bytes that carry them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.runtime.refusals import Refused
from actorkube.runtime.wire import BUFFER_SIZE, KINDS, Inbox, Outbox
from protocols.frame import BATCH_BYTES_MAX, BATCHED, HEADER, HEADER_SIZE, Frame, Kind, decode_rows

HIGH, MOST = 2**25, 2**26

u32 = st.integers(0, 2**32 - 1)
bodies = st.one_of(
    st.binary(max_size=64),
    st.builds(lambda n, b: b * n, st.integers(0, 3 * BUFFER_SIZE // 2), st.binary(min_size=1, max_size=1)),
)
frames = st.tuples(st.integers(1, 14), st.integers(0, 65535), u32, u32, u32, u32, bodies)


def receive(data: bytes, cuts: list[int], frame_max: int = 2**20) -> list[Frame]:
    got: list[Frame] = []
    inbox = Inbox(frame_max, [partial(collect, got, kind) for kind in range(KINDS)])
    inbox.handlers[Kind.BATCH] = partial(unfold, got)  # type: ignore[index]
    turn = 0
    while data:
        room = inbox.room()
        count = min(len(room), len(data), cuts[turn % len(cuts)])
        room[:count] = data[:count]
        del room
        data = data[count:]
        inbox.add(count)
        inbox.deliver()
        turn += 1
    return got


def collect(got: list[Frame], kind: int, link: object, *rest: Any) -> None:
    got.append((kind, *rest))


def unfold(got: list[Frame], link: object, kind: int, _1: int, _2: int, _3: int, _4: int, body: bytes) -> None:
    got += [(kind, *row) for row in decode_rows(body)]


@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 2 * BUFFER_SIZE), min_size=1, max_size=5))
def test_what_goes_in_comes_out_however_it_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    outbox = Outbox(HIGH, MOST)
    for frame in sent:
        assert outbox.put(*frame)
    data = drain(outbox)

    assert receive(data, cuts if len(data) < 4000 else [max(c, 500) for c in cuts]) == sent
    assert outbox.size == 0


runs = st.lists(st.tuples(st.sampled_from([*BATCHED, Kind.NAME]), st.integers(1, 12)), max_size=6)


@given(runs, st.lists(st.sampled_from([0, 1, 200, 1023, 1024, 5000]), min_size=1, max_size=4))
def test_small_frames_of_one_kind_travel_together_and_come_out_one_by_one(
    runs: list[tuple[Kind, int]], sizes: list[int]
) -> None:
    outbox, sent = Outbox(HIGH, MOST), []
    for kind, count in runs:
        for number in range(count):
            frame = (int(kind), 7, 2**32 - 1, 1, number, 0, b"x" * sizes[number % len(sizes)])
            sent.append(frame)
            outbox.put(*frame)

    data = drain(outbox)

    assert receive(data, [max(1, len(data))]) == sent
    assert outbox.size == 0
    assert outbox.frames == len(sent)


def test_a_batch_is_bounded() -> None:
    outbox = Outbox(HIGH, MOST)

    for number in range(10_000):
        outbox.put(Kind.TELL, 2**24 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1, number, b"")

    lengths = frame_lengths(drain(outbox))
    assert len(lengths) > 1
    assert max(lengths) <= BATCH_BYTES_MAX


def frame_lengths(data: bytes) -> list[int]:
    lengths = []
    while data:
        lengths.append(HEADER.unpack_from(data)[0])
        data = data[HEADER_SIZE + lengths[-1] :]
    return lengths


def test_a_body_beyond_the_bound_is_refused_before_it_is_buffered() -> None:
    outbox = Outbox(HIGH, MOST)
    outbox.put(4, 0, 0, 0, 0, 0, b"x" * 1001)

    with pytest.raises(Refused, match="1001 bytes exceeds the bound of 1000"):
        receive(drain(outbox)[:24], [24], frame_max=1000)


def test_a_full_outbox_takes_no_new_work_but_what_is_owed_up_to_a_bound() -> None:
    outbox = Outbox(high=10_000, most=20_000)
    chunk = b"x" * 1024

    tells = sum(outbox.put(Kind.TELL, 0, 0, 0, 0, 0, chunk) for _ in range(100))
    owed = sum(outbox.put(Kind.REPLY, 0, 0, 0, 0, 0, chunk) for _ in range(100))

    assert tells == 10_000 // 1048 + 1
    assert tells + owed == 20_000 // 1048 + 1
    assert outbox.overflowed


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=40), st.integers(0, 30))
def test_what_is_put_in_while_chunks_leave_comes_behind_them(sizes: list[int], before: int) -> None:
    outbox = Outbox(HIGH, MOST)
    sent: list[Frame] = [(4, 0, 0, 0, 0, n, b"x" * size) for n, size in enumerate(sizes)]

    data = b""
    for frame in sent[:before]:
        outbox.put(*frame)
    for frame in sent[before:]:
        outbox.put(*frame)
        data += outbox.chunk()
    data += drain(outbox)

    assert receive(data, [len(data)]) == sent


def drain(outbox: Outbox) -> bytes:
    data = b""
    while outbox.size:
        data += outbox.chunk()
    return data
