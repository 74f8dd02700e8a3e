"""ResourceClaims as the scheduler knows them (KEP-4381): which have devices allocated, and where those can be used.

Devices are not allocated here: a pod waits until somebody else has done so for its claims, as it waits for a claim
that is not there yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from protocols.objects import Object, meta, namespace_of, uid_of
from protocols.rules.owners import controller_of, is_deleting

RESOURCE = "resourceclaims.resource.k8s.io"


class DeviceClaim(NamedTuple):
    """`nodes`: the node selector of where its devices are, None if that is anywhere."""

    allocated: bool
    nodes: Mapping[str, Any] | None
    owner: str  # the uid of the pod that it was made for, "" if for none
    deleting: bool


class DeviceClaims:
    """`version` changes with whatever may change an answer about a pod that has claims."""

    def __init__(self) -> None:
        self.version = 0
        self._claims: dict[str, DeviceClaim] = {}

    def set(self, key: str, obj: Object | None) -> bool:
        """A claim was seen, or is gone. Does that matter?"""
        before = self._claims.pop(key, None)
        claim = _summary(obj) if obj is not None else None
        if claim is not None:
            self._claims[key] = claim
        changed = claim != before
        self.version += changed
        return changed

    def get(self, key: str) -> DeviceClaim | None:
        return self._claims.get(key)


def _summary(obj: Object) -> DeviceClaim:
    allocation = (obj.get("status") or {}).get("allocation")
    owner = controller_of(obj) or {}
    of_pod = owner["uid"] if owner.get("kind") == "Pod" else ""
    return DeviceClaim(allocation is not None, (allocation or {}).get("nodeSelector"), of_pod, is_deleting(obj))


class WantedClaim(NamedTuple):
    """`key`: "namespace/name", "" for one that is made from a template and is not there yet."""

    key: str
    own: bool


def claims_wanted(pod: Object) -> tuple[WantedClaim, ...]:
    """One that is made from a template is named in the pod's status; one that turned out to be needed by nobody is not
    wanted."""
    entries = (pod.get("spec") or {}).get("resourceClaims") or ()
    if not entries:
        return ()
    made = {each.get("name"): each for each in (pod.get("status") or {}).get("resourceClaimStatuses") or ()}
    found = []
    for entry in entries:
        if name := entry.get("resourceClaimName"):
            found.append(WantedClaim(f"{namespace_of(pod)}/{name}", own=False))
        elif entry.get("name") not in made:
            found.append(WantedClaim("", own=True))
        elif name := made[entry["name"]].get("resourceClaimName"):
            found.append(WantedClaim(f"{namespace_of(pod)}/{name}", own=True))
    return tuple(found)


def used_by(claim: Object, pod: Object) -> Object | None:
    """The claim with the pod among those who may use it; None if it is already."""
    users = (claim.get("status") or {}).get("reservedFor") or []
    if any(user.get("uid") == uid_of(pod) for user in users):
        return None
    user = {"resource": "pods", "name": meta(pod)["name"], "uid": uid_of(pod)}
    return {**claim, "status": {**(claim.get("status") or {}), "reservedFor": [*users, user]}}
