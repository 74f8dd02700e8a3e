"""Reads by clock, in conversations with one member (dissertation, 6.4.1)."""

from __future__ import annotations

from protocols.raft import ConfirmLeader, LeaderConfirmed, RaftMessage, Voted
from tests.etcd.raft_talk import Talk, accepted, append, vote

LEASE_S = 0.9  # of an election timeout of 1 s


def leader(answer_after_s: float = 0.0) -> Talk:
    """`a` leads; `b` has answered its first heartbeat."""
    a = Talk(lease_s=LEASE_S)
    a.lead()
    a.say(accepted(1, 1))
    beat = next(message for _, message in a.wait(0.1) if isinstance(message, ConfirmLeader))
    a.now += answer_after_s
    a.say(LeaderConfirmed(1, "b", beat.round))
    return a


def reads_at_once(a: Talk) -> bool:
    number = a.raft.request_read(a.now)
    assert isinstance(number, int)
    said = a.listen()
    answered = a.read_round >= number
    assert answered != asks(said)
    return answered


def asks(said: list[tuple[str, RaftMessage]]) -> bool:
    return any(isinstance(message, ConfirmLeader) for _, message in said)


def test_a_read_within_the_lease_asks_nobody() -> None:
    assert reads_at_once(leader())


def test_without_an_answer_to_a_heartbeat_there_is_no_lease() -> None:
    a = Talk(lease_s=LEASE_S)
    a.lead()
    a.say(accepted(1, 1))

    assert not reads_at_once(a)


def test_the_lease_is_over_in_time() -> None:
    a = leader()
    a.now += LEASE_S

    assert not reads_at_once(a)


def test_the_lease_counts_from_when_the_heartbeat_left() -> None:
    a = leader(answer_after_s=0.5)
    a.now += 0.5

    assert not reads_at_once(a)


def test_who_has_told_another_to_take_over_has_no_lease_any_more_even_if_that_failed() -> None:
    a = leader()
    a.raft.hand_over("b", a.now)
    a.listen()
    for _ in range(25):
        beat = next(message for _, message in a.wait(0.1) if isinstance(message, ConfirmLeader))
        a.say(LeaderConfirmed(1, "b", beat.round))

    assert not a.raft.is_handing_over
    assert not reads_at_once(a)


def test_a_member_that_starts_again_keeps_a_promise_that_it_may_have_given() -> None:
    b = Talk(1, term=1, lease_s=LEASE_S)

    answer = b.say(vote(2, (1, 1), "c"))
    silence = b.wait(0.99)

    assert [m for _, m in answer if isinstance(m, Voted) and m.granted] == []
    assert silence == []


def test_a_replica_set_that_is_new_has_promised_nothing() -> None:
    assert Talk(lease_s=LEASE_S).wait(0.05) != []


def test_a_promise_outlives_the_term_in_which_it_was_given() -> None:
    b = Talk(1, term=1, lease_s=LEASE_S)
    b.now = 10.0
    b.say(append(1, (1, 1), source="c"))
    b.say(Voted(3, "d", pre=True, granted=False))

    answer = b.say(vote(4, (1, 1), "d"))

    assert [m for _, m in answer if isinstance(m, Voted) and m.granted] == []


def test_a_promise_to_a_leader_outlives_the_connection_to_it() -> None:
    a = Talk(lease_s=LEASE_S)
    a.say(append(1, (0, 0), source="b"))

    a.raft.lost("b", a.now)

    assert a.wait(0.9) == []
    assert a.say(vote(2, (9, 9), "c", pre=True)) == [("c", Voted(1, "a", pre=True, granted=False))]
