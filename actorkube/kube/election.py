"""Leader election by a Lease, as client-go does it: which of several candidates acts. Pure.

A candidate writes its name into the lease and renews it. Others take it over when it has not changed for
`lease_duration_s` by their own clock: what the lease says about times is for people, so clocks need not agree. A leader
that could not renew for `renew_deadline_s`, counted from before it asked, gives up, which is before others may take
over. A leader that ends in good order says so in the lease, and is followed at once. A lease protects from two leaders
only as far as a request does not outlive its sender; whoever acts must still be refused by what it acts upon (a second
binding is).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from protocols.objects import Object, revision_of
from protocols.rules.times import micro_time_of

LEASES = "leases.coordination.k8s.io"
JITTER = 1.2  # of the pause between two attempts


class LeaderElection(NamedTuple):
    """Which lease, and how patient. kube-scheduler's defaults."""

    name: str
    namespace: str = "kube-system"
    lease_duration_s: float = 15.0
    renew_deadline_s: float = 10.0
    retry_period_s: float = 2.0


class Election:
    """One candidate's view of the lease."""

    def __init__(self, config: LeaderElection, identity: str) -> None:
        self.config = config
        self.identity = identity
        self._revision = -1
        self._seen_at = 0.0
        self._renewed_at: float | None = None

    @property
    def leads(self) -> bool:
        return self._renewed_at is not None

    @property
    def must_renew_by(self) -> float:
        """When the leader has to give up."""
        assert self._renewed_at is not None
        return self._renewed_at + self.config.renew_deadline_s

    def wanted(self, lease: Object | None, now: float) -> Object | None:
        """The lease to be written, in the place of this one if there is one. None: it is another's."""
        if lease is None:
            return self._lease({}, 0, now)
        if revision_of(lease) != self._revision:
            self._revision, self._seen_at = revision_of(lease), now
        spec = lease.get("spec") or {}
        holder, transitions = spec.get("holderIdentity") or "", spec.get("leaseTransitions") or 0
        if holder == self.identity:
            return {**lease, **self._lease(spec, transitions, now, lease)}
        if holder and now < self._seen_at + self.config.lease_duration_s:
            return None
        return {**lease, **self._lease({}, transitions + 1, now, lease)}

    def released(self, lease: Object, now: float) -> Object | None:
        """The lease to be written by a leader that ends. None: it is another's already.

        As client-go's `ReleaseOnCancel` writes it: nobody's, and of one second.
        """
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") != self.identity:
            return None
        times = {"acquireTime": micro_time_of(now), "renewTime": micro_time_of(now)}
        return {**lease, "spec": {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, **times}}

    def written(self, asked_at: float) -> None:
        """The lease is ours, as of when the request was begun."""
        self._renewed_at = asked_at

    def lost(self) -> None:
        self._renewed_at = None

    def _lease(self, spec: dict[str, Any], transitions: int, now: float, lease: Object | None = None) -> Object:
        metadata = (lease or {}).get("metadata") or {"name": self.config.name, "namespace": self.config.namespace}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(self.config.lease_duration_s),
                "acquireTime": spec.get("acquireTime") or micro_time_of(now),
                "renewTime": micro_time_of(now),
                "leaseTransitions": transitions,
            },
        }
