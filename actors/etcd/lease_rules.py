"""Leases as their leader sees them: its clock follows the log, and says what is to go there. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from actors.etcd.commands import CheckpointLeases, Command, ExpireLeases, requested
from actors.etcd.mvcc.leases import LeaseClock, Leases
from protocols.errors import Answer, BadRequest
from protocols.etcd import LeaseGrant, LeaseGranted, LeaseRevoke, LeaseTimeLeft, LeaseTimeToLive, LeaseTooLong
from protocols.etcd_auth import AsUser
from protocols.message import Message

TTL_S_MAX = 9_000_000_000  # as etcd
CHECKPOINTS_MAX = 1_000  # in one command


def check_grant(grant: LeaseGrant) -> None:
    """Raises what the client did wrong."""
    if grant.ttl_s < 1:
        raise BadRequest(f"a lease lives at least 1 s, not {grant.ttl_s}")
    if grant.ttl_s > TTL_S_MAX:
        raise LeaseTooLong(f"a lease lives {TTL_S_MAX} s at most, not {grant.ttl_s}")


def follow(clock: LeaseClock, leases: Leases, command: Command, result: Message | Answer, now: float) -> None:
    """The command was applied, with that result."""
    if isinstance(command, AsUser):
        if isinstance(result, Answer):
            return  # who was refused has renewed nothing
        command = requested(command)
    match command:
        case LeaseGrant() if isinstance(result, LeaseGranted):
            _renew(clock, leases, result.lease, now)
        case LeaseRevoke(lease=number):
            _renew(clock, leases, number, now)
        case ExpireLeases(leases=numbers):
            for number in numbers:
                _renew(clock, leases, number, now)
        case CheckpointLeases(left_s=left_s):
            clock.checkpointed(left_s)


def _renew(clock: LeaseClock, leases: Leases, number: int, now: float) -> None:
    """Its time begins anew if it is there: a revocation that was refused has left it."""
    clock.forget(number)
    lease = leases.get(number)
    if lease is not None:
        clock.renew(lease, now)


def checkpoints(clock: LeaseClock, leases: Leases, least_ttl_s: float, term: int, now: float) -> Iterator[Command]:
    """What to propose, so that the next leader knows what leases that live longer than that have left."""
    left_s = clock.take_checkpoints(leases, least_ttl_s, now)
    for start in range(0, len(left_s), CHECKPOINTS_MAX):
        yield CheckpointLeases(tuple(left_s[start : start + CHECKPOINTS_MAX]), term)


def time_left(clock: LeaseClock, leases: Leases, request: LeaseTimeToLive, now: float) -> LeaseTimeLeft:
    lease, left_s = leases.get(request.lease), clock.left_s(request.lease, now)
    if lease is None or left_s is None:
        return LeaseTimeLeft(request.lease, -1, 0)
    return LeaseTimeLeft(request.lease, left_s, lease.ttl_s, tuple(sorted(lease.keys)) if request.keys else ())
