"""Bugs of the door for etcd's clients, and of what the store reads from disks."""

from __future__ import annotations

from tests.planted.bug import Bug

HTTP2 = "actors/etcd/grpc/http2.py"
TESTS = "tests/etcd/test_http2.py::"
DOOR = "tests/etcd/test_door.py::"
HOSTILE = "tests/etcd/test_hostile_clients.py::"
APISERVER = "tests/etcd/test_apiserver_calls.py::"
FUZZ = "tests/fuzz/test_bytes.py::"

WATCHES = "tests/etcd/test_watch_door.py::"
WEB = "tests/etcd/test_web_door.py::"
SNAPSHOT = "tests/etcd/test_snapshot.py::"
COPY = "tests/etcd/test_copy.py::"
TURNS = "actors/etcd/grpc/turns.py"
LINE = "tests/etcd/test_turns_sim.py::"
TURNS_DOOR = "tests/etcd/test_turns_door.py::"

GRPC = [
    Bug(
        "turns: whoever asks has the lock",
        TURNS,
        "is_first = done.responses[1].kvs[0].create_revision == created",
        "is_first = True",
        TURNS_DOOR + "test_a_lock_is_a_key_named_after_the_lease_and_goes_to_who_asked_next",
    ),
    Bug(
        "turns: who waits waits for itself",
        TURNS,
        "max_create_revision=place.created - 1",
        "max_create_revision=place.created",
        TURNS_DOOR + "test_the_end_of_the_lease_gives_the_lock_to_the_next",
    ),
    Bug(
        "turns: who goes away while it waits stays in the line",
        TURNS,
        '            self._turns.background(self._leave_quietly(place), "a place in a line")\n            raise\n',
        "            raise\n",
        TURNS_DOOR + "test_a_caller_whose_connection_ends_leaves_the_line",
    ),
    Bug(
        "turns: who goes away before it knows its place stays in the line",
        TURNS,
        "            taken.add_done_callback(self._leave_at_once)\n",
        "",
        LINE + "test_a_caller_that_goes_away_leaves_the_line_also_before_it_knows_its_place",
    ),
    Bug(
        "turns: who has waited long enough stays in the line",
        TURNS,
        "            await self._leave_quietly(place)\n            raise Refused(Code.DEADLINE",
        "            raise Refused(Code.DEADLINE",
        LINE + "test_who_waits_no_longer_than_a_time_has_left_the_line_when_it_is_told",
    ),
    Bug(
        "turns: a lock is held by a lease that has ended",
        TURNS,
        "if not held.kvs or held.kvs[0].create_revision != place.created:",
        "if held.kvs and held.kvs[0].create_revision != place.created:",
        LINE + "test_who_has_lost_its_lease_while_it_waited_has_no_turn",
    ),
    Bug(
        "turns: what goes between the look and the watch is missed",
        TURNS,
        "start_revision=found.revision + 1",
        "start_revision=0",
        LINE + "test_what_happened_between_the_look_and_the_watch_is_not_missed",
    ),
    Bug(
        "turns: who waits is refused when the member here is away for a moment",
        TURNS,
        "        except AskError:\n            await asyncio.sleep(PAUSE_S)",
        "        except AskError as error:\n            raise without_code(refused(error)) from error",
        LINE + "test_who_waits_goes_on_when_the_member_that_is_watched_comes_back",
    ),
    Bug(
        "turns: a refusal has a code, which etcd's has not",
        TURNS,
        "return Refused(Code.UNKNOWN, refusal.text)",
        "return refusal",
        TURNS_DOOR + "test_refusals_have_etcds_words",
    ),
    Bug(
        "turns: what is asked there is asked in nobody's name",
        TURNS,
        "as_user(self._user, request) if self._user else request",
        "request",
        TURNS_DOOR + "test_whoever_asks_must_be_let_also_to_unlock",
    ),
    Bug(
        "election: whoever led says something as the leader",
        "actors/etcd/grpc/election.py",
        '            raise NOT_LEADER\n        return self.response("Proclaim"',
        '            pass\n        return self.response("Proclaim"',
        TURNS_DOOR + "test_who_campaigns_leads_when_those_before_have_resigned",
    ),
    Bug(
        "election: who observes hears only who leads when it comes",
        "actors/etcd/grpc/election.py",
        "                    await self._tell(event.kv, response.revision)\n",
        "                    continue\n",
        TURNS_DOOR + "test_who_observes_sees_what_each_leader_says",
    ),
    Bug(
        "grpc: what fills up a copy is not in its digest",
        "actors/etcd/grpc/maintenance.py",
        "        digest.update(filling)\n",
        "",
        COPY + "test_a_copy_over_the_network_is_restored_with_all_that_was_there",
    ),
    Bug(
        "store: what stands behind a copy that came over the network is taken for damage",
        "actors/etcd/files.py",
        "read_snapshot(file.read, sealed=sealed)",
        "read_snapshot(file.read)",
        COPY + "test_a_copy_over_the_network_is_restored_with_all_that_was_there",
    ),
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
        "store: a payload that is none crashes whoever reads the log",
        "actors/etcd/records.py",
        "UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError)",
        "UNDECODABLE = (UnicodeDecodeError,)",
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
    Bug(
        "grpc: who asks for no more watches hears of none",
        "actors/etcd/grpc/watch.py",
        "        await asyncio.get_running_loop().create_future()  # who asks for no more",
        "        # who asks for no more",
        WATCHES + "test_who_has_no_more_to_ask_still_hears_of_what_comes",
    ),
    Bug(
        "grpc: a refused watch overtakes those that were asked for before",
        "actors/etcd/grpc/watch.py",
        "            await self._all_are_created()\n            self._refuse(reason)",
        "            self._refuse(reason)",
        WATCHES + "test_a_refusal_comes_after_what_was_asked_for_before",
    ),
    Bug(
        "grpc: a watch is canceled that nobody heard was created",
        "actors/etcd/grpc/watch.py",
        "        await self._all_are_created()\n        watch = self._watches.pop(number, None)",
        "        watch = self._watches.pop(number, None)",
        WATCHES + "test_a_watch_that_is_canceled_at_once_is_created_first",
    ),
    Bug(
        "grpc: what a transaction reads before it writes has the revision of the write",
        "actors/etcd/grpc/convert.py",
        "    revision = before\n",
        "    revision = after\n",
        DOOR + "test_each_part_of_a_transaction_says_the_revision_that_it_has_seen",
    ),
    Bug(
        "grpc: what only reads is not asked again when its replica dies",
        "actors/etcd/grpc/replica.py",
        "if self._reads and self._loop.time()",
        "if False and self._loop.time()",
        "tests/etcd/test_replica.py::test_what_only_reads_is_asked_again_when_its_replica_dies",
    ),
    Bug(
        "grpc: what writes is asked again when its replica dies",
        "actors/etcd/grpc/replica.py",
        "if self._reads and self._loop.time()",
        "if self._loop.time()",
        "tests/etcd/test_replica.py::test_what_only_reads_is_asked_again_when_its_replica_dies",
    ),
    Bug(
        "http: a web page of somewhere else may write",
        "actors/etcd/grpc/web.py",
        'if "origin" in request.fields:',
        "if False:",
        WEB + "test_a_web_page_of_somewhere_else_reaches_nothing",
    ),
    Bug(
        "http: a watch outlives its client",
        "actors/etcd/grpc/web.py",
        "            self._task.cancel()\n",
        "            pass\n",
        WEB + "test_a_watch_whose_client_is_gone_is_gone",
    ),
    Bug(
        "http: the length of a body is not looked at",
        "actors/etcd/grpc/http1.py",
        'self._check(int(dict(head.headers).get(b"content-length", 0)))',
        "pass",
        WEB + "test_what_is_no_request_is_answered_once_and_closed",
    ),
    Bug(
        "http: a body in chunks may be of any size",
        "actors/etcd/grpc/http1.py",
        "self._check(len(self._body))",
        "pass",
        WEB + "test_a_body_in_chunks_has_the_bound_of_any_other",
    ),
    Bug(
        "http: an alarm leaves a member well",
        "actors/etcd/grpc/pages.py",
        "if alarm.kind != excluded",
        "if not alarm.kind",
        WEB + "test_an_alarm_makes_it_unwell_unless_it_is_excluded",
    ),
    Bug(
        "etcd serve: files with which TLS cannot begin are each replica's to find",
        "actorkube/cli/etcd_serve.py",
        '    _check_tls(options.cert_file, options.key_file, options.trusted_ca_file or "")\n',
        "",
        "tests/etcd/test_etcd_serve.py::test_files_with_which_tls_cannot_begin_are_refused_at_once",
    ),
    Bug(
        "store: a key whose last version is a deletion is live after a start",
        "actors/etcd/mvcc/keys.py",
        "                del live[newest.key]\n",
        "",
        SNAPSHOT + "test_keys_that_are_deleted_written_anew_or_on_a_lease_are_so_after_a_start",
    ),
    Bug(
        "store: superseded versions are not read from a snapshot that has few of them",
        "actors/etcd/mvcc/keys.py",
        "if max(map(len, found), default=1) > 1 or",
        "if",
        SNAPSHOT + "test_keys_that_are_deleted_written_anew_or_on_a_lease_are_so_after_a_start",
    ),
    Bug(
        "store: after a start no key is on its lease",
        "actors/etcd/mvcc/dump.py",
        "        if self.leases:\n",
        "        if self.alarms:\n",
        SNAPSHOT + "test_keys_that_are_deleted_written_anew_or_on_a_lease_are_so_after_a_start",
    ),
    Bug(
        "store: a lease is said to live longer than it does for sure",
        "actors/etcd/mvcc/leases.py",
        "max(0, math.floor(deadline - now))",
        "max(0, math.ceil(deadline - now))",
        "tests/etcd/test_store.py::test_a_lease_is_said_to_live_for_the_seconds_that_it_has_for_sure",
    ),
]
