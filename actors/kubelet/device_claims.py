"""A pod's claims of devices on its node: it runs when all of them have devices, for it (KEP-4381). Pure: what the API
has of a claim is an argument.

Drivers are not asked: a container finds its devices as it would without a claim.
"""

from __future__ import annotations

from protocols.objects import Object, key_of, name_of, split_key, uid_of
from protocols.rules.device_claims import WantedClaim, allocation_of, is_user, owning_pod, why_not_own

NOT_PREPARED = "FailedPrepareDynamicResources"


class NotPrepared(Exception):
    """The pod waits; the message says for what, in the kubelet's words."""


def check(pod: Object, wanted: WantedClaim, claim: Object | None) -> None:
    """Raises NotPrepared."""
    if not wanted.key:
        text = f'podclaim {wanted.entry}: pod "{key_of(pod)}": ResourceClaim not created yet'
        raise NotPrepared(f"prepare dynamic resources: {text}")
    if why := _problem(pod, wanted, claim):
        raise NotPrepared(f"prepare dynamic resources: {why}")


def _problem(pod: Object, wanted: WantedClaim, claim: Object | None) -> str:
    name = split_key(wanted.key)[1]
    if claim is None:
        missing = f'resourceclaims.resource.k8s.io "{name}" not found'
        return f"fetch ResourceClaim {name} referenced by pod {name_of(pod)}: {missing}"
    if wanted.own and (owning_pod(claim) or ("", ""))[1] != uid_of(pod):
        return why_not_own(wanted.key, pod)
    if allocation_of(claim) is None or not is_user(claim, uid_of(pod)):
        who = f"pod {name_of(pod)} ({uid_of(pod)})"
        return f"{who} is not allowed to use resource claim {name} ({uid_of(claim)})"
    return ""
