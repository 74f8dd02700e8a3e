"""Bugs of how actors live and die, to plant one at a time (bugs.py): supervision, monitors, names, hand-over."""

from __future__ import annotations

from tests.planted.bug import Bug

LIFE = [
    Bug(
        "a group restarts a child beside one that it should be restarted with",
        "actorkube/runtime/group_state.py",
        """        if self._in_order and any(member.fate is not None for member in self.members.values()):
            return
""",
        "",
        "tests/runtime/test_group_state.py::test_whenever_crashes_come_nothing_runs_beside_what_it_must_be_restarted_with",
    ),
    Bug(
        "a group counts the crash of a child that is on its way out",
        "actorkube/runtime/group_state.py",
        "if member.fate is not None or self._stopping or self.given_up:",
        "if self._stopping or self.given_up:",
        "tests/runtime/test_group_state.py::test_a_group_does_what_otp_does",
    ),
    Bug(
        "a temporary child comes back with its siblings",
        "actorkube/runtime/group_state.py",
        'Fate.GONE if member.restart == "temporary" else Fate.RESTART',
        "Fate.RESTART",
        "tests/runtime/test_group_state.py::test_a_transient_child_that_has_ended_comes_back_with_its_siblings_and_a_temporary_one_does_not",
    ),
    Bug(
        "a parent ends before its children",
        "actorkube/runtime/tree.py",
        """        await self.end_children(cell)
        await cell.stop()
""",
        """        await cell.stop()
        await self.end_children(cell)
""",
        "tests/runtime/test_tree.py::test_children_end_before_their_parent_which_makes_them_anew",
    ),
    Bug(
        "children whose restarts are given up stay dead without a word",
        "actorkube/runtime/tree.py",
        "            branch.parent.crash(error)\n",
        "            return\n",
        "tests/runtime/test_tree.py::test_a_child_that_crashes_too_often_is_a_crash_of_its_parent",
    ),
]

MONITORS = [
    Bug(
        "the loss of a link leaves those who watch over it waiting",
        "actorkube/runtime/monitors.py",
        "            self._over(watch, UNREACHABLE)\n\n    def watchers",
        "            pass\n\n    def watchers",
        "tests/runtime/test_monitors.py::test_under_faults_each_watch_ends_once_and_never_while_all_is_well",
    ),
    Bug(
        "a Down that waits is handled though nobody watches any more",
        "actorkube/runtime/monitors.py",
        "counts, self.is_over = not self.is_over, True",
        "counts, self.is_over = True, True",
        "tests/runtime/test_monitors.py::test_an_instance_hears_nothing_of_what_the_one_before_it_watched",
    ),
    Bug(
        "a link is one way only",
        "actorkube/runtime/monitors.py",
        "            self.watch(cell, link.names[sender], LIFE)",
        "            pass",
        "tests/runtime/test_monitors.py::test_a_crash_crashes_those_who_are_linked_both_ways",
    ),
    Bug(
        "a restart ends watches",
        "actorkube/runtime/monitors.py",
        "for watcher in self._take(self._lives, cell.ref.actor_id):",
        "for watcher in (*self._take(self._lives, cell.ref.actor_id), *self._take(self._names, cell.ref.actor_id)):",
        "tests/runtime/test_monitors.py::test_a_restart_is_no_end_for_a_watch_and_giving_up_is",
    ),
]

NAMES = [
    Bug(
        "names of a system that cannot be reached are kept",
        "actorkube/runtime/names.py",
        "            if self.registry.unreachable(address.system):\n",
        "            if False:\n",
        "tests/runtime/test_names.py::test_names_end_with_their_actor_and_with_its_system_and_outlive_a_restart",
    ),
    Bug(
        "a name is kept by two after a partition",
        "actorkube/runtime/registry.py",
        "        return lost, self._change(removed=removed)\n",
        "        return [], None\n",
        "tests/runtime/test_names.py::test_of_two_who_took_a_name_in_a_partition_one_keeps_it_and_the_other_is_told",
    ),
    Bug(
        "nobody learns where acquaintances of acquaintances are",
        "actorkube/runtime/names.py",
        "            self._system.transport.learn(system, address, teller)\n",
        "",
        "tests/runtime/test_names_through_others.py::test_all_of_a_chain_get_to_know_and_to_reach_each_other",
    ),
    Bug(
        "what others say of a system is lost whenever it cannot be reached",
        "actorkube/runtime/registry.py",
        "        if was_linked:\n            self.drop(peer)\n",
        "        self.drop(peer)\n",
        "tests/runtime/test_names_through_others.py::"
        "test_whoever_knows_whom_all_agree_on_the_holder_while_one_reaches_all",
    ),
    Bug(
        "what somebody said outlives the link to it",
        "actorkube/runtime/registry.py",
        "if replica.teller == peer]:",
        "if False]:",
        "tests/runtime/test_names_through_others.py::test_what_was_heard_is_forgotten_with_whoever_said_it",
    ),
    Bug(
        "a rumour takes the place of what a system says itself",
        "actorkube/runtime/names.py",
        "        if self.registry.replica(said.system) is not None:\n            return",
        "        if False:\n            return",
        "tests/runtime/test_names_through_others.py::test_what_a_system_says_itself_counts_and_not_what_others_say_of_it",
    ),
    Bug(
        "a guest says where to connect",
        "actorkube/runtime/tcp.py",
        "any(link.guest is not None for link in links)",
        "False",
        "tests/runtime/test_tls.py::test_where_others_listen_is_believed_of_the_clusters_own_and_not_of_a_guest",
    ),
    Bug(
        "a change of names is taken though the one before it was lost",
        "actorkube/runtime/registry.py",
        "if replica is None or (replica.life, replica.version + 1) != (change.life, change.version):",
        "if replica is None:",
        "tests/runtime/test_names.py::test_a_change_that_does_not_follow_on_the_last_one_is_not_taken",
    ),
    Bug(
        "a name belongs to whom a system has heard of last",
        "actorkube/runtime/registry.py",
        "return min(claims).address if claims else None",
        "return list(claims)[-1].address if claims else None",
        "tests/runtime/test_names.py::test_after_faults_all_systems_agree_and_the_one_holder_knows_it",
    ),
]

HANDOVER = [
    Bug(
        "a hand-over cuts off what is being handled",
        "actorkube/runtime/handover.py",
        "        if handling:\n",
        "        if False:\n",
        "tests/runtime/test_handover.py::test_what_is_being_handled_is_finished_before_the_state_is_handed_over",
    ),
    Bug(
        "an actor that was stopped comes back by a hand-over",
        "actorkube/runtime/handover.py",
        "return self._cell.state is State.STARTING and self._cell.lives == self._lives",
        "return True",
        "tests/runtime/test_handover.py::test_an_actor_that_is_stopped_while_it_is_handed_over_stays_stopped",
    ),
    Bug(
        "a hand-over that fails leaves its actor suspended",
        "actorkube/runtime/handover.py",
        "exc_info=error)\n                await self._start_afresh()\n",
        "exc_info=error)\n",
        "tests/runtime/test_handover.py::test_where_the_new_one_cannot_take_over_it_starts_afresh_as_after_a_crash",
    ),
    Bug(
        "timers end with the instance that set them",
        "actorkube/runtime/handover.py",
        "end_instance(keep_timers=True)",
        "end_instance()",
        "tests/runtime/test_handover_timers.py::test_timers_run_on_with_the_time_that_is_left_to_them",
    ),
    Bug(
        "timers that a new instance sets anew are there twice",
        "actorkube/runtime/handover.py",
        "        replace_equal(carried, list(cell.timers.values()))\n",
        "",
        "tests/runtime/test_handover_timers.py::test_what_the_new_instance_sets_takes_the_place_of_what_says_the_same",
    ),
    Bug(
        "who starts afresh has the timers of the instance before",
        "actorkube/runtime/handover.py",
        "        await cell.end_instance()\n",
        "        await cell.end_instance(keep_timers=True)\n",
        "tests/runtime/test_handover_timers.py::"
        "test_no_tick_reaches_an_instance_that_starts_afresh_nor_one_that_is_stopped_meanwhile",
    ),
    Bug(
        "actors that could handle more are said to wait for each other",
        "actorkube/runtime/waits.py",
        " and cell.running >= cell.actor.concurrency",
        "",
        "tests/runtime/test_waits.py::test_who_is_slow_or_has_room_for_more_is_in_no_circle",
    ),
    Bug(
        "nobody asks other processes whom their actors wait for",
        "actorkube/runtime/tcp.py",
        "    sees_all = False\n",
        "    sees_all = True\n",
        "tests/runtime/test_waits.py::test_a_circle_through_several_systems_is_named",
    ),
]
