"""Bugs of the scheduler: who has to go for whom, who waits for the room, and gangs."""

from __future__ import annotations

from tests.planted.bug import Bug

PREEMPTION = [
    Bug(
        "what another pod found on its node holds for a pod that waits there",
        "actors/scheduler/preemption.py",
        "*(row for row in (self._own, own) if row is not None)",
        "",
        "tests/scheduler/test_preemption.py"
        "::test_what_another_of_its_kind_finds_where_it_waits_does_not_hold_for_the_pod_itself",
    ),
    Bug(
        "a group that waits is told that it is scheduled",
        "actors/scheduler/actor.py",
        '("False", reason) if why_not else ("True", "Scheduled")',
        '("True", "Scheduled")',
        "tests/scheduler/test_gang_preemption.py::"
        "test_a_group_that_ends_is_told_so_and_the_one_that_comes_when_it_is_scheduled",
    ),
    Bug(
        "a group whose pods end is told that nothing threatens it",
        "actors/scheduler/actor.py",
        '"DisruptionTarget", "True", "PreemptionByScheduler"',
        '"DisruptionTarget", "False", "PreemptionByScheduler"',
        "tests/scheduler/test_gang_preemption.py::"
        "test_a_group_that_ends_is_told_so_and_the_one_that_comes_when_it_is_scheduled",
    ),
    Bug(
        "pods of one group may name two schedulers",
        "actors/scheduler/gangs.py",
        "if gang.resource != POD_GROUPS or len(names) < 2:",
        "if gang.resource != POD_GROUPS or len(names) < 3:",
        "tests/scheduler/test_gangs.py::test_pods_of_a_pod_group_are_of_one_scheduler",
    ),
    Bug(
        "who waits for a node keeps nobody away by anti-affinity",
        "actors/scheduler/preemption.py",
        "self._fit is not None and not any(other.footprint.sort.terms.required_anti for other in beside)",
        "self._fit is not None",
        "tests/scheduler/test_preemption.py::test_who_has_to_go_where_is_what_the_reference_says",
    ),
    Bug(
        "a pod that does not fit where it waits leaves room for itself there",
        "actors/scheduler/cycle.py",
        "crowded[own_row] = 0  # it counts itself there",
        "pass",
        "tests/scheduler/test_crowding.py::test_room_that_others_wait_for_is_left_as_the_reference_leaves_it",
    ),
    Bug(
        "filters that look at other nodes do not see who waits",
        "actors/scheduler/cycle.py",
        "row == own_row or elsewhere or any",
        "row == own_row or any",
        "tests/scheduler/test_crowding.py::test_room_that_others_wait_for_is_left_as_the_reference_leaves_it",
    ),
    Bug(
        "nobody looks again who waits for a node",
        "actors/scheduler/crowding.py",
        "changed = changes.since(self._head) if self._head >= 0 else None",
        "changed = [] if self._head >= 0 else None",
        "tests/scheduler/test_crowding.py::test_what_is_known_of_those_who_wait_follows_them",
    ),
    Bug(
        "a pod waits for a node though the API says that it does not",
        "actors/scheduler/actor.py",
        "self._room_on(self._state.withdraw(key, node), ClusterEvent.POD_DELETED)",
        "pass",
        "tests/scheduler/test_preempting_actor.py::test_a_pod_waits_no_more_when_the_api_says_so",
    ),
    Bug(
        "of a group that ends as a whole one pod ends alone",
        "actors/scheduler/gang_preemption.py",
        "others = () if gang is None else",
        "others = () if True else",
        "tests/scheduler/test_gang_preemption.py::test_a_group_of_pods_ends_as_a_whole_if_it_says_so",
    ),
    Bug(
        "pods of a group that is as important end for a gang",
        "actors/scheduler/preemption.py",
        "return gang is None or gangs.priority(gang) < self._pod.priority",
        "return True",
        "tests/scheduler/test_gang_preemption.py"
        "::test_the_priority_of_a_group_that_ends_as_a_whole_counts_for_all_its_pods",
    ),
    Bug(
        "scheduler lets a part of a gang go",
        "actors/scheduler/plugins/gang_scheduling.py",
        "if wants is not None and placed >= wants:",
        "if True:",
        "tests/scheduler/test_gangs.py::test_a_gang_that_fits_is_placed_and_one_that_does_not_leaves_the_room_to_others",
    ),
    Bug(
        "scheduler binds a gang without having written where its pods go",
        "actors/scheduler/actor.py",
        "written = await asyncio.gather(*pledges)",
        "written = [pledge.close() or True for pledge in pledges]",
        "tests/scheduler/test_gangs.py::test_a_scheduler_that_comes_after_a_crash_keeps_the_room_of_those_not_bound_yet",
    ),
    Bug(
        "scheduler lets pods into the queue before their gang is complete",
        "actors/scheduler/gangs.py",
        "if len(self._members.get(gang, ())) < wants:",
        "if False:",
        "tests/scheduler/test_gangs.py::test_pods_wait_outside_the_queue_for_their_workload_and_for_one_another",
    ),
    Bug(
        "pods end for a gang that does not fit without them either",
        "actors/scheduler/gang_preemption.py",
        "return Rooms(nodes, trial.ends(), trial.gangs()) if is_enough else None",
        "return Rooms(nodes, trial.ends(), trial.gangs())",
        "tests/scheduler/test_gang_preemption.py::test_nobody_ends_for_a_gang_that_would_not_fit_even_then",
    ),
    Bug(
        "room that a gang waits for is not kept for its pods that nobody has to go for",
        "actors/scheduler/actor.py",
        '                node = self._promised.get(demand.key, "")\n',
        '                node = ""\n',
        "tests/scheduler/test_gang_preemption.py"
        "::test_a_gang_waits_for_the_room_of_its_victims_and_is_bound_as_a_whole",
    ),
    Bug(
        "pods end for a gang that could have stayed",
        "actors/scheduler/gang_preemption.py",
        "            trial.spare()",
        "            pass",
        "tests/scheduler/test_gang_preemption.py"
        "::test_a_gang_gets_room_exactly_if_all_that_it_wants_fit_without_less_important_pods",
    ),
    Bug(
        "each pod of a gang has a disruption budget for itself",
        "actors/scheduler/gang_preemption.py",
        "state.budgets.spend((key, self._victims[key].placed.footprint.sort) for key, _ in victims)",
        "state.budgets.spend(())",
        "tests/scheduler/test_gang_preemption.py"
        "::test_what_a_budget_allows_goes_to_the_victims_of_one_pod_of_the_gang_only",
    ),
    Bug(
        "preemption takes a node that is not as it was",
        "actors/scheduler/preemption.py",
        "        while heap and found.get(heap[0][1]) is not heap[0][0]:",
        "        while False:",
        "tests/scheduler/test_preemption.py::test_who_has_to_go_where_is_what_the_reference_says",
    ),
    Bug(
        "preemption looks for victims on other nodes than it means",
        "actors/scheduler/preemption.py",
        "yield first + row",
        "yield row",
        "tests/scheduler/test_preemption.py::test_the_search_goes_on_where_the_last_one_stopped",
    ),
]
