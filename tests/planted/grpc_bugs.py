"""Bugs of the door for etcd's clients, and of what the store reads from disks."""

from __future__ import annotations

from tests.planted.bug import Bug

HTTP2 = "actors/etcd/grpc/http2.py"
TESTS = "tests/etcd/test_http2.py::"
DOOR = "tests/etcd/test_door.py::"
HOSTILE = "tests/etcd/test_hostile_clients.py::"
APISERVER = "tests/etcd/test_apiserver_calls.py::"
FUZZ = "tests/fuzz/test_bytes.py::"

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
    Bug(
        "grpc: a request that has ended ends again when a window opens",
        HTTP2,
        "        if not stream.sends:\n            self._blocked.pop(number, None)\n            return\n",
        "",
        TESTS + "test_requests_larger_than_the_windows_end_once_and_whole",
    ),
    Bug(
        "external etcd: a lost write is said not to have happened",
        "actors/etcd/external/failures.py",
        "return Unknown(str(error)) if error.sent else NotLeader(str(error))",
        "return NotLeader(str(error))",
        "tests/etcd/test_external.py::test_a_failure_says_what_is_known",
    ),
    Bug(
        "external etcd: a watch claims to be as far as etcd is",
        "actors/etcd/external/convert.py",
        "return WatchResponse(last - response.fragment, events, response.fragment)",
        "return WatchResponse(response.header.revision, events, response.fragment)",
        "tests/etcd/test_external.py::test_events_tell_how_far_they_reach_whatever_the_header_says",
    ),
    Bug(
        "external etcd: an endpoint that hangs up is called again",
        "actors/etcd/external/actor.py",
        "if isinstance(error, Lost) or error.text == NO_LEADER.text:",
        "if False:",
        "tests/etcd/test_external.py::test_an_endpoint_that_does_not_serve_is_left_for_the_next",
    ),
    Bug(
        "store: text that is none in a record crashes whoever reads the log",
        "actors/etcd/records.py",
        "UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError)",
        "UNDECODABLE = (msgspec.MsgspecError,)",
        FUZZ + "test_truncated_at_every_byte_and_with_every_bit_flipped_it_is_borne",
    ),
    Bug(
        "grpc: a header block that does not decode crashes the connection's owner",
        "actors/etcd/grpc/fields.py",
        "except (hpack.HPACKError, IndexError) as error:",
        "except IndexError as error:",
        FUZZ + "test_truncated_at_every_byte_and_with_every_bit_flipped_it_is_borne",
    ),
    Bug(
        "grpc: a restored store goes by the number of the one it came from",
        "actors/etcd/grpc/header.py",
        "replica.cluster or self.cluster_id",
        "self.cluster_id",
        DOOR + "test_a_restored_store_is_another_cluster_to_its_clients_from_the_first_answer_on",
    ),
    Bug(
        "grpc: the first answers are given before the store's number is known",
        "actors/etcd/grpc/door.py",
        "        await self._look()  # so that",
        "        pass  # so that",
        DOOR + "test_a_restored_store_is_another_cluster_to_its_clients_from_the_first_answer_on",
    ),
    Bug(
        "grpc: answers that nobody reads are kept for ever",
        "actors/etcd/grpc/server.py",
        "            self._check_waiting()\n        if self._waiters",
        "        if self._waiters",
        HOSTILE + "test_who_reads_no_answers_is_closed_when_too_many_wait",
    ),
    Bug(
        "grpc: a watch does not wait for its reader",
        "actors/etcd/grpc/watch.py",
        "                    await self._call.room()\n                    self._hand_on(response)",
        "                    self._hand_on(response)",
        HOSTILE + "test_a_watcher_that_opens_no_window_keeps_little_waiting_and_others_see_everything",
    ),
    Bug(
        "grpc: requests that are not whole are not counted",
        "actors/etcd/grpc/server.py",
        "        if self._unfinished > UNFINISHED_BYTES_MAX:",
        "        if False:",
        HOSTILE + "test_requests_that_are_never_whole_are_closed",
    ),
    Bug(
        "grpc: what is compacted is refused in other words than etcd's",
        "actors/etcd/grpc/status.py",
        "return Refused(Code[error.grpc_code], error.etcd_text)",
        "return Refused(Code[error.grpc_code], str(error))",
        APISERVER + "test_what_is_compacted_or_yet_to_come_is_refused_in_the_words_it_looks_for",
    ),
    Bug(
        "external etcd: a silent peer is waited for",
        "actors/etcd/external/channel.py",
        "if silent_s > 2 * SILENCE_S:",
        "if False:",
        "tests/etcd/test_external.py::test_a_watch_of_who_answers_no_ping_ends",
    ),
]
