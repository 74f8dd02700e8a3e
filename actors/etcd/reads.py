"""The answers to reads that a majority has confirmed. Pure."""

from __future__ import annotations

from actors.etcd import lease_rules
from actors.etcd.commands import requested
from actors.etcd.guarded import allow
from actors.etcd.mvcc.leases import LeaseClock
from actors.etcd.mvcc.store import Store
from actors.etcd.requests import WaitingRead
from protocols.etcd import (
    LeaseGranted,
    LeaseKeepAlive,
    LeaseList,
    LeaseNotFound,
    LeaseNumbers,
    LeaseTimeToLive,
    Range,
    Txn,
)
from protocols.etcd_auth import AsUser, GetAuth
from protocols.etcd_maintenance import Alarms, ListAlarms
from protocols.message import Message


def answer_to(read: WaitingRead, store: Store, clock: LeaseClock, now: float) -> Message | None:
    """None if it comes with a log entry. Raises the refusal."""
    request = read.request
    if isinstance(request, AsUser):
        user, request = request.user, requested(request)
        allow(store, user, request)
    match request:
        case Range():
            return store.range(request)
        case Txn():
            return store.read(request)
        case LeaseKeepAlive(lease=number):
            lease = store.leases.get(number)
            if lease is None or not clock.renew(lease, read.asked_at):
                raise LeaseNotFound(f"lease {number} not found")
            return None if clock.must_be_logged(lease) else LeaseGranted(number, lease.ttl_s)
        case LeaseTimeToLive():
            return lease_rules.time_left(clock, store.leases, request, now)
        case LeaseList():
            return LeaseNumbers(tuple(sorted([lease.lease for lease in store.leases.all()], key=clock.ends_at)))
        case ListAlarms():
            return Alarms(tuple(store.alarms))
        case GetAuth():
            return store.auth.table()
    raise AssertionError(f"{type(request).__name__} is no read")
