"""Leader election's decisions: who may write the lease, and when a leader has to give up."""

from __future__ import annotations

import pytest

from actorkube.kube.election import Election, LeaderElection
from protocols.objects import Object

CONFIG = LeaderElection("scheduler")


def stored(lease: Object | None, revision: int) -> Object:
    assert lease is not None
    return {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(revision)}}


def candidates() -> tuple[Election, Election]:
    return Election(CONFIG, "a"), Election(CONFIG, "b")


def test_the_first_creates_the_lease_and_says_so_in_it() -> None:
    a, _ = candidates()

    lease = a.wanted(None, 100.0)

    assert lease is not None
    assert lease["metadata"] == {"name": "scheduler", "namespace": "kube-system"}
    assert lease["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "1970-01-01T00:01:40.000000Z",
        "renewTime": "1970-01-01T00:01:40.000000Z",
        "leaseTransitions": 0,
    }


def test_a_lease_that_is_renewed_is_left_to_its_holder() -> None:
    a, b = candidates()
    lease = stored(a.wanted(None, 0.0), 1)

    for revision in range(1, 20):
        assert b.wanted(lease, revision * 10.0) is None
        lease = stored(a.wanted(lease, revision * 10.0), revision + 1)


def test_a_lease_that_has_not_changed_for_its_duration_is_taken_over() -> None:
    """By the clock of who looks: the times in it may be anything."""
    a, b = candidates()
    lease = stored(a.wanted(None, 9_999_999.0), 1)

    looks = [b.wanted(lease, at) for at in (50.0, 60.0, 64.9, 65.0)]

    assert looks[:3] == [None, None, None]
    assert looks[3] is not None
    assert (looks[3]["spec"]["holderIdentity"], looks[3]["spec"]["leaseTransitions"]) == ("b", 1)
    assert looks[3]["metadata"]["resourceVersion"] == "1"  # so whoever else takes it over meanwhile is not overwritten


def test_a_released_lease_is_free_at_once() -> None:
    _, b = candidates()
    released = {"metadata": {"resourceVersion": "4"}, "spec": {"holderIdentity": "", "leaseTransitions": 2}}

    lease = b.wanted(released, 0.0)

    assert lease is not None and lease["spec"]["leaseTransitions"] == 3


def test_a_leader_that_ends_leaves_a_lease_that_is_nobodys_and_its_history() -> None:
    a, b = candidates()
    held = stored(a.wanted(None, 100.0), 1)

    released = a.released(held, 103.0)

    assert released is not None
    assert released["spec"] == {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "acquireTime": "1970-01-01T00:01:43.000000Z",
        "renewTime": "1970-01-01T00:01:43.000000Z",
        "leaseTransitions": 0,
    }
    assert released["metadata"]["resourceVersion"] == "1"  # so whoever took it over meanwhile is not overwritten
    assert b.released(held, 103.0) is None
    assert b.wanted(stored(released, 2), 103.0) is not None


def test_renewing_keeps_when_it_was_acquired() -> None:
    a, _ = candidates()
    lease = stored(a.wanted(None, 1.0), 1)

    renewed = a.wanted(lease, 9.0)

    assert renewed is not None
    times = renewed["spec"]["acquireTime"], renewed["spec"]["renewTime"]
    assert times == ("1970-01-01T00:00:01.000000Z", "1970-01-01T00:00:09.000000Z")


def test_a_leader_gives_up_before_anybody_may_take_over() -> None:
    """What counts is when the renewal was asked for, not when it was answered."""
    a, b = candidates()
    a.written(asked_at=100.0)
    lease = stored(a.wanted(None, 101.0), 1)
    b.wanted(lease, 101.0)

    assert a.must_renew_by == 110.0
    assert b.wanted(lease, 115.9) is None
    assert b.wanted(lease, 116.0) is not None


def test_who_lost_leads_no_more() -> None:
    a, _ = candidates()
    a.written(0.0)
    assert a.leads
    a.lost()
    assert not a.leads
    with pytest.raises(AssertionError):
        _ = a.must_renew_by
