"""Bugs of how actors live and die, to plant one at a time (bugs.py): monitors, names, hand-over."""

from __future__ import annotations

from tests.planted.bugs import Bug

MONITORS = [
    Bug(
        "the loss of a link leaves those who watch over it waiting",
        "actorkube/runtime/monitors.py",
        "            self._over(watch, UNREACHABLE)\n\n    # -- tables",
        "            pass\n\n    # -- tables",
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

LIFE_BUGS = [*MONITORS]
