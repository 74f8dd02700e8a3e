"""The store's API for those who change who belongs to it: members that come, go, and get a vote.

A member is known by its name, for ever: a member that lost its directory has forgotten what it promised, so what takes
its place has another name. A change is carried out by the leader (another member refuses with `NotLeader`), one at a
time, and answered when a majority of the members before it and of those after it have it on disk.
"""

from __future__ import annotations

import hashlib

import msgspec

from protocols.etcd import EtcdAnswer
from protocols.message import Done, Message, Request

NOT_A_MEMBER = "it does not belong to the store any more"
"""Among the `errors` of a member's Status, once it knows."""


class Member(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`address` is where its actor is, as in `etcd-0/etcd`; a learner is sent everything and has no vote."""

    name: str
    address: str
    learner: bool = False

    @property
    def id(self) -> int:
        return member_id(self.name)


def member_id(name: str) -> int:
    """The number by which etcd's clients know the member, not 0."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1 or 1


class Members(Message):
    """In order of their names. `leader` is a name, "" while nobody leads."""

    members: tuple[Member, ...]
    leader: str = ""


class MemberList(Request[Members]):
    """Who belongs to it; linearizable unless `serializable`, which asks for this replica's own view."""

    serializable: bool = False


class MemberAdd(Request[Members]):
    """A new member at `address`, which begins with an empty directory; a learner, until it is promoted.

    Without `learner` it has a vote at once: where it does not come up, the others have one more to do without.
    Refused with MemberExists, UnhealthyCluster, ChangeUnderWay, TooManyLearners.
    """

    name: str
    address: str
    learner: bool = True


class MemberRemove(Request[Members]):
    """Also the leader, who hands over then. Refused with MemberNotFound, UnhealthyCluster, NotEnoughStarted,
    ChangeUnderWay."""

    name: str


class MemberPromote(Request[Members]):
    """A learner gets a vote. Refused with MemberNotFound, NotLearner, LearnerNotReady, ChangeUnderWay."""

    name: str


class MemberDemote(Request[Members]):
    """A voter becomes a learner; the leader hands over then. etcd has no such call; Raft has (etcd-io/raft:
    ConfChangeAddLearnerNode of a voter). Refused with MemberNotFound, AlreadyLearner, TooManyLearners,
    UnhealthyCluster, NotEnoughStarted, ChangeUnderWay."""

    name: str


class MoveLeader(Request[Done]):
    """The leader hands over to the member `name`, or to the one that is furthest ("").

    Answered when it leads no longer. Refused with MemberNotFound (it has no vote), or TransferFailed.
    """

    name: str = ""


class MemberNotFound(EtcdAnswer):
    """Nobody of that name belongs to it."""

    grpc_code, etcd_text = "NOT_FOUND", "etcdserver: member not found"


class MemberExists(EtcdAnswer):
    """Somebody of that name or at that address belongs to it, or did once."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: member ID already exist"


class NotLearner(EtcdAnswer):
    """Only a learner can be promoted."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: can only promote a learner member"


class AlreadyLearner(EtcdAnswer):
    """Only a voter can be demoted."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: member is a learner already"


class LearnerNotReady(EtcdAnswer):
    """The learner lacks entries that others have. Ask again later."""

    grpc_code, etcd_text = (
        "FAILED_PRECONDITION",
        ("etcdserver: can only promote a learner member which is in sync with leader"),
    )


class TooManyLearners(EtcdAnswer):
    """Each learner costs the leader as much as a member with a vote."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: too many learner members in cluster"


class UnhealthyCluster(EtcdAnswer):
    """The members that are up would be no majority after the change."""

    grpc_code, etcd_text = "UNAVAILABLE", "etcdserver: unhealthy cluster"


class NotEnoughStarted(EtcdAnswer):
    """Nobody would have a vote after the change."""

    grpc_code = "FAILED_PRECONDITION"
    etcd_text = "etcdserver: re-configuration failed due to not enough started members"


class ChangeUnderWay(EtcdAnswer):
    """Another change is not finished, or the leader is too new to begin one. It did not happen; ask again."""

    grpc_code, etcd_text = "UNAVAILABLE", "etcdserver: a membership change is under way"


class TransferFailed(EtcdAnswer):
    """The other member did not take over in time: this one goes on leading."""

    grpc_code, etcd_text = "UNAVAILABLE", "etcdserver: request timed out, leader transfer took too long"
