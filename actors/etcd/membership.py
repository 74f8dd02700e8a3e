"""Who belongs to the replica set, as clients ask for it: members that come and go, a leader that hands over.

One change is under way at a time, and so is one handing over: whoever asked for it waits here. When the leadership ends
under which it was asked for, what became of it is said if it is certain, and that nobody knows if not.
"""

from __future__ import annotations

from typing import TypeAlias

from actorkube.runtime.reply import ReplyHandle
from actors.etcd.raft import confchange
from actors.etcd.raft.core import Raft
from actors.etcd.raft.types import Change, Refused
from protocols.errors import BadRequest, Unknown
from protocols.etcd import EtcdAnswer
from protocols.etcd_members import (
    NOT_A_MEMBER,
    AlreadyLearner,
    ChangeUnderWay,
    LearnerNotReady,
    Member,
    MemberAdd,
    MemberDemote,
    MemberExists,
    MemberNotFound,
    MemberPromote,
    MemberRemove,
    Members,
    MoveLeader,
    NotEnoughStarted,
    NotLearner,
    TooManyLearners,
    TransferFailed,
    UnhealthyCluster,
)
from protocols.message import Done
from protocols.raft import Configuration

MemberChange: TypeAlias = MemberAdd | MemberRemove | MemberPromote | MemberDemote

NAME_BYTES_MAX, ADDRESS_BYTES_MAX = 128, 512

_answers: dict[Refused, type[EtcdAnswer]] = {
    Refused.NOT_LEADER: ChangeUnderWay,
    Refused.UNDER_WAY: ChangeUnderWay,
    Refused.EXISTS: MemberExists,
    Refused.NOT_FOUND: MemberNotFound,
    Refused.NOT_LEARNER: NotLearner,
    Refused.IS_LEARNER: AlreadyLearner,
    Refused.NOT_READY: LearnerNotReady,
    Refused.TOO_MANY: TooManyLearners,
    Refused.UNHEALTHY: UnhealthyCluster,
    Refused.LAST_VOTER: NotEnoughStarted,
}


class Membership:
    def __init__(self, raft: Raft) -> None:
        self.is_removed = False  # somebody who knows has said so
        self._raft = raft
        self._change: tuple[ReplyHandle, Configuration] | None = None
        self._handover: ReplyHandle | None = None

    def members(self) -> Members:
        return Members(members_of(self._raft.log.configuration), self._raft.leader)

    def has_removed(self, name: str) -> bool:
        """Whether that is committed."""
        log = self._raft.log
        return name in log.configurations.at(log.committed).removed

    def errors(self, own: str) -> tuple[str, ...]:
        return (NOT_A_MEMBER,) if self.is_removed or self.has_removed(own) else ()

    def change(self, request: MemberChange, now: float) -> None:
        """Begin it, on the leader; `wait_for_change` follows. Raises an EtcdAnswer, or BadRequest."""
        begun = self._raft.change([change_of(request)], now)
        if isinstance(begun, Refused):
            raise _answers[begun](f"{type(request).__name__} {request.name}: {begun.value}")

    def wait_for_change(self, reply: ReplyHandle) -> None:
        self._change = (reply, self._raft.log.configuration)

    def hand_over(self, request: MoveLeader, now: float) -> None:
        """Begin it, on the leader; `wait_for_handover` follows. Raises an EtcdAnswer."""
        if self._raft.is_handing_over:
            raise ChangeUnderWay("the leadership is being handed over already")
        if not self._raft.hand_over(request.name, now):
            raise MemberNotFound(f"no other member with a vote is named {request.name!r}")

    def wait_for_handover(self, reply: ReplyHandle) -> None:
        self._handover = reply

    @property
    def must_settle(self) -> bool:
        """Somebody waits for a handover that is over: at rest, nothing else would take a turn for that."""
        return self._handover is not None and not self._raft.is_handing_over

    def settle(self) -> None:
        """Whoever waits is told what is certain; called after whatever may have made it so."""
        if self._change is not None and self._is_done(self._change[1]):
            self._change[0].send(self.members())
            self._change = None
        if self._handover is not None and not self._raft.is_handing_over:
            if self._raft.leading_term:
                self._handover.fail(TransferFailed("the other member did not take over in time"))
            else:
                self._handover.send(Done())
            self._handover = None

    def fail(self) -> None:
        """The leadership is over, and what is not settled will not be here."""
        if self._change is not None:
            self._change[0].fail(Unknown("the leader changed before the members did: they may yet"))
            self._change = None

    def _is_done(self, begun: Configuration) -> bool:
        """The configuration that was begun, or left by now, is committed."""
        log = self._raft.log
        now = log.configuration
        same = now.voters == begun.voters and now.learners == begun.learners
        return same and not now.outgoing and log.configurations.index <= log.committed


def change_of(request: MemberChange) -> Change:
    match request:
        case MemberAdd(name=name, address=address, learner=learner):
            if not (name and address):
                raise BadRequest("a member has a name and an address")
            if len(name.encode()) > NAME_BYTES_MAX or len(address.encode()) > ADDRESS_BYTES_MAX:
                raise BadRequest(f"a name has {NAME_BYTES_MAX} bytes at most, an address {ADDRESS_BYTES_MAX}")
            return Change("learn" if learner else "add", name, address)
        case MemberRemove(name=name):
            return Change("remove", name)
        case MemberPromote(name=name):
            return Change("promote", name)
        case MemberDemote(name=name):
            return Change("demote", name)


def members_of(configuration: Configuration) -> tuple[Member, ...]:
    addresses = configuration.addresses
    return tuple(
        Member(name, addresses.get(name, ""), name in configuration.learners)
        for name in confchange.members(configuration)
    )
