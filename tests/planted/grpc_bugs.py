"""Bugs of the door for etcd's clients."""

from __future__ import annotations

from tests.planted.bug import Bug

HTTP2 = "actors/etcd/grpc/http2.py"
TESTS = "tests/etcd/test_http2.py::"

GRPC = [
    Bug(
        "grpc: frames that make work and ask nothing are not counted",
        HTTP2,
        "        if self._work < 0:",
        "        if self._work < -1e9:",
        TESTS + "test_a_flood_of_pings_ends_the_connection_but_not_as_many_in_an_hour",
    ),
    Bug(
        "grpc: a header block may go on for ever",
        HTTP2,
        "if len(block) > BLOCK_BYTES_MAX:",
        "if False:",
        TESTS + "test_a_header_block_without_an_end_ends_the_connection",
    ),
    Bug(
        "grpc: a stream's window is not looked at",
        HTTP2,
        "room = min(stream.window, self._window, self._peer_frame_max)",
        "room = min(self._window, self._peer_frame_max)",
        TESTS + "test_a_stream_whose_reader_is_slow_delays_no_other",
    ),
]
