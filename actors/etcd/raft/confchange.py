"""Changes of who belongs to the replica set: which configuration comes of one, and of joint consensus' two steps. Pure.

Voters change in two entries (Raft 6): the first enters the joint configuration, in which both the old and the new
voters must agree to everything; when it is committed, the leader leaves it by the second. At no moment can two
majorities decide without each other, however many voters change at once. Learners change in one entry.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.etcd.raft.types import Change, Refused
from protocols.raft import Configuration

LEARNERS_MAX = 4
REMOVED_KEPT = 256


def majorities(configuration: Configuration) -> tuple[tuple[str, ...], ...]:
    """The sets of members of which each must agree by majority."""
    if configuration.outgoing:
        return (configuration.voters, configuration.outgoing)
    return (configuration.voters,)


def voters(configuration: Configuration) -> list[str]:
    """In order of their names, as all that is sent must not depend on chance."""
    return sorted({*configuration.voters, *configuration.outgoing})


def members(configuration: Configuration) -> list[str]:
    return sorted({*configuration.voters, *configuration.outgoing, *configuration.learners})


def change(configuration: Configuration, changes: Sequence[Change]) -> Configuration | Refused:
    """The configuration that begins the change: a joint one, if the voters change."""
    if configuration.outgoing:
        return Refused.UNDER_WAY
    target = configuration
    for step in changes:
        changed = _step(target, step)
        if isinstance(changed, Refused):
            return changed
        target = changed
    if set(target.voters) == set(configuration.voters):
        return target
    if not target.voters:
        return Refused.LAST_VOTER
    addresses = configuration.addresses | target.addresses
    return msgspec.structs.replace(target, outgoing=configuration.voters, addresses=addresses)


def leave(joint: Configuration) -> Configuration:
    """The configuration that ends it: the old voters have no say any more."""
    stay = {*joint.voters, *joint.learners}
    addresses = {name: address for name, address in joint.addresses.items() if name in stay}
    return msgspec.structs.replace(joint, outgoing=(), addresses=addresses)


def _step(configuration: Configuration, step: Change) -> Configuration | Refused:
    if step.kind in ("learn", "add"):
        return _add(configuration, step)
    if step.name not in members(configuration):
        return Refused.NOT_FOUND
    if step.kind == "promote":
        return _promote(configuration, step.name)
    return _demote(configuration, step.name) if step.kind == "demote" else _remove(configuration, step.name)


def _add(configuration: Configuration, step: Change) -> Configuration | Refused:
    if step.name in members(configuration) or step.name in configuration.removed:
        return Refused.EXISTS
    if step.address and step.address in configuration.addresses.values():
        return Refused.EXISTS
    addresses = configuration.addresses | {step.name: step.address}
    if step.kind == "add":
        voters = (*configuration.voters, step.name)
        return msgspec.structs.replace(configuration, voters=voters, addresses=addresses)
    if len(configuration.learners) >= LEARNERS_MAX:
        return Refused.TOO_MANY
    learners = (*configuration.learners, step.name)
    return msgspec.structs.replace(configuration, learners=learners, addresses=addresses)


def _promote(configuration: Configuration, name: str) -> Configuration | Refused:
    if name not in configuration.learners:
        return Refused.NOT_LEARNER
    learners = _without(configuration.learners, name)
    return msgspec.structs.replace(configuration, voters=(*configuration.voters, name), learners=learners)


def _demote(configuration: Configuration, name: str) -> Configuration | Refused:
    """It keeps its vote among the old ones until the joint configuration is left."""
    if name in configuration.learners:
        return Refused.IS_LEARNER
    if len(configuration.learners) >= LEARNERS_MAX:
        return Refused.TOO_MANY
    voters = _without(configuration.voters, name)
    return msgspec.structs.replace(configuration, voters=voters, learners=(*configuration.learners, name))


def _remove(configuration: Configuration, name: str) -> Configuration:
    return msgspec.structs.replace(
        configuration,
        voters=_without(configuration.voters, name),
        learners=_without(configuration.learners, name),
        addresses={other: address for other, address in configuration.addresses.items() if other != name},
        removed=(*configuration.removed, name)[-REMOVED_KEPT:],
    )


def _without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(other for other in names if other != name)
