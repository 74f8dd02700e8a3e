"""Large frames go in parts: small ones pass them, but never those that they must come after."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime.fragments import Assembly
from actorkube.runtime.wire import Outbox
from protocols.frame import FRAME_MAX, HEADER, HEADER_SIZE, KIND_BITS, Frame, Kind, decode_rows

LARGE = 300 * 1024
HIGH, MOST = 2**25, 2**26
kinds = st.sampled_from([Kind.TELL, Kind.ASK, Kind.REPLY, Kind.ITEM, Kind.END, Kind.CANCEL, Kind.DOWN, Kind.NAME])
sizes = st.sampled_from([0, 9, 2000, 9000, LARGE])
frames = st.tuples(kinds, st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), sizes)


def frame(kind: Kind, target: int, sender: int, corr: int, size: int, number: int = 0) -> Frame:
    return (int(kind), 7, target, sender, corr, number, b"x" * size)


def read(data: bytes) -> list[Frame]:
    """What a receiver hands over, in its order."""
    got: list[Frame] = []
    assembly = Assembly()
    while data:
        length, word, target, sender, corr, number = HEADER.unpack_from(data)
        body, data = data[HEADER_SIZE : HEADER_SIZE + length], data[HEADER_SIZE + length :]
        kind, rest = word & 255, word >> KIND_BITS
        if kind == Kind.PART:
            whole = assembly.add(number, body)
            got += [whole] if whole is not None else []
        elif kind == Kind.BATCH:
            got += [(rest, *row) for row in decode_rows(body)]
        else:
            got.append((kind, rest, target, sender, corr, number, body))
    return got


@settings(max_examples=50, deadline=None)
@given(st.lists(frames, max_size=9), st.integers(0, 9))
def test_all_arrive_once_and_none_overtakes_another_that_it_belongs_behind(
    drawn: list[tuple[Kind, int, int, int, int]], chunks: int
) -> None:
    outbox, sent, data = Outbox(HIGH, MOST), [], b""
    for number, (kind, target, sender, corr, size) in enumerate(drawn):
        sent.append(frame(kind, target, sender, corr, 9 if kind in (Kind.END, Kind.NAME) else size, number))
        outbox.put(*sent[-1])
        if number < chunks:
            data += outbox.chunk()
    while outbox.size:
        data += outbox.chunk()

    got = read(data)

    assert sorted(got) == sorted(sent)
    assert outbox.size == 0
    for place, late in enumerate(got):
        for early in got[place + 1 :]:  # came in later
            if early[5] < late[5]:  # but was sent before
                assert not belongs_behind(late, early), (late[:6], early[:6])


def belongs_behind(late: Frame, early: Frame) -> bool:
    pair, stream = (late[2], late[3]) == (early[2], early[3]), late[4] == early[4]
    return late[0] == Kind.DOWN or bool(late[2] and pair) or bool(late[4] and stream)


def test_a_small_ask_passes_a_large_one_of_somebody_else() -> None:
    outbox = Outbox(HIGH, MOST)
    outbox.put(*frame(Kind.ASK, 1, 1, 1, 4 * 2**20))
    data = outbox.chunk()

    outbox.put(*frame(Kind.ASK, 1, 2, 2, 10))
    data += outbox.chunk()

    assert read(data) == [frame(Kind.ASK, 1, 2, 2, 10)]


def test_taking_a_large_ask_back_does_not_overtake_it() -> None:
    outbox = Outbox(HIGH, MOST)
    outbox.put(*frame(Kind.ASK, 1, 1, 1, LARGE))
    outbox.put(*frame(Kind.CANCEL, 1, 0, 1, 0))

    assert [got[0] for got in read(drain(outbox))] == [Kind.ASK, Kind.CANCEL]


def test_the_end_of_an_actor_does_not_overtake_what_it_said() -> None:
    outbox = Outbox(HIGH, MOST)
    outbox.put(*frame(Kind.TELL, 1, 1, 0, LARGE))
    outbox.put(*frame(Kind.DOWN, 0, 0, 5, 6))

    assert [got[0] for got in read(drain(outbox))] == [Kind.TELL, Kind.DOWN]


def test_a_large_frame_goes_on_while_small_ones_never_end() -> None:
    outbox, data = Outbox(HIGH, MOST), b""
    outbox.put(*frame(Kind.ASK, 1, 1, 1, LARGE))
    for number in range(40):
        for corr in range(30):
            outbox.put(*frame(Kind.ASK, 1, 2, 100 + 30 * number + corr, 8000))
        for _ in range(5):  # less than comes in
            data += outbox.chunk()

    assert LARGE in [len(got[6]) for got in read(data)]


def header(kind: int, length: int) -> bytes:
    return HEADER.pack(length, kind, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "parts",
    [
        [(5, b"")],
        [(FRAME_MAX + 1, b"x" * HEADER_SIZE)],
        [(2**32 - 1, b"x")],
        [(100, b"x" * 10), (100, b"x" * 10)],
        [(100, b"x" * 10), (0, b"x" * 10)],
        [(0, b"x" * 23)],
        [(0, header(Kind.TELL, 6) + b"12345")],
        [(0, header(Kind.PART, 5) + b"12345")],
        [(0, header(Kind.BATCH, 5) + b"12345")],
        [(0, header(Kind.MOVED, 0))],
    ],
)
def test_parts_that_make_no_frame_are_refused(parts: list[tuple[int, bytes]]) -> None:
    assembly = Assembly()

    with pytest.raises(ValueError, match="part"):
        for missing, part in parts:
            assembly.add(missing, part)


@given(st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=40)), max_size=8))
def test_any_parts_are_a_frame_or_refused(parts: list[tuple[int, bytes]]) -> None:
    assembly = Assembly()
    try:
        for missing, part in parts:
            assembly.add(missing, part)
    except ValueError:
        return


def drain(outbox: Outbox) -> bytes:
    data = b""
    while outbox.size:
        data += outbox.chunk()
    return data
