"""SPDY's core: what bytes mean, and that no bytes whatever do any harm."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.spdy import frames
from actors.apiserver.spdy.frames import Control, FrameReader
from actors.apiserver.spdy.header_block import BLOCK_BYTES_MAX, DICTIONARY, HeaderReader, HeaderWriter
from actors.apiserver.spdy.session import STREAMS_MAX, Aborted, Closed, Ended, Event, Opened, Received, Session
from tests.apiserver.spdy.client import Talk, data, heard, ping, reset


def received(session: Session, *pieces: bytes) -> list[Event]:
    events = [event for piece in pieces for event in session.receive(piece)]
    session.check()
    return events


def said(session: Session) -> object:
    return heard(list(FrameReader().feed(session.output())))


def test_the_dictionary_is_that_of_spdy_3() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_a_stream_is_opened_answered_and_ended_by_both() -> None:
    session, talk = Session(), Talk()

    events = received(session, talk.syn(1, streamtype="stdin"), data(1, b"hello"), data(1, b"", fin=True))
    session.reply(1)
    session.send(1, b"hi", last=True)
    session.send(1, b"more")

    assert events == [Opened(1, {"streamtype": "stdin"}), Received(1, b"hello"), Ended(1)]
    assert said(session) == ([1], {1: b"hi"}, [1], [], [], None)


def test_frames_come_in_any_pieces() -> None:
    whole = Talk().syn(1, a="b") + data(1, bytes(70_000), fin=True)
    bytewise, at_once = Session(), Session()

    events = received(bytewise, *(whole[i : i + 1] for i in range(len(whole))))

    assert events == received(at_once, whole)
    assert [len(event.data) for event in events if isinstance(event, Received)] == [65_536, 4464]


def test_a_reset_stream_neither_gives_nor_takes() -> None:
    session, talk = Session(), Talk()

    events = received(session, talk.syn(1), reset(1), data(1, b"late"), reset(1))
    session.send(1, b"lost", last=True)
    session.reset(1)

    assert events == [Opened(1, {}), Aborted(1)] and session.output() == b""


def test_a_ping_is_answered_and_one_of_ours_is_not() -> None:
    session = Session()

    received(session, ping(7), ping(8))

    assert said(session) == ([], {}, [], [], [7], None)


def test_streams_are_bounded() -> None:
    session, talk = Session(), Talk()

    events = received(session, *(talk.syn(2 * n + 1) for n in range(STREAMS_MAX + 2)))

    assert len(events) == STREAMS_MAX
    assert said(session) == ([], {}, [], [2 * STREAMS_MAX + 1, 2 * STREAMS_MAX + 3], [], None)


def test_what_is_unknown_is_passed_over_and_headers_after_the_first_are_read() -> None:
    session, headers = Session(), HeaderWriter()
    opening = frames.pack(1, 0) + b"\0\0" + headers.write({"a": "1"})
    later = frames.pack(1) + headers.write({"b": "2"})
    next_one = frames.pack(3, 0) + b"\0\0" + headers.write({"a": "1"})
    unknown = [Control(type, 0, b"12345678") for type in (frames.SETTINGS, frames.WINDOW_UPDATE, 5, 99)]
    parts = [
        Control(frames.SYN_STREAM, 0, opening),
        *unknown,
        Control(frames.HEADERS, frames.FLAG_FIN, later),
        Control(frames.SYN_STREAM, 0, next_one),
    ]

    assert received(session, *map(frames.encode, parts)) == [Opened(1, {"a": "1"}), Ended(1), Opened(3, {"a": "1"})]


@pytest.mark.parametrize(
    "bad",
    [
        frames.encode(Control(frames.SYN_STREAM, 0, b"short")),
        frames.encode(Control(frames.SYN_STREAM, 0, frames.pack(1, 0) + b"\0\0" + b"no zlib")),
        frames.encode(Control(frames.SYN_STREAM, 0, frames.pack(2, 0) + b"\0\0" + HeaderWriter().write({}))),
        frames.encode(Control(frames.PING, 0, b"")),
        frames.encode(Control(frames.PING, 0, frames.pack(1), version=2)),
        data(1, b"never opened"),
        b"\x80\x03\x00\x01\x00\xff\xff\xff",
    ],
)
def test_whoever_breaks_the_protocol_is_left(bad: bytes) -> None:
    session = Session()

    events = received(session, bad, ping(1))

    assert len(events) == 1 and isinstance(events[0], Closed) and events[0].error
    assert said(session) == ([], {}, [], [], [], frames.GOAWAY_PROTOCOL_ERROR)


def test_a_stream_cannot_be_opened_twice() -> None:
    talk = Talk()

    events = received(Session(), talk.syn(3), talk.syn(3))

    assert [type(event) for event in events] == [Opened, Closed]


def test_headers_that_grow_when_they_are_read_are_bounded() -> None:
    bomb = HeaderWriter().write({"a": "x" * (BLOCK_BYTES_MAX + 1)})

    with pytest.raises(ValueError, match="headers of more than"):
        HeaderReader().read(bomb)


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.text(st.characters(codec="ascii")).map(str.lower), st.text("abc-", max_size=40))))
def test_headers_come_out_as_they_went_in(blocks: list[dict[str, str]]) -> None:
    writer, reader = HeaderWriter(), HeaderReader()

    read = [reader.read(writer.write(block)) for block in blocks]

    assert read == blocks


@given(st.binary(max_size=200), st.integers(0, 10), st.integers(0, 255), st.booleans())
def test_no_bytes_raise_anything(noise: bytes, type: int, flags: int, framed: bool) -> None:
    session = Session()
    received(session, Talk().syn(1))

    events = received(session, frames.encode(Control(type, flags, noise)) if framed else noise, noise)

    assert sum(isinstance(event, Closed) for event in events) <= 1


_MOVES = st.lists(
    st.tuples(st.sampled_from(["syn", "data", "fin", "reset", "send", "last"]), st.sampled_from([1, 3, 5]))
)


@given(_MOVES)
def test_what_a_stream_may_still_do_is_as_a_plain_model_has_it(moves: list[tuple[str, int]]) -> None:
    """The model: two booleans for each stream."""
    session, talk = Session(), Talk()
    theirs: dict[int, bool] = {}
    ours: dict[int, bool] = {}
    for move, stream in moves:
        events: list[Event] = []
        known = stream in theirs
        match move:
            case "syn" if all(stream > each for each in theirs):
                events = received(session, talk.syn(stream))
                theirs[stream] = ours[stream] = True
                assert events == [Opened(stream, {})]
            case "data" | "fin" if known:
                fin = move == "fin"
                events = received(session, data(stream, b"x", fin=fin))
                expected = [Received(stream, b"x"), *([Ended(stream)] if fin else [])]
                assert events == (expected if theirs[stream] else [])
                theirs[stream] = theirs[stream] and not fin
            case "reset" if known:
                events = received(session, reset(stream))
                assert events == ([Aborted(stream)] if theirs[stream] or ours[stream] else [])
                theirs[stream] = ours[stream] = False
            case "send" | "last" if known:
                session.send(stream, b"y", last=move == "last")
                assert bool(session.output()) == ours[stream]
                ours[stream] = ours[stream] and move != "last"
        assert session.is_open(stream) == ours.get(stream, False)
