"""Bugs of a node: kubelet, container runtime, proxy."""

from __future__ import annotations

from tests.planted.bug import Bug

NODE = [
    Bug(
        "who waits for an image is told what the kubelet calls it",
        "actors/kubelet/logs.py",
        "        return _PULLS.get(container.waiting.reason, container.waiting.reason)\n",
        "        return container.waiting.reason\n",
        "tests/kubelet/test_logs.py::test_an_image_that_cannot_be_pulled_is_why",
    ),
    Bug(
        "a pod that is not given what it asks for has it all the same, when its container starts again",
        "actors/kubelet/pod_worker.py",
        '                worker.spec_changed({**spec, "resources": worker.resources})\n',
        "                worker.spec_changed(spec)\n",
        "tests/kubelet/test_resize.py::test_what_there_is_no_room_for_waits_and_the_container_keeps_what_it_has",
    ),
    Bug(
        "a pod is said to have what it was only given",
        "actors/kubelet/container_worker.py",
        "        return self.before if self.resizing else self.resources\n",
        "        return self.resources\n",
        "tests/kubelet/test_resize.py::test_what_is_given_is_updated_in_the_container_that_runs_on",
    ),
    Bug(
        "a kubelet that starts again takes what is asked for as given",
        "actors/kubelet/pod_worker.py",
        "        pod = with_given(self.pod, given) if given else self.pod\n",
        "        pod = self.pod\n",
        "tests/kubelet/test_resize.py::test_a_kubelet_that_starts_again_goes_on_where_the_other_was",
    ),
    Bug(
        "nobody looks again when there is room for a resize",
        "actors/kubelet/actor.py",
        "        if self._lacks_room and worker.stopping and not stopped:\n",
        "        if False:\n",
        "tests/kubelet/test_resize_node.py::test_a_resize_waits_for_room_and_gets_it_when_another_pod_goes",
    ),
    Bug(
        "a running process keeps its old limit of memory",
        "actors/runtime/processes.py",
        "        for pid in found:\n            _limit(pid, launch)\n",
        "        for pid in found:\n",
        "tests/runtime/test_process_backend.py::test_other_amounts_count_at_once_for_all_that_runs_in_a_container",
    ),
    Bug(
        "kubelet asks for the same thing twice while it is under way",
        "actors/kubelet/slots.py",
        "if slot in self._under_way:",
        "if False:",
        "tests/kubelet/test_kubelet.py::test_a_pod_runs_becomes_ready_and_leaves_nothing_behind_when_it_is_deleted",
    ),
    Bug(
        "kubelet runs two instances at once, of an old sandbox and a new one",
        "actors/kubelet/pod_worker.py",
        "        if not self.facts.running():\n            self._groundwork",
        "        if True:\n            self._groundwork",
        "tests/kubelet/test_pod_worker.py::test_a_new_sandbox_waits_until_what_ran_in_the_lost_one_has_ended",
    ),
    Bug(
        "kubelet acts although an answer was lost",
        "actors/kubelet/pod_worker.py",
        "if not self.uncertain:",
        "if True:",
        "tests/kubelet/test_pod_worker.py::test_a_lost_answer_stops_everything_until_the_runtime_has_been_listed",
    ),
    Bug(
        "kubelet backs off too little",
        "actors/kubelet/backoff.py",
        "min(2 * self.delay_s, self.most_s)",
        "self.first_s",
        "tests/kubelet/test_pod_worker.py"
        "::test_the_first_crash_is_answered_at_once_and_later_ones_after_growing_pauses",
    ),
    Bug(
        "kubelet ignores a failed liveness probe",
        "actors/kubelet/container_worker.py",
        "elif (failed := self.probes.failed) is not None:",
        "elif (failed := None) is not None:",
        "tests/kubelet/test_pod_worker.py::test_readiness_decides_about_traffic_and_liveness_about_life",
    ),
    Bug(
        "kubelet calls ready what has not answered its readiness probe",
        "actors/kubelet/probes.py",
        "(readiness is None or readiness.result is True)",
        "True",
        "tests/kubelet/test_pod_worker.py::test_readiness_decides_about_traffic_and_liveness_about_life",
    ),
    Bug(
        "kubelet gives no grace",
        "actors/kubelet/pod_worker.py",
        "deadline = self._stop_since + self._grace_s()",
        "deadline = self._stop_since",
        "tests/kubelet/test_pod_worker.py::test_a_deleted_pod_ends_gracefully_and_leaves_the_api_when_nothing_runs",
    ),
    Bug(
        "kubelet ends sidecars first",
        "actors/kubelet/pod_worker.py",
        "if not any(_is_running(worker) for worker in others):",
        "if True:",
        "tests/kubelet/test_pod_worker.py::test_a_deleted_pod_ends_its_sidecars_last",
    ),
    Bug(
        "runtime shim leaves stragglers of a container behind",
        "actors/runtime/processes.py",
        "            child.signal_group(signal.SIGKILL)\n        self._sweep_later(0)\n",
        "            child.signal_group(signal.SIGKILL)\n",
        "tests/runtime/test_process_backend.py::test_a_daemon_that_left_the_session_ends_with_its_container",
    ),
    Bug(
        "a command goes on printing when nobody takes its output",
        "actors/runtime/output_queue.py",
        "        if self._waiting_bytes >= WAITING_BYTES_MAX:\n",
        "        if False:\n",
        "tests/runtime/test_commands.py::test_output_that_nobody_takes_stops_the_command",
    ),
    Bug(
        "a command outlives its client",
        "actors/runtime/sessions.py",
        "            command.kill()",
        "            pass",
        "tests/runtime/test_commands.py::test_closing_the_stream_ends_the_command",
    ),
    Bug(
        "proxy sends traffic to endpoints that are not ready",
        "actors/proxy/rules.py",
        "is_ready = ready is None or bool(ready)",
        "is_ready = True",
        "tests/proxy/test_rules.py::test_every_address_of_a_service_leads_to_its_ready_endpoints",
    ),
    Bug(
        "proxy sends all traffic to one endpoint",
        "actors/proxy/balancer.py",
        "(self._turn + 1) % len(endpoints)",
        "self._turn",
        "tests/proxy/test_balancer.py::test_takes_the_endpoints_in_turn_and_offers_the_others_as_well",
    ),
]
