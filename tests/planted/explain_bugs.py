"""Bugs of `why` and `whatif`."""

from __future__ import annotations

from tests.planted.bug import Bug

EXPLANATIONS = [
    Bug(
        "whatif places a part of a gang",
        "actors/scheduler/explain/whatif.py",
        "if wants is not None and there >= wants:",
        "if True:",
        "tests/scheduler/test_whatif.py::test_pods_of_a_gang_are_placed_all_or_none",
    ),
    Bug(
        "why lets a placed pod stand in its own way",
        "actors/scheduler/explain/why.py",
        "if key_of(each) != key]}",
        "if key]}",
        "tests/scheduler/test_why.py::test_a_pod_does_not_stand_in_its_own_way",
    ),
    Bug(
        "why says that a remedy was tried which was not",
        "actors/scheduler/explain/why.py",
        "tried=would_fit(others, profile, demand.pod, near.node, helpful)",
        "tried=True",
        "tests/scheduler/test_why.py::test_it_says_what_the_reference_says_and_what_helped_helps_there_too",
    ),
    Bug(
        "why forgets a part of what is missing",
        "actors/scheduler/explain/remedies.py",
        "missing = int(wanted.column.requested.at[row]) + wanted.amount - capacity",
        "missing = int(wanted.column.requested.at[row]) + wanted.amount - capacity - 1",
        "tests/scheduler/test_why.py::test_what_would_help_is_said_and_was_tried",
    ),
    Bug(
        "whatif does not try again who waits for company",
        "actors/scheduler/explain/whatif.py",
        "self._queue.on_event(ClusterEvent.POD_ADDED,",
        "self._queue.on_event(ClusterEvent.NONE,",
        "tests/scheduler/test_whatif.py::test_the_more_important_pod_goes_first_and_one_that_follows_waits_for_its_company",
    ),
    Bug(
        "whatif puts the pods of a daemon set anywhere",
        "actors/controllers/daemon_pods.py",
        '"operator": "In", "values": [node]}]}',
        '"operator": "In", "values": []}]}',
        "tests/scheduler/test_manifests.py::test_a_daemon_set_has_a_pod_for_each_node_that_it_may_run_on",
    ),
    Bug(
        "the score table is that of a cluster on which the pod is already",
        "actors/scheduler/explain/whatif.py",
        "if self._rated:\n                self._look_at_scores(demand, found.node)\n"
        "            self._state.assume(demand, found.node)",
        "self._state.assume(demand, found.node)\n            if self._rated:\n"
        '                self._look_at_scores(demand, "")',
        "tests/cli/test_whatif.py::test_the_score_table_shows_what_put_the_first_pod_of_each_workload_where_it_went",
    ),
    Bug(
        "who reads only the first lines of why or whatif is shown a traceback",
        "actorkube/cli/__init__.py",
        "if not _reader_has_left():",
        "if True:",
        "tests/cli/test_whatif.py::test_who_has_read_enough_may_leave",
    ),
]
