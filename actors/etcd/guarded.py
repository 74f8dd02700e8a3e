"""Requests that doors bring: in whose name they are asked, and what is looked at before they enter the log. Pure.

What a user may do is decided where it is done: by every replica when it applies a write, by the leader when it answers
a read, by the member that feeds a watch.
"""

from __future__ import annotations

import msgspec

from actorkube.runtime import Ref
from actors.etcd import lease_rules
from actors.etcd.commands import requested
from actors.etcd.mvcc.auth import Guarded
from actors.etcd.mvcc.store import Store
from actors.etcd.mvcc.txn import read_only, validate
from protocols.errors import BadRequest
from protocols.etcd import (
    Compact,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseList,
    LeaseRevoke,
    LeaseTimeToLive,
    Range,
    RangeResponse,
    Txn,
    WatchKeys,
)
from protocols.etcd_auth import AsUser, AuthIsOn, ChangeAuth
from protocols.message import Message

DOOR = "door"  # the actor that etcd's clients stand before; all others belong to the cluster
NAMED = frozenset(
    (
        *(
            Txn,
            Range,
            LeaseGrant,
            LeaseRevoke,
            LeaseKeepAlive,
            LeaseTimeToLive,
            LeaseList,
            Compact,
            WatchKeys,
            ChangeAuth,
        ),
    )
)


def check_named(store: Store, message: Message, sender: Ref | None) -> None:
    """While authentication is enabled. Raises AuthIsOn when a door asks in nobody's name, or what a watcher may not."""
    if type(message) is WatchKeys and message.user:
        allow(store, message.user, message)
    elif type(message) in NAMED and sender is not None and sender.address.actor == DOOR:
        raise AuthIsOn("in whose name is that asked?")


def allow(store: Store, user: str, request: Guarded) -> None:
    """Raises why the user may not do it."""
    refusal = store.auth.refusal(user, request, store.leases)
    if refusal is not None:
        raise refusal


def admitted(asked: AsUser, store: Store) -> tuple[bool, int]:
    """Whether it is a read, and how many bytes of keys and values there are. Raises what the client did wrong."""
    request = _request(asked)
    match request:
        case Txn():
            size = validate(request)
            allow(store, asked.user, request)  # what the answer's size says is for those who may have the answer
            store.check_answer(request)
            return read_only(request), size
        case LeaseGrant():
            lease_rules.check_grant(request)
    return isinstance(request, Range | LeaseKeepAlive | LeaseTimeToLive | LeaseList), 0


def read_here(asked: AsUser, store: Store) -> RangeResponse | None:
    """The answer to a read that is content with what this member knows; None for all else. Raises its refusal."""
    request = _request(asked)
    if not (isinstance(request, Range) and request.serializable):
        return None
    allow(store, asked.user, request)
    return store.range(request)


def _request(asked: AsUser) -> Guarded:
    try:
        found: Guarded = requested(asked)
    except (KeyError, msgspec.MsgspecError) as error:
        raise BadRequest(f"users ask no such thing: {error}") from error
    return found
