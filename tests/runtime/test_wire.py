"""Frames survive any way of cutting the bytes that carry them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.runtime.wire import BUFFER_SIZE, OUTBOX_MAX, Frame, Inbox, Outbox

u32 = st.integers(0, 2**32 - 1)
bodies = st.one_of(
    st.binary(max_size=64),
    st.builds(lambda n, b: b * n, st.integers(0, 3 * BUFFER_SIZE), st.binary(min_size=1, max_size=1)),
)
frames = st.tuples(st.integers(1, 14), st.integers(0, 65535), u32, u32, u32, u32, bodies)


def receive(inbox: Inbox, data: bytes, cuts: list[int]) -> list[Frame]:
    got: list[Frame] = []
    turn = 0
    while data:
        room = inbox.room()
        count = min(len(room), len(data), cuts[turn % len(cuts)])
        room[:count] = data[:count]
        del room
        data = data[count:]
        got.extend(inbox.received(count))
        turn += 1
    return got


@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 2 * BUFFER_SIZE), min_size=1, max_size=5))
def test_what_goes_in_comes_out_however_it_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    outbox = Outbox()
    for frame in sent:
        assert outbox.put(*frame)
    data = b"".join(outbox.take())

    assert receive(Inbox(2**20), data, cuts if len(data) < 4000 else [max(c, 500) for c in cuts]) == sent
    assert outbox.size == 0


def test_a_body_beyond_the_bound_is_refused_before_it_is_buffered() -> None:
    outbox = Outbox()
    outbox.put(4, 0, 0, 0, 0, 0, b"x" * 1001)

    with pytest.raises(ValueError, match="1001 bytes exceeds the bound of 1000"):
        receive(Inbox(1000), b"".join(outbox.take())[:24], [24])


def test_a_full_outbox_takes_no_more() -> None:
    outbox = Outbox()
    chunk = b"x" * 2**20

    taken = sum(outbox.put(4, 0, 0, 0, 0, 0, chunk) for _ in range(OUTBOX_MAX // 2**20 + 10))

    assert taken <= OUTBOX_MAX // 2**20 + 1
