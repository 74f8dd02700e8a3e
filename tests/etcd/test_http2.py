"""HTTP/2 without I/O: two ends that talk, and peers that make no sense."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.etcd.grpc import http2
from actors.etcd.grpc.fields import write
from actors.etcd.grpc.http2 import Connection, Data, Ended, Event, Headers, Reset
from tests.effort import examples

REQUEST = write([(b":method", b"POST"), (b":path", b"/a/B")])
SETTINGS = struct.pack(">HBBBI", 0, 0, http2.SETTINGS, 0, 0)


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack(">HBBBI", len(body) >> 8, len(body) & 255, kind, flags, stream) + body


def greeted() -> Connection:
    server = Connection(client=False)
    server.receive(http2.PREFACE + SETTINGS, 0.0)
    server.take_output()
    return server


def talk(client: Connection, server: Connection) -> list[Event]:
    """All that either end has to say; what the client hears."""
    heard: list[Event] = []
    while True:
        to_server, to_client = client.take_output(), server.take_output()
        if not (to_server or to_client):
            return heard
        server.receive(to_server, 0.0)
        heard += client.receive(to_client, 0.0)


def ending(events: list[Event]) -> Ended:
    assert isinstance(events[-1], Ended), events
    return events[-1]


def test_a_call_and_its_answer_come_across() -> None:
    client, server = Connection(client=True), Connection(client=False)
    stream = client.open(REQUEST)
    client.data(stream, b"question", end=True)
    asked = server.receive(client.take_output(), 0.0)

    server.answer(stream, write([(b":status", b"200")]), b"answer", write([(b"grpc-status", b"0")]))
    heard = talk(client, server)

    assert asked == [
        Headers(1, {b":method": b"POST", b":path": b"/a/B"}, False, True),
        Data(1, b"question", True),
    ]
    assert [event.data for event in heard if isinstance(event, Data)] == [b"answer"]
    assert heard[-1] == Headers(1, {b"grpc-status": b"0"}, True, False)
    assert client.streams == server.streams == 0


def test_what_is_larger_than_the_windows_comes_across_whole() -> None:
    client, server = Connection(client=True), Connection(client=False)
    stream = client.open(REQUEST)
    client.data(stream, b"", end=True)
    server.receive(client.take_output(), 0.0)
    answer = bytes(range(256)) * (24 << 10)

    server.answer(stream, write([(b":status", b"200")]), answer, write([(b"grpc-status", b"0")]))
    heard = talk(client, server)

    assert b"".join([event.data for event in heard if isinstance(event, Data)]) == answer
    assert server.waiting_bytes == 0


def test_a_stream_whose_reader_is_slow_delays_no_other() -> None:
    server = greeted()
    server.receive(frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20)), 0.0)
    for stream in (1, 3):
        server.receive(frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, REQUEST), 0.0)

    server.data(1, bytes(100_000))
    server.data(3, b"quick")

    assert server.waiting(1) == 100_000 - http2.WINDOW_DEFAULT
    assert server.waiting(3) == 0


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", http2.PROTOCOL_ERROR),
        (http2.PREFACE + frame(http2.PING, 0, 0, bytes(8)), http2.PROTOCOL_ERROR),
        (http2.PREFACE + SETTINGS + frame(http2.DATA, 0, 1, b"x"), http2.PROTOCOL_ERROR),
        (http2.PREFACE + SETTINGS + frame(http2.HEADERS, 4, 2, REQUEST), http2.PROTOCOL_ERROR),
        (http2.PREFACE + SETTINGS + frame(http2.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff"), http2.COMPRESSION_ERROR),
        (http2.PREFACE + SETTINGS + frame(http2.HEADERS, 0, 1, REQUEST) + SETTINGS, http2.PROTOCOL_ERROR),
        (http2.PREFACE + SETTINGS + frame(http2.HEADERS, 12, 1, b"\x09abc"), http2.PROTOCOL_ERROR),
        (http2.PREFACE + SETTINGS + frame(http2.WINDOW_UPDATE, 0, 0, bytes(4)), http2.PROTOCOL_ERROR),
        (http2.PREFACE + SETTINGS + frame(http2.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), http2.FLOW_CONTROL_ERROR),
        (http2.PREFACE + SETTINGS + b"\xff\xff\xff\0\0\0\0\0\0", http2.FRAME_SIZE_ERROR),
    ],
)
def test_who_makes_no_sense_is_told_why_and_is_out(said: bytes, code: int) -> None:
    server = Connection(client=False)

    events = server.receive(said, 0.0)

    assert ending(events).code == code
    assert server.receive(frame(http2.PING, 0, 0, bytes(8)), 1.0) == []


def test_a_flood_of_pings_ends_the_connection_but_not_as_many_in_an_hour() -> None:
    server, patient = greeted(), greeted()
    ping = frame(http2.PING, 0, 0, bytes(8))

    events = [event for _ in range(3_000) for event in server.receive(ping, 0.0)]
    spread = [event for second in range(3_000) for event in patient.receive(ping, float(second))]

    assert ending(events).code == http2.ENHANCE_YOUR_CALM
    assert spread == []


def test_a_flood_of_streams_that_are_reset_at_once_ends_the_connection() -> None:
    server, events = greeted(), []
    for stream in range(1, 6_001, 2):
        events += server.receive(frame(http2.HEADERS, 5, stream, REQUEST), 0.0)
        events += server.receive(frame(http2.RST_STREAM, 0, stream, bytes(4)), 0.0)

    assert ending(events).code == http2.ENHANCE_YOUR_CALM
    assert server.streams <= 1


def test_a_header_block_without_an_end_ends_the_connection() -> None:
    server = greeted()
    server.receive(frame(http2.HEADERS, 0, 1, REQUEST), 0.0)

    events = [event for _ in range(10) for event in server.receive(frame(http2.CONTINUATION, 0, 1, bytes(8_000)), 0.0)]

    assert ending(events).code == http2.ENHANCE_YOUR_CALM


def test_a_header_block_in_pieces_with_padding_and_priority_is_read() -> None:
    server = greeted()
    body = b"\x02" + bytes(5) + REQUEST[:4] + bytes(2)

    server.receive(frame(http2.HEADERS, http2.PADDED | http2.PRIORITIZED, 1, body), 0.0)
    events = server.receive(frame(http2.CONTINUATION, http2.END_HEADERS, 1, REQUEST[4:]), 0.0)

    assert events == [Headers(1, {b":method": b"POST", b":path": b"/a/B"}, False, True)]


@given(
    st.lists(
        st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=40)), max_size=30
    ),
    st.lists(st.integers(1, 50), max_size=10),
)
@settings(max_examples=examples(300), deadline=None)
def test_whatever_frames_come_and_however_they_are_cut_it_goes_on_or_ends(
    frames: list[tuple[int, int, int, bytes]], cuts: list[int]
) -> None:
    said = http2.PREFACE + SETTINGS + b"".join([frame(*each) for each in frames])
    server, events, at = Connection(client=False), [], 0
    whole = Connection(client=False).receive(said, 0.0)

    for cut in [*cuts, len(said)]:
        events += server.receive(said[at : at + cut], 0.0)
        at += cut

    assert events == whole
    assert server.streams <= len(frames)
    assert all(isinstance(event, Headers | Data | Reset | Ended) for event in events)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_whatever_bytes_come_nothing_is_raised(said: bytes) -> None:
    server, client = greeted(), Connection(client=True)

    server.receive(said, 0.0)
    client.receive(said, 0.0)


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=4))
@settings(deadline=None)
def test_requests_larger_than_the_windows_end_once_and_whole(sizes: list[int]) -> None:
    client, server = Connection(client=True), Connection(client=False)
    for size in sizes:
        client.data(client.open(REQUEST), b"x" * size, end=True)

    came: dict[int, list[Data]] = {}
    while to_server := client.take_output():
        for event in server.receive(to_server, 0.0):
            assert not isinstance(event, Ended), event
            if isinstance(event, Data):
                came.setdefault(event.stream, []).append(event)
        client.receive(server.take_output(), 0.0)
        for number in (0, *came):  # also for those that have ended
            client.receive(frame(http2.WINDOW_UPDATE, 0, number, struct.pack(">I", 20_000)), 0.0)

    assert [sum(len(event.data) for event in came[stream]) for stream in sorted(came)] == sizes
    assert all([event.end for event in events] == [False] * (len(events) - 1) + [True] for events in came.values())
