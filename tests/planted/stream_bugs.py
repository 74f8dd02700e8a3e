"""Bugs of exec, attach and port-forward, from the client's wire to the process."""

from __future__ import annotations

from tests.planted.bug import Bug

STREAMS = [
    Bug(
        "SPDY compresses each block of headers anew",
        "actors/apiserver/spdy/header_block.py",
        "            data = self._zlib.decompress(block, BLOCK_BYTES_MAX)",
        "            data = zlib.decompressobj(zdict=DICTIONARY).decompress(block, BLOCK_BYTES_MAX)",
        "tests/apiserver/spdy/test_session.py::test_headers_come_out_as_they_went_in",
    ),
    Bug(
        "SPDY skips headers that come later, so that those after them cannot be read",
        "actors/apiserver/spdy/session.py",
        "                self._headers_in.read(frame.payload[4:])  # or those after it could not be read\n",
        "",
        "tests/apiserver/spdy/test_session.py::test_what_is_unknown_is_passed_over_and_headers_after_the_first_are_read",
    ),
    Bug(
        "SPDY sends on a stream that the client has reset",
        "actors/apiserver/spdy/session.py",
        "                if self._streams.pop(frames.stream_of(stream), None) is not None:\n",
        "                if frames.stream_of(stream) in self._streams:\n",
        "tests/apiserver/spdy/test_session.py::test_a_reset_stream_neither_gives_nor_takes",
    ),
    Bug(
        "A SPDY connection reads on though nobody takes what it has read",
        "actors/apiserver/rest/upgrade.py",
        "            self._transport.pause_reading()\n",
        "            pass\n",
        "tests/apiserver/test_portforward.py::test_input_that_the_pod_does_not_take_holds_up_its_client_alone",
    ),
    Bug(
        "Half pairs of a port-forward are kept for ever",
        "actors/apiserver/rest/portforward_streams.py",
        "            if not forward.complete and stream in forward.streams.values():\n",
        "            if False:\n",
        "tests/apiserver/test_portforward.py::test_pairs_that_never_become_whole_are_forgotten",
    ),
    Bug(
        "A forwarded connection outlives its client's stream",
        "actors/apiserver/rest/portforward_streams.py",
        "            forward.end()\n            if not forward.complete:\n",
        "            if not forward.complete:\n",
        "tests/apiserver/test_portforward.py::test_a_client_that_resets_its_stream_ends_the_connection_to_the_pod",
    ),
    Bug(
        "An older version of the API serves kinds that came later",
        "actors/apiserver/custom/served.py",
        "return self._builtin_by_path.get((group, version, plural))",
        "return found",
        "tests/apiserver/test_versions_served.py::test_a_kind_that_came_later_is_not_served_by_an_older_version",
    ),
    Bug(
        "Usage is measured from a look a moment ago",
        "actors/kubelet/usage.py",
        "if look.at - last.at < WINDOW_MIN_S:",
        "if False:",
        "tests/kubelet/test_usage.py::test_looks_that_follow_close_on_one_another_do_not_shorten_the_window",
    ),
    Bug(
        "A claim of a stateful set is no volume of its pods",
        "actors/apiserver/rules/validate/workloads.py",
        '"volumes": [*given, *own]',
        '"volumes": own',
        "tests/apiserver/rules/test_validate_kinds.py::test_a_claim_of_a_stateful_set_is_a_volume_of_its_pods",
    ),
    Bug(
        "A pod that is being evicted still counts as healthy",
        "actors/controllers/disruption.py",
        "pod.ready and not pod.deleting and pod.name not in noted",
        "pod.ready and not pod.deleting",
        "tests/controllers/test_disruption.py"
        "::test_an_evicted_pod_counts_as_lost_until_it_is_gone_or_two_minutes_are_over",
    ),
    Bug(
        "A budget does not follow the number of replicas that is wanted",
        "actors/controllers/disruption.py",
        "return _scale_of(owner, views) or (resource, owner)",
        "return None",
        "tests/controllers/test_disruption.py::test_pods_that_are_not_there_yet_are_expected",
    ),
    Bug(
        "Who is attached keeps the output stopped after it has left",
        "actors/runtime/attachments.py",
        "        self.has_room(attachment)\n",
        "",
        "tests/runtime/test_commands.py::test_who_does_not_read_stops_the_containers_output_until_it_leaves",
    ),
    Bug(
        "The first who leaves ends the container's input for everybody",
        "actors/runtime/attachments.py",
        "last and self._stdin_once",
        "last",
        "tests/runtime/test_commands.py::test_the_container_goes_on_when_who_is_attached_leaves",
    ),
    Bug(
        "An ephemeral container is run again when the runtime has forgotten it",
        "actors/kubelet/container_worker.py",
        'if self.kind != "ephemeral" or self.attempt < 0:',
        "if True:",
        "tests/kubelet/test_pod_worker.py::test_an_ephemeral_container_runs_once_whatever_the_pods_policy_is",
    ),
    Bug(
        "The way for ephemeral containers changes the rest of the spec as well",
        "actors/apiserver/rules/prepare.py",
        '    spec = {**old["spec"]}\n    _put_back',
        '    spec = {**new["spec"]}\n    _put_back',
        "tests/apiserver/test_subresources.py::test_the_way_for_ephemeral_containers_changes_nothing_else",
    ),
    Bug(
        "several events of a watch over WebSocket are one message",
        "actors/apiserver/rest/watch_socket.py",
        "        for line in bytes(data).splitlines():\n",
        "        for line in [bytes(data)]:\n",
        "tests/apiserver/test_watch_socket.py::test_events_that_come_together_are_told_apart",
    ),
    Bug(
        "a watch over WebSocket does not answer a client's goodbye",
        "actors/apiserver/rest/watch_socket.py",
        "        async for _ in self:\n            pass\n",
        "",
        "tests/apiserver/test_watch_socket.py::test_it_ends_in_time_and_with_its_client",
    ),
    Bug(
        "a token that a browser offers is what is spoken",
        "actors/apiserver/rest/authenticate.py",
        "name for name in _protocols(request) if not name.startswith(_TOKEN_PROTOCOL))",
        "name for name in _protocols(request))",
        "tests/apiserver/test_watch_socket.py::test_the_token_is_not_what_is_spoken",
    ),
]
