"""Snapshots in conversations with one member (section 7 of the paper): sent in pieces, and taken over whole."""

from __future__ import annotations

from protocols.raft import Appended, ConfirmLeader, LeaderConfirmed, RequestVote, SnapshotReceived, Voted
from tests.etcd.raft_talk import Talk, accepted, append, entry, piece, vote

# -- a leader that has compacted --------------------------------------------------------------------------------------


def compacted_leader() -> Talk:
    """It leads term 2 of `a`, `b`, `c`, and keeps of its six entries only the last; `c` has said nothing yet."""
    a = Talk(1, 1, 1, 1, 1, term=1, commit=5)
    a.lead()
    a.say(accepted(2, 6))
    a.compact(5)
    return a


def test_7_a_follower_that_lacks_compacted_entries_is_sent_the_snapshot() -> None:
    a = compacted_leader()

    said = a.say(Appended(2, "c", 5, False, 2, 1))

    assert a.chunks == [("c", 0)]
    assert not [message for to, message in said if to == "c"]


def test_7_each_piece_follows_when_the_one_before_has_arrived() -> None:
    a = compacted_leader()
    a.say(Appended(2, "c", 5, False, 2, 1))

    a.say(SnapshotReceived(2, "c", 5, 3))
    a.say(SnapshotReceived(2, "c", 5, 6))

    assert a.chunks == [("c", 0), ("c", 3), ("c", 6)]


def test_7_after_the_snapshot_come_the_entries_that_follow_it() -> None:
    a = compacted_leader()
    a.say(Appended(2, "c", 5, False, 2, 1))

    said = a.say(accepted(2, 5, "c"))

    appends = [message for to, message in said if to == "c"]
    assert [(m.previous_index, [e.index for e in m.entries]) for m in appends] == [(5, [6])]  # type: ignore[union-attr]


def test_7_a_piece_that_got_lost_is_sent_again_from_where_the_follower_is() -> None:
    a = compacted_leader()
    a.say(Appended(2, "c", 5, False, 2, 1))
    a.say(SnapshotReceived(2, "c", 5, 3))

    a.wait(0.35)
    a.say(LeaderConfirmed(2, "c", 0))

    assert a.chunks == [("c", 0), ("c", 3), ("c", 3)]


def test_7_a_follower_that_had_to_begin_again_says_so_when_it_is_asked_again() -> None:
    a = compacted_leader()
    a.say(Appended(2, "c", 5, False, 2, 1))
    a.say(SnapshotReceived(2, "c", 5, 3))

    a.wait(0.35)
    a.say(LeaderConfirmed(2, "c", 0))
    a.say(SnapshotReceived(2, "c", 5, 0))

    assert a.chunks == [("c", 0), ("c", 3), ("c", 3), ("c", 0)]


def test_7_answers_that_are_doubled_or_late_send_nothing() -> None:
    a = compacted_leader()
    a.say(Appended(2, "c", 5, False, 2, 1))
    a.say(SnapshotReceived(2, "c", 5, 3))

    a.say(SnapshotReceived(2, "c", 5, 3))
    a.say(SnapshotReceived(2, "c", 5, 0))

    assert a.chunks == [("c", 0), ("c", 3)]


def test_7_a_newer_snapshot_is_sent_from_its_beginning() -> None:
    a = compacted_leader()
    a.say(Appended(2, "c", 5, False, 2, 1))
    a.compact(6)

    a.say(SnapshotReceived(2, "c", 5, 3))

    assert a.chunks == [("c", 0), ("c", 0)]


def test_7_answers_from_before_do_not_disturb_a_transfer() -> None:
    a = compacted_leader()
    a.say(Appended(2, "c", 5, False, 2, 1))

    a.say(Appended(2, "c", 5, False, 1, 1))
    a.say(accepted(2, 2, "c"))
    a.say(SnapshotReceived(2, "c", 4, 3))

    assert a.chunks == [("c", 0)]


def test_7_a_follower_that_turns_out_to_have_enough_goes_on_with_entries() -> None:
    a = Talk(1, 1, 1, 1, 1, term=1, commit=5)
    a.lead()
    a.say(accepted(2, 6))
    a.compact(6, kept=2)
    a.say(Appended(2, "c", 5, False, 2, 1))

    said = a.say(accepted(2, 4, "c"))

    assert a.chunks == [("c", 0)]
    appends = [message for to, message in said if to == "c"]
    assert [[e.index for e in m.entries] for m in appends] == [[5, 6]]  # type: ignore[union-attr]


def test_7_only_what_is_applied_and_durable_is_forgotten_and_some_entries_are_kept() -> None:
    a = Talk(1, 1, 1, 1, 1, term=1, commit=5)
    a.lead()
    a.say(accepted(2, 6))

    a.compact(6, kept=2)
    a.slow_disk = True
    a.raft.propose(b"not durable here")
    a.listen()
    a.say(accepted(2, 7))
    a.say(accepted(2, 7, "c"))
    kept = a.raft.log.base.index
    a.compact(7)

    assert (kept, a.raft.log.applied, a.raft.log.base.index) == (4, 7, 6)


# -- a follower -------------------------------------------------------------------------------------------------------


def test_7_pieces_are_put_together_and_the_end_is_acknowledged_when_all_is_durable() -> None:
    a = Talk(1, term=1)
    a.slow_disk = True

    said = [*a.say(piece(3, 5, 2, 0, b"abc")), *a.say(piece(3, 5, 2, 3, b"def"))]
    while len(a.jobs) > 1:
        said += a.write()
    before = said
    after = a.write()

    assert before == [("b", SnapshotReceived(3, "a", 5, 3)), ("b", SnapshotReceived(3, "a", 5, 6))]
    assert after == [("b", Appended(3, "a", 5, True))]
    assert (a.received, a.raft.log.base.index, a.raft.log.base.term) == (b"abcdef", 5, 2)
    assert (a.raft.log.applied, a.raft.log.committed, a.terms) == (5, 5, [])


def test_7_a_piece_that_does_not_follow_is_answered_with_what_is_here() -> None:
    a = Talk(1, term=3)
    a.say(piece(3, 5, 2, 0, b"abc"))

    again = a.say(piece(3, 5, 2, 0, b"abc"))
    early = a.say(piece(3, 5, 2, 5, b"f"))

    assert [*again, *early] == [("b", SnapshotReceived(3, "a", 5, 3))] * 2
    assert a.received == b"abc"


def test_7_pieces_of_another_snapshot_or_another_leader_begin_anew() -> None:
    a = Talk(1, term=3)
    a.say(piece(3, 5, 2, 0, b"abc"))

    other = a.say(piece(3, 7, 2, 3, b"xyz"))
    a.say(piece(3, 7, 2, 0, b"uvw"))
    later = a.say(piece(4, 7, 2, 3, b"xyz", "c"))

    assert other == [("b", SnapshotReceived(3, "a", 7, 0))]
    assert later == [("c", SnapshotReceived(4, "a", 7, 0))]
    assert a.raft.log.base.index == 0


def test_7_a_piece_beyond_the_size_that_was_told_is_not_taken() -> None:
    a = Talk(1, term=3)

    assert a.say(piece(3, 5, 2, 0, b"1234567")) == [("b", SnapshotReceived(3, "a", 5, 0))]


def test_7_a_snapshot_of_what_is_committed_here_is_only_acknowledged() -> None:
    a = Talk(1, 1, 1, term=1, commit=3)

    assert a.say(piece(1, 2, 1, 0, b"abcdef")) == [("b", Appended(1, "a", 3, True))]
    assert a.terms == [1, 1, 1]


def test_7_entries_that_follow_the_snapshot_stay_if_they_are_of_its_history() -> None:
    a = Talk(1, 1, 2, 2, term=2)

    a.say(piece(3, 2, 1, 0, b"abcdef"))

    assert (a.raft.log.base.index, a.terms, a.raft.log.persisted) == (2, [2, 2], 4)


def test_7_entries_of_another_history_go() -> None:
    a = Talk(1, 1, 1, 1, term=2)

    a.say(piece(3, 2, 2, 0, b"abcdef"))

    assert (a.raft.log.base.index, a.terms, a.raft.log.last_index) == (2, [], 2)


def test_7_nothing_is_appended_or_committed_while_a_snapshot_is_installed() -> None:
    a = Talk(1, 1, 1, 1, term=3)
    a.slow_disk = True
    a.say(piece(3, 2, 2, 0, b"abcdef"))

    said = a.say(append(3, (4, 1), entry(5, 3), commit=4))
    a.say(ConfirmLeader(3, "b", 4, 0))

    assert (said, a.raft.log.last_index, a.raft.log.committed, a.applied) == ([], 4, 0, [])


def test_7_who_installs_a_snapshot_does_not_ask_to_lead() -> None:
    a = Talk(1, term=3)
    a.slow_disk = True
    a.say(piece(3, 5, 2, 0, b"abcdef"))

    said = a.wait(30)
    while a.jobs:
        a.write()
    said_afterwards = a.wait(30)

    assert not [message for _, message in said if isinstance(message, RequestVote)]
    assert [message for _, message in said_afterwards if isinstance(message, RequestVote)]


def test_7_a_snapshot_that_is_broken_is_asked_for_again() -> None:
    a = Talk(1, term=3)
    a.slow_disk = True
    a.say(piece(3, 5, 2, 0, b"abcdef"))
    while a.jobs:
        a.jobs.pop()

    a.raft.spoiled()

    assert a.say(piece(3, 5, 2, 6, b"")) == [("b", SnapshotReceived(3, "a", 5, 0))]


def test_7_a_snapshot_of_an_older_term_is_refused_with_the_term() -> None:
    a = Talk(1, term=5)

    assert a.say(piece(3, 5, 2, 0, b"abcdef")) == [("b", Appended(5, "a", 0, False))]


def test_7_a_candidate_is_measured_by_what_the_snapshot_ends_with() -> None:
    a = Talk(1, term=3)
    a.say(piece(3, 5, 2, 0, b"abcdef"))

    refused = a.say(vote(9, (4, 2), "c"))
    a.wait(3)
    granted = a.say(vote(10, (5, 2), "c"))

    assert [m.granted for _, m in refused if isinstance(m, Voted)] in ([False], [])
    assert [m.granted for _, m in granted if isinstance(m, Voted)] == [True]
