"""Raft in conversations with one member, by section: 5.x of the paper, 6.x and 9.x of Ongaro's dissertation."""

from __future__ import annotations

import pytest

from actors.etcd.raft.types import Dropped
from protocols.raft import (
    Appended,
    AppendEntries,
    CommitAdvanced,
    ConfirmLeader,
    LeaderConfirmed,
    RequestVote,
    Voted,
)
from tests.etcd.raft_talk import Talk, accepted, append, entry, log, vote

# -- 5.1 terms --------------------------------------------------------------------------------------------------------


def test_5_1_a_leader_that_sees_a_higher_term_follows() -> None:
    a = Talk()
    a.lead()

    a.say(Appended(7, "b", 0, accepted=False))

    assert (a.raft.leading_term, a.raft.term) == (0, 7)


def test_5_1_a_stale_leader_is_told_the_term() -> None:
    a = Talk(term=5)

    said = a.say(append(3, (0, 0), entry(1, 3)))

    assert said == [("b", Appended(5, "a", 0, accepted=False))]
    assert a.terms == []


def test_5_1_an_answer_of_an_older_term_counts_for_nothing() -> None:
    a = Talk(term=3)
    a.lead()

    a.say(accepted(3, 1))

    assert a.raft.log.committed == 0


# -- 5.2 election -----------------------------------------------------------------------------------------------------


def test_5_2_a_fresh_member_campaigns_within_40_ms() -> None:
    a = Talk()

    said = a.wait(0.040)

    assert said == [(peer, RequestVote(1, "a", 0, 0, pre=True)) for peer in "bc"]


def test_5_2_who_has_heard_a_leader_waits_a_full_timeout_for_the_next() -> None:
    a = Talk()
    a.say(append(1, (0, 0), entry(1, 1)))

    assert a.wait(0.99) == []
    assert a.wait(1.01) != []


def test_5_2_a_majority_makes_a_leader_and_it_opens_its_term() -> None:
    a = Talk(1, 1, term=1)

    said = a.lead()

    assert a.raft.leading_term == 2
    assert a.terms == [1, 1, 2]
    assert [(to, m.previous_index, len(m.entries)) for to, m in said if isinstance(m, AppendEntries)] == [
        ("b", 2, 1),
        ("c", 2, 1),
    ]


def test_5_2_a_refusal_and_a_stranger_make_no_leader() -> None:
    a = Talk()
    a.wait(0.040)
    a.say(Voted(1, "b", pre=True, granted=True))

    a.say(Voted(1, "c", pre=False, granted=False))
    a.say(Voted(1, "x", pre=False, granted=True))

    assert a.raft.leading_term == 0


def test_5_2_a_member_votes_once_in_a_term() -> None:
    a = Talk()

    first = a.say(vote(1, (0, 0), "b"))
    second = a.say(vote(1, (0, 0), "c"))
    again = a.say(vote(1, (0, 0), "b"))

    assert first == again == [("b", Voted(1, "a", pre=False, granted=True))]
    assert second == [("c", Voted(1, "a", pre=False, granted=False))]


def test_5_2_a_vote_survives_a_restart() -> None:
    a = Talk(term=1, vote="b")

    assert a.say(vote(1, (0, 0), "c")) == [("c", Voted(1, "a", pre=False, granted=False))]


def test_5_2_a_vote_is_told_only_when_it_is_durable() -> None:
    a = Talk()
    a.slow_disk = True

    said = a.say(vote(1, (0, 0), "b"))

    assert said == []
    assert a.jobs[0].state is not None and a.jobs[0].state.vote == "b"
    assert a.write() == [("b", Voted(1, "a", pre=False, granted=True))]


def test_5_2_a_candidacy_is_told_only_when_it_is_durable() -> None:
    a = Talk()
    a.slow_disk = True
    a.wait(0.040)

    said = a.say(Voted(1, "b", pre=True, granted=True))

    assert said == []
    assert a.write() == [(peer, RequestVote(1, "a", 0, 0, pre=False)) for peer in "bc"]


def test_5_2_a_candidates_own_vote_counts_only_when_it_is_durable() -> None:
    a = Talk(voters="a")
    a.slow_disk = True

    a.wait(0.040)
    before = a.raft.leading_term
    a.write()

    assert (before, a.raft.leading_term) == (0, 1)


def test_5_2_a_candidate_follows_the_leader_of_its_term() -> None:
    a = Talk()
    a.wait(0.040)
    a.say(Voted(1, "b", pre=True, granted=True))

    a.say(append(1, (0, 0), entry(1, 1), source="c"))

    assert (a.raft.leader, a.raft.ballot) == ("c", None)


def test_5_2_a_candidate_tries_again_after_a_split_vote() -> None:
    a = Talk()
    a.wait(0.040)

    said = a.wait(0.2)

    assert [m.term for to, m in said if to == "b" and isinstance(m, RequestVote)] != []


def test_5_2_a_disk_slower_than_the_first_timeouts_does_not_prevent_a_leader() -> None:
    a = Talk()
    gaps = []
    for term in range(1, 7):
        began = a.now
        while a.raft.ballot is None or not a.raft.ballot.pre:
            a.wait(0.005)
        gaps.append(a.now - began)
        a.say(Voted(term, "b", pre=True, granted=True))

    assert gaps[-1] > 0.5


# -- 5.3 replication --------------------------------------------------------------------------------------------------


def test_5_3_an_append_is_accepted_when_the_entry_before_it_matches() -> None:
    a = Talk(1, term=1)

    assert a.say(append(1, (1, 1), entry(2, 1))) == [("b", Appended(1, "a", 2, accepted=True))]
    assert a.terms == [1, 1]


def test_5_3_an_append_is_refused_with_a_hint_when_it_leaves_a_gap() -> None:
    a = Talk(1, term=1)

    assert a.say(append(1, (5, 1), entry(6, 1))) == [("b", Appended(1, "a", 5, False, 1, 1))]


def test_5_3_conflicting_entries_are_replaced() -> None:
    a = Talk(1, 1, 2, 2, term=2)

    a.say(append(3, (2, 1), entry(3, 3)))

    assert a.terms == [1, 1, 3]


def test_5_3_a_delayed_append_does_not_cut_off_what_came_after_it() -> None:
    a = Talk(1, 1, 1, term=1)

    said = a.say(append(1, (0, 0), entry(1, 1)))

    assert said == [("b", Appended(1, "a", 1, accepted=True))]
    assert a.terms == [1, 1, 1]


@pytest.mark.parametrize(
    ("ours", "theirs", "probes"),
    [
        # figure 7 of the paper, the leader having the terms 1 1 1 4 4 5 5 6 6 6: `probes` is where it asks
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6], [10, 9]),
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4], [10, 4]),
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6], [10]),
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 4, 4], [10, 5]),
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], [10, 3]),
    ],
)
def test_5_3_leader_and_follower_find_where_they_agree_in_a_step_per_term(
    ours: list[int], theirs: list[int], probes: list[int]
) -> None:
    leader, follower = Talk(*ours, term=7), Talk(*theirs, term=7, member="b")
    said = leader.lead()
    asked = []

    while appends := [m for to, m in said if to == "b" and isinstance(m, AppendEntries)]:
        asked.append(appends[-1].previous_index)
        [(_, answer)] = follower.say(appends[-1])
        said = leader.say(answer)

    assert asked == probes
    assert follower.terms == [*ours, 8]


def test_5_3_entries_stream_without_waiting_once_one_was_accepted() -> None:
    a = Talk()
    a.lead()
    a.say(accepted(1, 1))

    sent = []
    for data in (b"x", b"y"):
        a.raft.propose(data)
        sent += [m.previous_index for to, m in a.listen() if to == "b" and isinstance(m, AppendEntries)]

    assert sent == [1, 2]


def test_5_3_what_one_turn_brings_leaves_in_one_append() -> None:
    a = Talk()
    a.lead()
    a.say(accepted(1, 1))

    for data in (b"x", b"y", b"z"):
        a.raft.propose(data)

    appends = [m for to, m in a.listen() if to == "b"]
    assert [len(m.entries) for m in appends if isinstance(m, AppendEntries)] == [3]


def test_5_3_a_lost_append_is_sent_again_when_its_receiver_shows_that_it_lives() -> None:
    a = Talk()
    a.lead()

    a.wait(0.25)
    said = a.say(LeaderConfirmed(1, "b", 0))

    assert [len(m.entries) for to, m in said if to == "b" and isinstance(m, AppendEntries)] == [1]


def test_5_3_a_silent_member_is_not_sent_entries_again_and_again() -> None:
    a = Talk()
    a.lead()

    said = a.wait(0.9)

    assert not any(isinstance(m, AppendEntries) for _, m in said)


def test_5_3_a_refusal_of_long_ago_changes_nothing() -> None:
    a = Talk()
    a.lead()
    a.say(accepted(1, 1))

    said = a.say(Appended(1, "b", 0, False, 0, 0))

    assert said == []


def test_5_3_a_proposal_needs_a_leader() -> None:
    a = Talk()

    assert a.raft.propose(b"x") is Dropped.NOT_LEADER


# -- 5.3 commit, and storage that takes its time ----------------------------------------------------------------------


def test_an_append_is_accepted_only_when_it_is_durable() -> None:
    a = Talk()
    a.slow_disk = True

    said = a.say(append(1, (0, 0), entry(1, 1)))

    assert said == []
    assert a.jobs[0].entries == (entry(1, 1),)
    assert a.write() == [("b", Appended(1, "a", 1, accepted=True))]


def test_a_leader_sends_before_it_has_written_but_counts_itself_only_after() -> None:
    a = Talk(voters="ab")
    a.lead()
    a.say(accepted(1, 1))
    a.slow_disk = True
    a.raft.propose(b"x")

    said = a.listen()
    a.say(accepted(1, 2))
    before = a.raft.log.committed
    a.write()

    assert any(isinstance(m, AppendEntries) for _, m in said)
    assert (before, a.raft.log.committed) == (1, 2)


def test_a_majority_without_the_leader_commits() -> None:
    a = Talk()
    a.lead()
    a.slow_disk = True
    a.raft.propose(b"x")
    a.listen()

    a.say(accepted(1, 2, "b"))
    a.say(accepted(1, 2, "c"))

    assert [e.data for e in a.applied if not e.configures] == [b"x"]


def test_entries_that_were_replaced_while_they_were_written_prove_nothing() -> None:
    a = Talk()
    a.slow_disk = True
    a.say(append(1, (0, 0), entry(1, 1), entry(2, 1)))
    a.say(append(2, (0, 0), entry(1, 2), source="c"))

    a.write()

    assert a.raft.log.persisted == 0
    assert a.write() == [("c", Appended(2, "a", 1, accepted=True))]


def test_a_follower_commits_what_the_leader_has_but_only_as_far_as_it_matches() -> None:
    a = Talk(1, 1, 1, term=1)

    a.say(append(2, (1, 1), commit=3))

    assert a.raft.log.committed == 1


def test_a_follower_is_told_of_commits_only_as_far_as_it_is_known_to_have_them() -> None:
    a = Talk()
    a.lead()
    a.say(accepted(1, 1))
    a.raft.propose(b"x")
    a.listen()

    said = a.say(accepted(1, 2, "b"))

    assert [(to, m.commit) for to, m in said if isinstance(m, CommitAdvanced)] == [("b", 2)]


def test_a_heartbeat_commits_nothing_that_its_receiver_may_lack() -> None:
    a = Talk()
    a.lead()
    a.say(accepted(1, 1))

    said = a.wait(0.15)

    assert [(to, m.commit) for to, m in said if isinstance(m, ConfirmLeader)] == [("b", 1), ("c", 0)]


# -- 5.4 safety -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "granted"),
    [((2, 2), True), ((3, 2), True), ((1, 3), True), ((1, 2), False), ((9, 1), False)],
)
def test_5_4_1_a_vote_needs_a_log_as_complete_as_ones_own(last: tuple[int, int], granted: bool) -> None:
    a = Talk(1, 2, term=2)

    assert a.say(vote(4, last)) == [("b", Voted(4, "a", pre=False, granted=granted))]


def test_5_4_2_figure_8_an_entry_of_an_older_term_is_not_committed_by_counting() -> None:
    a = Talk(1, 2, term=3)
    a.lead()

    a.say(accepted(4, 2))
    counted = a.raft.log.committed
    a.say(accepted(4, 3))

    assert (counted, a.raft.log.committed) == (0, 3)


# -- 6.2, 9.6 leaders are not disturbed -------------------------------------------------------------------------------


def test_9_6_a_pre_vote_changes_nothing_and_promises_nothing() -> None:
    a = Talk(term=1)

    one = a.say(vote(2, (0, 0), "b", pre=True))
    other = a.say(vote(2, (0, 0), "c", pre=True))

    assert one == [("b", Voted(2, "a", pre=True, granted=True))]
    assert other == [("c", Voted(2, "a", pre=True, granted=True))]
    assert (a.raft.term, a.raft.vote) == (1, "")


def test_9_6_a_member_that_was_cut_off_does_not_raise_the_term() -> None:
    a = Talk(term=1)

    a.wait(30)

    assert a.raft.term == 1


@pytest.mark.parametrize("pre", [True, False])
def test_6_2_nobody_votes_while_a_leader_is_heard(pre: bool) -> None:
    a = Talk()
    a.say(append(1, (0, 0), entry(1, 1)))
    a.wait(0.9)

    said = a.say(vote(9, (9, 9), "c", pre=pre))

    assert said in ([], [("c", Voted(1, "a", pre=True, granted=False))])
    assert a.raft.term == 1


def test_a_leader_that_asks_for_votes_leads_no_longer_and_is_elected_at_once() -> None:
    a = Talk()
    a.say(append(1, (0, 0), entry(1, 1), source="b"))

    promised = a.say(vote(2, (1, 1), "b", pre=True))
    voted = a.say(vote(2, (1, 1), "b"))

    assert promised == [("b", Voted(2, "a", pre=True, granted=True))]
    assert voted == [("b", Voted(2, "a", pre=False, granted=True))]


def test_a_leader_that_is_deposed_by_a_member_without_its_entries_soon_asks_to_lead_again() -> None:
    a = Talk()
    a.lead()
    a.say(accepted(1, 1))

    a.say(Appended(2, "c", 0, accepted=False))

    assert a.wait(0.040) == [(peer, RequestVote(3, "a", 1, 1, pre=True)) for peer in "bc"]


def test_a_member_whose_connection_to_the_leader_ends_asks_for_votes_at_once_and_lets_others_ask() -> None:
    a = Talk()
    a.say(append(1, (0, 0), entry(1, 1), source="b"))

    a.raft.lost("b", a.now)

    said = a.wait(0.05)
    assert [(to, type(message), message.term) for to, message in said] == [("b", RequestVote, 2), ("c", RequestVote, 2)]
    assert a.say(vote(2, (1, 1), "c", pre=True)) == [("c", Voted(2, "a", pre=True, granted=True))]
    assert a.raft.term == 1


def test_two_who_lost_their_leader_at_once_and_split_the_vote_soon_try_again() -> None:
    a = Talk()
    a.say(append(1, (0, 0), entry(1, 1), source="b"))
    a.raft.lost("b", a.now)
    a.wait(0.05)
    asked = a.say(Voted(2, "c", pre=True, granted=True))

    a.say(Voted(2, "c", pre=False, granted=False))  # it has voted for itself

    assert ("c", RequestVote(2, "a", 1, 1, pre=False)) in asked
    assert ("c", RequestVote(3, "a", 1, 1, pre=True)) in a.wait(0.25)


def test_who_alone_has_lost_the_leader_asks_less_and_less_often() -> None:
    a = Talk()
    a.say(append(1, (0, 0), entry(1, 1), source="b"))
    a.raft.lost("b", a.now)

    asked = []
    for _ in range(60):
        said = a.wait(1.0)
        asked.append(sum(1 for to, message in said if to == "c" and isinstance(message, RequestVote)))

    assert asked[0] >= 3
    assert max(asked[-10:]) <= 2 and sum(asked) < 150


def test_a_leader_that_is_heard_again_after_its_connection_ended_is_followed() -> None:
    a = Talk()
    a.say(append(1, (0, 0), entry(1, 1), source="b"))
    a.raft.lost("b", a.now)

    a.say(append(1, (1, 1), source="b"))

    assert a.raft.leader == "b" and a.wait(0.9) == []


def test_the_end_of_a_connection_to_another_follower_is_nothing() -> None:
    a = Talk()
    a.say(append(1, (0, 0), entry(1, 1), source="b"))

    a.raft.lost("c", a.now)

    assert a.raft.leader == "b" and a.wait(0.9) == []


def test_6_2_who_was_voted_for_once_does_not_disturb_the_leader_that_won() -> None:
    a = Talk(term=1, vote="c")
    a.say(append(1, (0, 0), entry(1, 1), source="b"))

    assert a.say(vote(2, (9, 9), "c", pre=True)) == [("c", Voted(1, "a", pre=True, granted=False))]


def test_6_2_a_leader_that_hears_no_majority_gives_up() -> None:
    a = Talk()
    a.lead()
    a.wait(1.5)
    before = a.raft.leading_term

    a.wait(1.0)

    assert (before, a.raft.leading_term) == (1, 0)


def test_6_2_a_leader_that_hears_one_of_two_stays() -> None:
    a = Talk()
    a.lead()
    for _ in range(30):
        a.wait(0.1)
        a.say(LeaderConfirmed(1, "c", 0))

    assert a.raft.leading_term == 1


def test_a_member_that_overslept_looks_at_its_messages_before_it_campaigns() -> None:
    a = Talk()
    a.say(append(1, (0, 0), entry(1, 1)))

    a.now = 10.0
    a.raft.tick(a.now)

    assert a.listen() == []
    assert a.say(append(1, (1, 1), entry(2, 1)))
    assert a.wait(0.9) == []


# -- 6.4 reads --------------------------------------------------------------------------------------------------------


def test_6_4_a_read_is_answered_when_a_majority_confirms_the_leader() -> None:
    a = Talk()
    a.lead()
    a.say(accepted(1, 1))

    number = a.raft.request_read(a.now)
    said = a.listen()
    unconfirmed = a.read_round
    a.say(LeaderConfirmed(1, "c", 1))

    assert [(to, m.round) for to, m in said if isinstance(m, ConfirmLeader)] == [("b", 1), ("c", 1)]
    assert (number, unconfirmed, a.read_round) == (1, 0, 1)


def test_6_4_an_answer_to_an_earlier_heartbeat_confirms_nothing() -> None:
    a = Talk()
    a.lead()
    a.say(accepted(1, 1))
    a.raft.request_read(a.now)
    a.listen()

    a.say(LeaderConfirmed(1, "c", 0))

    assert a.read_round == 0


def test_6_4_a_new_leader_answers_reads_only_after_it_has_committed_in_its_term() -> None:
    a = Talk(1, term=1, commit=0)
    a.lead()
    a.raft.request_read(a.now)
    a.listen()

    a.say(LeaderConfirmed(2, "b", 1))
    before = a.read_round
    a.say(accepted(2, 2))

    assert (before, a.read_round) == (0, 1)


def test_6_4_reads_of_one_turn_share_a_round() -> None:
    a = Talk()
    a.lead()

    numbers = [a.raft.request_read(a.now), a.raft.request_read(a.now)]
    a.listen()

    assert numbers == [1, 1]
    assert a.raft.request_read(a.now) == 2


def test_a_single_member_needs_nobody() -> None:
    a = Talk(voters="a")
    a.wait(0.040)

    a.raft.request_read(a.now)
    a.raft.propose(b"x")
    a.listen()

    assert [e.data for e in a.applied if not e.configures] == [b"x"]
    assert a.read_round == 1


def test_a_restart_goes_on_from_what_was_durable() -> None:
    a = Talk(1, 1, 2, term=2, commit=2)

    a.listen()

    assert a.applied == log(1, 1)
    assert a.terms == [1, 1, 2]
