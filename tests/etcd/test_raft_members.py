"""Members that come and go, and leaders that hand over: conversations with one member (Raft 6; dissertation 3.10)."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.etcd.raft import confchange
from actors.etcd.raft.configurations import encode_configuration
from actors.etcd.raft.quorum import Outcome, joint_outcome
from actors.etcd.raft.types import Change, Dropped, Mark, Refused, Snapshot
from protocols.raft import (
    Appended,
    AppendEntries,
    CommitAdvanced,
    Configuration,
    Entry,
    RaftMessage,
    RequestVote,
    TimeoutNow,
    Voted,
)
from tests.etcd.raft_talk import Talk, accepted, append, entry, piece, vote

ABC = Configuration(("a", "b", "c"))


def leader(*learners: str) -> Talk:
    """`a` leads `a`, `b`, `c` in term 1; all that was said so far is committed and known."""
    a = Talk()
    a.lead()
    for learner in learners:
        a.say(accepted(1, a.raft.log.last_index))
        a.change(Change("learn", learner))
    a.say(accepted(1, a.raft.log.last_index))
    a.say(accepted(1, a.raft.log.last_index, "c"))
    return a


def appends_to(name: str, said: list[tuple[str, RaftMessage]]) -> list[AppendEntries]:
    return [message for to, message in said if to == name and isinstance(message, AppendEntries)]


# -- voters -----------------------------------------------------------------------------------------------------------


def test_a_change_of_voters_needs_both_majorities_and_then_leaves_the_old_one() -> None:
    a = leader()

    a.change(Change("remove", "c"), Change("add", "d"), Change("add", "e"))
    joint = a.raft.log.configuration
    a.say(accepted(1, 2, "d"))
    a.say(accepted(1, 2, "e"))
    without_the_old = a.raft.log.committed
    a.say(accepted(1, 2, "b"))

    assert (joint.voters, joint.outgoing) == (("a", "b", "d", "e"), ("a", "b", "c"))
    assert (without_the_old, a.raft.log.committed) == (1, 2)
    after = a.raft.log.configuration
    assert (after.voters, after.outgoing, after.removed) == (("a", "b", "d", "e"), (), ("c",))


def test_the_old_majority_alone_does_not_commit_while_voters_change() -> None:
    a = leader()

    a.change(Change("remove", "c"), Change("add", "d"), Change("add", "e"))
    a.say(accepted(1, 2, "b"))
    a.say(accepted(1, 2, "c"))

    assert a.raft.log.committed == 1


def test_an_election_while_voters_change_needs_both_majorities() -> None:
    joint = Configuration(("a", "d", "e"), outgoing=("a", "b", "c"))
    b = Talk(1, term=1)
    b.say(append(1, (1, 1), Entry(1, 2, encode_configuration(joint), True), source="c"))
    b.wait(b.raft.due - b.now)

    for voter in "bc":
        b.say(Voted(2, voter, pre=True, granted=True))
    with_the_old = b.raft.term
    b.say(Voted(2, "d", pre=True, granted=True))

    assert (with_the_old, b.raft.term) == (1, 2)


def test_one_change_at_a_time() -> None:
    a = leader()

    a.change(Change("remove", "c"))

    assert a.raft.change([Change("add", "d")], a.now) is Refused.UNDER_WAY


def test_a_leader_changes_nobody_before_it_has_committed_in_its_term() -> None:
    a = Talk()
    a.lead()

    assert a.raft.change([Change("add", "d")], a.now) is Refused.UNDER_WAY


def test_nor_does_a_leader_of_a_later_term_whose_configuration_is_committed() -> None:
    a = Talk(1, term=1)
    abc = Entry(1, 2, encode_configuration(Configuration(("a", "b", "c"))), True)
    a.say(append(1, (1, 1), abc, source="c", commit=2))
    a.lead()

    before = a.raft.change([Change("add", "d")], a.now)
    a.say(accepted(2, 3, "b"))
    after = a.raft.change([Change("add", "d")], a.now)

    assert before is Refused.UNDER_WAY
    assert after == 4


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (Change("add", "b"), Refused.EXISTS),
        (Change("learn", "b"), Refused.EXISTS),
        (Change("remove", "x"), Refused.NOT_FOUND),
        (Change("promote", "b"), Refused.NOT_LEARNER),
        (Change("promote", "x"), Refused.NOT_FOUND),
        (Change("demote", "d"), Refused.IS_LEARNER),
        (Change("demote", "x"), Refused.NOT_FOUND),
    ],
)
def test_what_makes_no_sense_is_refused(change: Change, refusal: Refused) -> None:
    a = leader("d")

    assert a.raft.change([change], a.now) is refusal


def test_who_was_removed_never_comes_back_under_its_name() -> None:
    removed = confchange.leave(changed(ABC, Change("remove", "c")))

    assert confchange.change(removed, [Change("learn", "c")]) is Refused.EXISTS


def test_a_removal_that_would_leave_too_few_who_answer_is_refused() -> None:
    a = leader()
    a.now += 2.5  # c is not heard any more
    a.say(accepted(1, 1, "b"))

    assert a.raft.change([Change("remove", "b")], a.now) is Refused.UNHEALTHY
    assert isinstance(a.raft.change([Change("remove", "c")], a.now), int)


def test_voters_that_never_start_do_not_bring_it_to_where_nobody_decides() -> None:
    a = leader()
    first = a.raft.change([Change("add", "d")], a.now)
    assert isinstance(first, int)
    for index in (first, first + 1):
        for follower in ("b", "c"):
            a.say(accepted(1, index, follower))
    assert a.raft.log.configuration.voters == ("a", "b", "c", "d")
    a.now += 2.5  # nobody has ever heard of d
    for follower in ("b", "c"):
        a.say(accepted(1, a.raft.log.last_index, follower))

    assert isinstance(a.raft.change([Change("add", "e")], a.now), int)  # five, of whom three are there
    a = leader()
    a.now += 2.5  # c is not heard any more
    a.say(accepted(1, a.raft.log.last_index, "b"))
    assert a.raft.change([Change("add", "d")], a.now) is Refused.UNHEALTHY  # four, of whom two are there
    assert isinstance(a.raft.change([Change("remove", "c"), Change("add", "d")], a.now), int)


def test_a_single_voter_may_have_a_second_one_of_which_nobody_has_heard() -> None:
    a = Talk(voters="a")
    a.wait(5.0)

    assert a.raft.leading_term and isinstance(a.raft.change([Change("add", "b")], a.now), int)


def test_the_last_voter_is_not_removed() -> None:
    assert confchange.change(Configuration(("a",)), [Change("remove", "a")]) is Refused.LAST_VOTER


def test_an_entry_that_is_replaced_takes_its_configuration_with_it() -> None:
    b = Talk(1, term=1)
    b.say(append(1, (1, 1), Entry(1, 2, encode_configuration(Configuration(("a", "b"))), True), source="c"))
    during = b.raft.log.configuration

    b.say(append(2, (1, 1), entry(2, 2), source="c"))

    assert (during.voters, b.raft.log.configuration.voters) == (("a", "b"), ("a", "b", "c"))


def test_a_leader_that_is_elected_while_voters_change_finishes_it() -> None:
    joint = Configuration(("a", "b"), outgoing=("a", "b", "c"))
    a = Talk(1, term=1)
    a.say(append(1, (1, 1), Entry(1, 2, encode_configuration(joint), True), source="c"))
    a.lead()

    a.say(accepted(2, 3, "b"))

    assert a.raft.log.configuration.outgoing == ()
    assert a.raft.log.last_index == 4


def test_who_is_removed_is_told_so_and_then_hears_nothing_more() -> None:
    a = leader()
    a.change(Change("remove", "c"))
    a.say(accepted(1, 2, "b"))
    a.say(accepted(1, 2, "c"))
    a.say(accepted(1, 3, "b"))

    said = a.say(accepted(1, 3, "c"))
    a.wait(0.25)
    later = a.wait(0.25)

    assert ("c", CommitAdvanced(1, "a", 3)) in said
    assert [message for to, message in later if to == "c"] == []


def test_a_leader_that_is_removed_leads_until_that_is_certain_then_hands_over() -> None:
    a = leader()
    a.change(Change("remove", "a"))
    a.say(accepted(1, 2, "b"))
    a.say(accepted(1, 2, "c"))
    a.say(accepted(1, 3, "b"))
    own_does_not_count = a.raft.leading_term

    said = a.say(accepted(1, 3, "c"))

    assert own_does_not_count == 1
    assert a.raft.leading_term == 0
    assert ("c", TimeoutNow(1, "a")) in said
    assert a.wait(10.0) == []


def test_who_was_removed_and_does_not_know_disturbs_nobody() -> None:
    a = leader()
    a.change(Change("remove", "c"))
    a.say(accepted(1, 2, "b"))
    a.say(accepted(1, 3, "b"))
    a.wait(0.3)

    a.say(vote(7, (3, 1), "c"))
    a.say(Appended(7, "c", 3, accepted=False))

    assert (a.raft.leading_term, a.raft.term) == (1, 1)


def test_who_is_removed_by_an_entry_that_only_it_has_campaigns_to_commit_it() -> None:
    joint = Configuration(("b", "d"), outgoing=("a", "b"), removed=("a",))
    a = Talk(1, term=1)
    a.say(append(1, (1, 1), Entry(1, 2, encode_configuration(joint), True)))
    a.say(append(1, (2, 1), Entry(1, 3, encode_configuration(confchange.leave(joint)), True), commit=2))

    a.wait(a.raft.due - a.now)
    for term, pre in ((2, True), (2, False)):
        for voter in "bd":
            a.say(Voted(term, voter, pre=pre, granted=True))

    assert a.raft.leading_term == 2


# -- learners ---------------------------------------------------------------------------------------------------------


def test_a_learner_is_sent_everything_and_counts_for_nothing() -> None:
    a = leader("d", "e")
    a.say(accepted(1, a.raft.log.last_index, "d"))
    a.raft.propose(b"x")
    said = a.listen()
    last = a.raft.log.last_index

    a.say(accepted(1, last, "d"))
    a.say(accepted(1, last, "e"))

    assert [message.entries[-1].data for message in appends_to("d", said)] == [b"x"]
    assert a.raft.log.committed == last - 1


def test_a_learner_is_promoted_when_it_has_caught_up_and_not_before() -> None:
    a = leader("d")
    early = a.raft.change([Change("promote", "d")], a.now)

    a.say(accepted(1, a.raft.log.last_index, "d"))
    a.change(Change("promote", "d"))

    assert early is Refused.NOT_READY
    assert a.raft.log.configuration.voters == ("a", "b", "c", "d")


def test_a_voter_that_is_demoted_counts_among_the_old_ones_until_that_is_certain_and_then_no_more() -> None:
    a = leader()
    a.change(Change("demote", "c"))
    joint = a.raft.log.configuration

    a.say(accepted(1, 2, "c"))
    with_it_alone = a.raft.log.committed
    a.say(accepted(1, 2, "b"))
    a.say(accepted(1, 3, "b"))
    a.raft.propose(b"x")
    a.say(accepted(1, 4, "c"))
    after = a.raft.log.committed

    assert (joint.voters, joint.outgoing, joint.learners) == (("a", "b"), ("a", "b", "c"), ("c",))
    assert (with_it_alone, after) == (1, 3)
    assert a.raft.log.configuration == Configuration(("a", "b"), learners=("c",), addresses=joint.addresses)


def test_a_leader_that_is_demoted_hands_over_and_goes_on_as_a_learner() -> None:
    a = leader()

    a.change(Change("demote", "a"))
    for last in (2, 3):
        a.say(accepted(1, last, "b"))
        a.say(accepted(1, last, "c"))

    assert a.raft.leading_term == 0
    assert not a.raft.has_vote
    assert a.raft.log.configuration.learners == ("a",)


def test_the_last_voter_is_not_demoted() -> None:
    assert confchange.change(Configuration(("a",), learners=("b",)), [Change("demote", "a")]) is Refused.LAST_VOTER


def test_a_learner_does_not_campaign_and_is_no_reason_to_hear_a_majority() -> None:
    d = Talk(voters="abc", member="d")

    assert d.wait(60.0) == []


def test_a_member_that_joins_takes_entries_of_whoever_leads() -> None:
    d = Talk(voters="", member="d")

    said = d.say(append(3, (0, 0), entry(1, 3), source="x"))

    assert said == [("x", Appended(3, "d", 1, accepted=True))]


def test_a_member_that_does_not_know_that_it_has_a_vote_gives_it() -> None:
    d = Talk(voters="abc", member="d")

    assert d.say(vote(1, (0, 0), "b")) == [("b", Voted(1, "d", pre=False, granted=True))]


# -- snapshots --------------------------------------------------------------------------------------------------------


def test_a_snapshot_says_who_belonged_to_it_at_its_end() -> None:
    a = leader()
    a.change(Change("learn", "d"))
    a.say(accepted(1, 2, "b"))
    a.change(Change("learn", "e"))

    assert a.raft.log.configurations.at(2).learners == ("d",)
    assert a.raft.log.configurations.at(3).learners == ("d", "e")


def test_a_member_that_is_sent_a_snapshot_knows_by_it_who_belongs_to_it() -> None:
    d = Talk(voters="", member="d")
    d.slow_disk = True

    d.say(piece(3, 5, 2, 0, b"abcdef"))
    d.raft.installed(Snapshot(Mark(5, 2), 6, ABC))

    assert d.raft.log.configuration == ABC


# -- handing over -----------------------------------------------------------------------------------------------------


def test_3_10_a_leader_hands_over_to_who_has_the_whole_log() -> None:
    a = leader()
    a.raft.propose(b"x")
    a.listen()

    a.raft.hand_over("c", a.now)
    before = a.listen()
    after = a.say(accepted(1, 2, "c"))

    assert ("c", TimeoutNow(1, "a")) not in before
    assert ("c", TimeoutNow(1, "a")) in after


def test_3_10_a_leader_that_hands_over_takes_no_writes_until_it_gives_up() -> None:
    a = leader()
    a.raft.hand_over("c", a.now)

    during = a.raft.propose(b"x")
    for _ in range(25):
        a.wait(0.1)
        a.say(accepted(1, 1, "b"))
    after = a.raft.propose(b"x")

    assert during is Dropped.TRANSFER
    assert isinstance(after, int)


def test_3_10_who_is_to_take_over_campaigns_at_once_and_is_not_refused_because_a_leader_works() -> None:
    b, c = Talk(1, term=1), Talk(1, term=1, member="c")
    for follower in (b, c):
        follower.say(append(1, (1, 1), source="x"))

    said = b.say(TimeoutNow(1, "x"))
    answer = c.say(RequestVote(2, "b", 1, 1, pre=False, transfer=True))

    assert ("c", RequestVote(2, "a", 1, 1, pre=False, transfer=True)) in said
    assert answer == [("b", Voted(2, "c", pre=False, granted=True))]


def test_3_10_a_learner_and_a_stranger_are_not_handed_over_to() -> None:
    a = leader("d")

    assert [a.raft.hand_over(name, a.now) for name in ("d", "x", "a")] == [False, False, False]


def test_3_10_an_old_wish_to_hand_over_is_not_heeded() -> None:
    b = Talk(1, term=5)

    assert b.say(TimeoutNow(4, "x")) == []
    assert b.raft.term == 5


def test_a_leader_that_stops_does_not_wait_until_somebody_has_everything() -> None:
    a = leader()
    a.raft.propose(b"x")

    a.raft.resign(a.now)
    said = a.listen()

    assert [type(message) for to, message in said if to == "c"] == [AppendEntries, TimeoutNow]
    assert a.raft.leading_term == 0


# -- pure functions ---------------------------------------------------------------------------------------------------


def changed(configuration: Configuration, *changes: Change) -> Configuration:
    target = confchange.change(configuration, changes)
    assert isinstance(target, Configuration), target
    return target


NAMES = "abcdefg"
changes = st.lists(
    st.builds(Change, st.sampled_from(["learn", "add", "promote", "demote", "remove"]), st.sampled_from(NAMES)),
    max_size=3,
)


@given(st.sets(st.sampled_from("abcde"), min_size=1), st.lists(changes, max_size=8))
def test_any_two_configurations_in_a_row_have_no_majorities_that_do_not_meet(
    founders: set[str], wishes: list[list[Change]]
) -> None:
    now = Configuration(tuple(sorted(founders)))
    for wish in wishes:
        following = confchange.leave(now) if now.outgoing else confchange.change(now, wish)
        if isinstance(following, Refused):
            continue
        for some in quorums(now):
            assert all(some & other for other in quorums(following))
        assert not {*following.voters} & {*following.learners}
        assert not {*confchange.members(confchange.leave(following))} & {*following.removed}
        now = following


def quorums(configuration: Configuration) -> list[set[str]]:
    """Every set of members that may decide."""
    names = confchange.voters(configuration)
    sets = chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))
    majorities = confchange.majorities(configuration)
    return [set(s) for s in sets if all(2 * len({*s} & {*voters}) > len(voters) for voters in majorities)]


@pytest.mark.slow
@given(st.sets(st.sampled_from("abcde"), min_size=1), st.sets(st.sampled_from("abcdefg"), min_size=1), st.data())
def test_an_election_is_won_and_lost_as_its_quorums_say(old: set[str], new: set[str], data: st.DataObject) -> None:
    votes = data.draw(st.dictionaries(st.sampled_from(NAMES), st.booleans()))
    configuration = Configuration(tuple(sorted(new)), outgoing=tuple(sorted(old)))
    granted = {name for name, answer in votes.items() if answer}
    possible = granted | ({*NAMES} - {*votes})

    outcome = joint_outcome(confchange.majorities(configuration), votes)

    assert (outcome is Outcome.WON) == any(quorum <= granted for quorum in quorums(configuration))
    assert (outcome is Outcome.LOST) == (not any(quorum <= possible for quorum in quorums(configuration)))
