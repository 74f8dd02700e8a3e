"""Bugs of the store, and of what reads its data on disk."""

from __future__ import annotations

from tests.planted.bug import Bug

STORE = [
    Bug(
        "who plans is told of each API that the cluster does not have",
        "actorkube/cli/cluster_objects.py",
        "if isinstance(refusal, NotFound) and resource not in _NEEDED:",
        "if False:",
        "tests/cli/test_cluster_objects.py::test_of_what_a_cluster_does_not_have_nothing_is_said",
    ),
    Bug(
        "Raft commits an entry of an older term by counting",
        "actors/etcd/raft/leadership.py",
        "index > log.committed and log.term_at(index) == self.term",
        "index > log.committed",
        "tests/etcd/test_raft_core.py::test_5_4_2_figure_8_an_entry_of_an_older_term_is_not_committed_by_counting",
    ),
    Bug(
        "Raft votes twice in a term",
        "actors/etcd/raft/core.py",
        "free = self.vote == request.source or (not self.vote and not self.leader)",
        "free = True",
        "tests/etcd/test_raft_core.py::test_5_2_a_member_votes_once_in_a_term",
    ),
    Bug(
        "Raft forgets at a restart whom it has voted for",
        "actors/etcd/raft/core.py",
        'self.vote = saved.vote if saved.term == self.term else ""',
        'self.vote = ""',
        "tests/etcd/test_raft_core.py::test_5_2_a_vote_survives_a_restart",
    ),
    Bug(
        "Raft acknowledges entries before they are durable",
        "actors/etcd/raft/core.py",
        "self._send_when_persisted(message.source, Appended(self.term, member, last, True))",
        "self._send(message.source, Appended(self.term, member, last, True))",
        "tests/etcd/test_raft_core.py::test_an_append_is_accepted_only_when_it_is_durable",
    ),
    Bug(
        "Raft reads from a leader that may be deposed",
        "actors/etcd/raft/leadership.py",
        "return read.number <= confirmed and",
        "return",
        "tests/etcd/test_raft_core.py::test_6_4_a_read_is_answered_when_a_majority_confirms_the_leader",
    ),
    Bug(
        "WAL accepts a torn or rotten record",
        "actors/etcd/records.py",
        "if zlib.crc32(payload, zlib.crc32(_checked.pack(kind, length))) != crc:",
        "if False:",
        "tests/etcd/test_wal.py::test_a_flipped_bit_is_noticed_wherever_it_is",
    ),
    Bug(
        "WAL goes on behind a torn tail that it kept",
        "actors/etcd/storage.py",
        "replace(segment_name(self._sequence), found.tail)",
        "sync(segment_name(self._sequence))",
        "tests/etcd/test_storage.py::test_after_a_torn_tail_the_log_goes_on_where_it_was_whole",
    ),
    Bug(
        "WAL calls durable what was never synced",
        "actors/etcd/storage.py",
        "        self.is_marked = False\n        await self._disk.sync(name)\n",
        "",
        "tests/etcd/test_storage.py::test_all_jobs_that_wait_share_one_sync",
    ),
    Bug(
        "Raft's leader rests though a read waits for the heartbeat's answer",
        "actors/etcd/raft/leadership.py",
        "if self._read_waits or (self._rounds and self._rounds[-1].number > self._answered):",
        "if self._read_waits:",
        "tests/sim/test_etcd.py::test_reads_and_writes_at_any_moment_wait_for_no_heartbeat",
    ),
    Bug(
        "MVCC ignores what a transaction compares",
        "actors/etcd/mvcc/txn.py",
        "return value == compare.value",
        "return True",
        "tests/etcd/test_store.py::test_compare_and_swap_lets_one_of_two_writers_through",
    ),
    Bug(
        "MVCC watch loses a revision when an answer is full",
        "actors/etcd/mvcc/watch.py",
        "            self.cursor += 1\n",
        "            self.cursor += 1 + (len(found) >= EVENTS_MAX)\n",
        "tests/etcd/test_store.py::test_a_watch_hands_over_whole_revisions_in_portions",
    ),
    Bug(
        "a member removes its log before the snapshot is durable",
        "actors/etcd/disk_work.py",
        "        try:\n            storage.begin_snapshot()\n",
        "        storage.compact(mark)\n        try:\n            storage.begin_snapshot()\n",
        "tests/etcd/test_etcd_sim.py::test_members_that_all_crash_while_they_write_snapshots_have_lost_nothing",
    ),
    Bug(
        "entries of another history stay behind an installed snapshot",
        "actors/etcd/raft/log.py",
        "        if self.term_at(base.index) != base.term:\n            return ()\n",
        "",
        "tests/etcd/test_raft_snapshots.py::test_7_entries_of_another_history_go",
    ),
    Bug(
        "a snapshot shows what was written while it was taken",
        "actors/etcd/mvcc/keys.py",
        "if newest is not None and newest.mod_revision <= last:",
        "if newest is not None:",
        "tests/etcd/test_snapshot.py::test_a_snapshot_shows_one_moment_while_the_store_goes_on",
    ),
    Bug(
        "a nested comparison sees what the transaction around it did",
        "actors/etcd/mvcc/store.py",
        "            responses = tuple([self._run(inner, branches) for inner in taken(op.txn, branches)])\n",
        "            branches = path(op.txn, self.keyspace)\n"
        "            responses = tuple([self._run(inner, branches) for inner in taken(op.txn, branches)])\n",
        "tests/etcd/test_store.py::test_a_nested_comparison_looks_at_what_was_there_before_the_whole_transaction",
    ),
    Bug(
        "a watcher in step is not told what compaction took from it",
        "actors/etcd/feeds.py",
        "            self._fall_behind()  # what",
        "            pass  # what",
        "tests/etcd/test_feeds.py::"
        "test_a_watch_whose_events_were_compacted_before_anybody_looked_is_told_that_it_lost_them",
    ),
    Bug(
        "what a full disk took in part stays in the log",
        "actors/etcd/storage.py",
        "            self._disk.truncate(name, self._size)\n",
        "",
        "tests/etcd/test_storage.py::test_a_full_disk_leaves_no_trace_and_the_log_goes_on_when_there_is_room",
    ),
    Bug(
        "of replicas that differ, the leader is always right",
        "actors/etcd/checker.py",
        "right = most if count * 2 > len(hashes) else hashes[leader]",
        "right = hashes[leader]",
        "tests/etcd/test_checker.py::test_a_majority_is_right_and_without_one_the_leader",
    ),
    Bug(
        "the copy of a store is made of any log",
        "actors/etcd/files.py",
        "return max(members, key=lambda found: (found.last.term, found.last.index))",
        "return members[0]",
        "tests/etcd/test_files.py::test_the_most_up_to_date_log_is_copied",
    ),
]
