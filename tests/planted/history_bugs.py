"""Bugs that real stores have shipped, each planted here in our own words: the track record that ours is held to.

`reports` says who had it: etcd's issues by number (etcd#13766), Jepsen's analyses, other Raft libraries. The table in
docs/etcd.md is made of this list (a test compares them).
"""

from __future__ import annotations

from typing import NamedTuple

from tests.planted.bug import Bug

CORE = "actors/etcd/raft/core.py"
LEADERSHIP = "actors/etcd/raft/leadership.py"
STORE = "actors/etcd/mvcc/store.py"
WATCH = "actors/etcd/mvcc/watch.py"
DISK_WORK = "actors/etcd/disk_work.py"
TESTS = "tests/etcd/"


class Historical(NamedTuple):
    bug: Bug
    reports: str


def historical(reports: str, name: str, file: str, old: str, new: str, test: str) -> Historical:
    return Historical(Bug(f"history: {name}", file, old, new, TESTS + test), reports)


TABLE = [
    historical(
        "etcd#14370",
        "one that leads counts its own entries before it has synced them",
        LEADERSHIP,
        "own = log.persisted",
        "own = log.last_index",
        "test_raft_core.py::test_a_leader_sends_before_it_has_written_but_counts_itself_only_after",
    ),
    historical(
        "etcd#14143 (Jepsen, lazyfs)",
        "a follower acknowledges before it has synced",
        CORE,
        "        log.commit(min(message.commit, last))\n        self._send_when_persisted(",
        "        log.commit(min(message.commit, last))\n        self._send(",
        "test_raft_core.py::test_an_append_is_accepted_only_when_it_is_durable",
    ),
    historical(
        "etcd#13766",
        "what is said to be applied runs ahead of what is, and a crash skips it",
        DISK_WORK,
        "mark = Mark(log.applied, log.term_at(log.applied) or 0)",
        "mark = Mark(log.last_index, log.last_term)",
        "test_etcd_sim.py::test_every_answer_fits_one_history_whatever_breaks",
    ),
    historical(
        "etcd#14685",
        "a snapshot is said to be older than it is, so a crash applies entries twice",
        DISK_WORK,
        "mark = Mark(log.applied, log.term_at(log.applied) or 0)",
        "mark = Mark(max(log.base.index, log.applied - 1), log.term_at(max(log.base.index, log.applied - 1)) or 0)",
        "test_soak.py::test_whatever_breaks_all_that_clients_were_told_fits_one_history",
    ),
    historical(
        "PySyncObj#202",
        "a vote is forgotten by a restart",
        CORE,
        'self.vote = saved.vote if saved.term == self.term else ""',
        'self.vote = ""',
        "test_raft_core.py::test_5_2_a_vote_survives_a_restart",
    ),
    historical(
        "PySyncObj#197",
        "a follower commits beyond what it has in common with the leader",
        CORE,
        "log.commit(min(message.commit, last))",
        "log.commit(message.commit)",
        "test_raft_core.py::test_a_follower_commits_what_the_leader_has_but_only_as_far_as_it_matches",
    ),
    historical(
        "Raft 5.4.2, figure 8",
        "an entry of an older term is committed by counting",
        LEADERSHIP,
        "index > log.committed and log.term_at(index) == self.term",
        "index > log.committed",
        "test_raft_core.py::test_5_4_2_figure_8_an_entry_of_an_older_term_is_not_committed_by_counting",
    ),
    historical(
        "etcd#741 (Jepsen, 0.4.1)",
        "a leader reads without asking whether it still leads",
        LEADERSHIP,
        "return read.number <= confirmed and",
        "return",
        "test_etcd_sim.py::test_a_leader_that_was_cut_off_answers_no_read_from_the_past",
    ),
    historical(
        "etcd#20418, etcd#21375",
        "a new leader reads before it has committed in its term",
        LEADERSHIP,
        "max(self._log.committed, self.first_index)",
        "self._log.committed",
        "test_raft_core.py::test_6_4_a_new_leader_answers_reads_only_after_it_has_committed_in_its_term",
    ),
    historical(
        "Raft dissertation 6.4.1",
        "who has let another lead goes on reading by its lease",
        LEADERSHIP,
        "if self._config.lease_s and not self.handover.began:",
        "if self._config.lease_s:",
        "test_raft_leases.py::test_who_has_told_another_to_take_over_has_no_lease_any_more_even_if_that_failed",
    ),
    historical(
        "etcd#15247, etcd#12528",
        "a leader that was stalled revokes leases when it wakes",
        STORE,
        "if command.term in (0, term):  # else a leader",
        "if True:  # else a leader",
        "test_store.py::test_a_leader_of_the_past_revokes_no_lease",
    ),
    historical(
        "etcd#13491, etcd#17132",
        "every change of leaders gives leases their whole time again",
        "actors/etcd/mvcc/leases.py",
        "now + (lease.left_s or lease.ttl_s)",
        "now + lease.ttl_s",
        "test_store.py::test_a_new_leader_begins_where_the_last_checkpoint_was",
    ),
    historical(
        "etcd 3.3 (changelog: renewal of a revoked lease)",
        "a lease is kept alive although its end is decided",
        "actors/etcd/mvcc/leases.py",
        "        if number in self._expiring:\n            return False\n",
        "",
        "test_store.py::test_a_lease_that_was_proposed_to_expire_is_not_kept_alive_any_more",
    ),
    historical(
        "etcd#10686",
        "after a change of leaders nobody ends the leases that run out",
        "actors/etcd/actor.py",
        "            self._lease_clock.start(self._store.leases.all(), self.ctx.now)\n",
        "            self._lease_clock.stop()\n",
        "test_etcd_actor.py::test_a_lease_survives_the_leader",
    ),
    historical(
        "etcd#18089, etcd#19179",
        "a compaction at a deletion's revision loses its event",
        STORE,
        "self._to_scrub.extend(self.events.take_before(revision))",
        "self._to_scrub.extend(self.events.take_before(revision + 1))",
        "test_store.py::test_compaction_keeps_the_event_at_its_own_revision",
    ),
    historical(
        "etcd#17529",
        "a watcher that compaction overtook is not told that it lost something",
        WATCH,
        "return self.cursor < compacted",
        "return False",
        "test_store.py::test_a_watcher_that_compaction_overtook_knows_it",
    ),
    historical(
        "etcd#15220",
        "a progress notification overtakes events",
        WATCH,
        "if self.cursor != log.last + 1 or self._told >= log.last:",
        "if self._told >= log.last:",
        "test_store.py::test_progress_is_told_once_and_only_when_nothing_is_outstanding",
    ),
    historical(
        "etcd#17247",
        "an event is handed over twice",
        WATCH,
        "            self.cursor += 1\n",
        "            self.cursor += len(found) < EVENTS_MAX\n",
        "test_store.py::test_a_watch_hands_over_whole_revisions_in_portions",
    ),
    historical(
        "etcd#20221",
        "a watch of a revision to come is given older events",
        WATCH,
        "self.cursor = max(start, log.first) if start > 0 else log.last + 1",
        "self.cursor = min(max(start, log.first), log.last + 1) if start else log.last + 1",
        "test_store.py::test_a_watch_from_a_revision_to_come_sees_nothing_older",
    ),
    historical(
        "etcd's robustness tests (Resumable)",
        "a watch that connects anew loses the event where it left off",
        WATCH,
        "self.cursor = max(start, log.first) if start > 0",
        "self.cursor = max(start + 1, log.first) if start > 0",
        "test_etcd_actor.py::test_a_watch_sees_every_change_once_wherever_it_continues",
    ),
    historical(
        "etcd#15271",
        "a watch loses its place when its replica installs a snapshot",
        "actors/etcd/feeds.py",
        "        self._fall_behind()\n        self._store = store\n",
        "        self._store = store\n",
        "test_etcd_sim.py::test_a_watch_goes_on_where_it_was_when_its_replica_installs_a_snapshot",
    ),
    historical(
        "etcd#17780",
        "the revision goes backwards when a replica is restored from a snapshot",
        "actors/etcd/mvcc/dump.py",
        "store.revision, store.compacted, store.cluster = self.revision, ",
        "store.revision, store.compacted, store.cluster = self.revision - 1, ",
        "test_snapshot.py::test_what_comes_out_of_a_snapshot_is_what_went_in_and_goes_on_like_it",
    ),
    historical(
        "etcd#11651, etcd#14571",
        "part of the state (there: of auth; here: leases) is not in the snapshot",
        "actors/etcd/mvcc/dump.py",
        "        for lease in self.leases:\n            store.leases.grant(*lease)\n",
        "",
        "test_snapshot.py::test_what_comes_out_of_a_snapshot_is_what_went_in_and_goes_on_like_it",
    ),
    historical(
        "etcd#18667",
        "what a command does depends on how far its replica has compacted",
        "actors/etcd/mvcc/state.py",
        "if revision and revision < self.compacted:",
        "if revision and revision < self.compacted and self.is_scrubbed:  # type: ignore[attr-defined]",
        "test_store.py::test_what_a_transaction_does_is_the_same_however_far_its_replica_has_compacted",
    ),
    historical(
        "etcd#18055",
        "a piece of a second snapshot is put behind the first one's",
        "actors/etcd/raft/arrival.py",
        "            self.clear()\n            self._identity = identity\n",
        "            self._identity = identity\n",
        "test_raft_snapshots.py::test_7_pieces_of_another_snapshot_or_another_leader_begin_anew",
    ),
    historical(
        "Raft 6; PySyncObj#133",
        "voters change in one step, so that two majorities decide without each other",
        "actors/etcd/raft/confchange.py",
        "target, outgoing=configuration.voters, addresses=addresses)",
        "target, outgoing=(), addresses=addresses)",
        "test_raft_members.py::test_a_change_of_voters_needs_both_majorities_and_then_leaves_the_old_one",
    ),
    historical(
        "Ongaro, raft-dev 2015 (single-server changes)",
        "a leader changes members before it has committed in its term",
        LEADERSHIP,
        "if log.committed < max(self.first_index, log.configurations.index):",
        "if log.committed < log.configurations.index:",
        "test_raft_members.py::test_nor_does_a_leader_of_a_later_term_whose_configuration_is_committed",
    ),
    historical(
        "etcd 3.4 (changelog: promotion of a learner)",
        "a learner is promoted whatever it lacks",
        LEADERSHIP,
        'if any(step.kind == "promote" and not self._has_caught_up(step.name) for step in changes):',
        "if False:",
        "test_raft_members.py::test_a_learner_is_promoted_when_it_has_caught_up_and_not_before",
    ),
]

HISTORY = [row.bug for row in TABLE]
