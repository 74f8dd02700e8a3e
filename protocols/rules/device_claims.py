"""Claims of devices (resource.k8s.io/v1, KEP-4381): which a pod has, who may use one, which devices one has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from protocols.objects import Object, key_of, meta, name_of, namespace_of, uid_of
from protocols.rules.owners import controller_of
from protocols.rules.quantity import parse_quantity

CLAIMS = "resourceclaims.resource.k8s.io"
TEMPLATES = "resourceclaimtemplates.resource.k8s.io"
SLICES = "resourceslices.resource.k8s.io"
CLASSES = "deviceclasses.resource.k8s.io"
DELETE_PROTECTION = "resource.kubernetes.io/delete-protection"  # the finalizer of a claim that has devices
USERS_MAX = 256


class WantedClaim(NamedTuple):
    """One entry of a pod's claims. `key`: "namespace/name", "" for a claim that is made from a template and is not
    there yet. `own`: it is made for the pod, from `template`."""

    entry: str
    key: str
    own: bool
    template: str = ""


def claims_wanted(pod: Object) -> tuple[WantedClaim, ...]:
    """One that is made from a template is named in the pod's status; one that turned out to be needed by nobody is not
    wanted."""
    entries = (pod.get("spec") or {}).get("resourceClaims") or ()
    if not entries:
        return ()
    namespace = namespace_of(pod)
    made = {each.get("name"): each for each in (pod.get("status") or {}).get("resourceClaimStatuses") or ()}
    found = []
    for entry in entries:
        label, template = entry.get("name") or "", entry.get("resourceClaimTemplateName") or ""
        if name := entry.get("resourceClaimName"):
            found.append(WantedClaim(label, f"{namespace}/{name}", own=False))
        elif label not in made:
            found.append(WantedClaim(label, "", own=True, template=template))
        elif name := made[label].get("resourceClaimName"):
            found.append(WantedClaim(label, f"{namespace}/{name}", own=True, template=template))
    return tuple(found)


def owning_pod(claim: Object) -> tuple[str, str] | None:
    """Name and uid of the pod that it was made for."""
    owner = controller_of(claim)
    if owner is None or owner.get("kind") != "Pod" or owner.get("apiVersion") != "v1":
        return None
    return owner["name"], owner["uid"]


def why_not_own(claim: str, pod: Object) -> str:
    return f"ResourceClaim {claim} was not created for pod {key_of(pod)} (pod is not owner)"


# -- who may use it ---------------------------------------------------------------------------------------------------


def users_of(claim: Object) -> list[dict[str, Any]]:
    users: list[dict[str, Any]] = (claim.get("status") or {}).get("reservedFor") or []
    return users


def is_user(claim: Object, uid: str) -> bool:
    return any(user.get("uid") == uid for user in users_of(claim))


def with_user(claim: Object, pod: Object) -> Object:
    """The claim with the pod among those who may use it."""
    user = {"resource": "pods", "name": name_of(pod), "uid": uid_of(pod)}
    return {**claim, "status": {**(claim.get("status") or {}), "reservedFor": [*users_of(claim), user]}}


def with_users(claim: Object, users: list[dict[str, Any]]) -> Object:
    """The claim for these alone."""
    status = {key: value for key, value in (claim.get("status") or {}).items() if key != "reservedFor"}
    return {**claim, "status": {**status, "reservedFor": users} if users else status}


# -- what it has ------------------------------------------------------------------------------------------------------


class Device(NamedTuple):
    driver: str
    pool: str
    name: str

    def __str__(self) -> str:
        return f"{self.driver}/{self.pool}/{self.name}"


def allocation_of(claim: Object) -> dict[str, Any] | None:
    allocation: dict[str, Any] | None = (claim.get("status") or {}).get("allocation")
    return allocation


def devices_taken(claim: Object) -> Iterator[Device]:
    """The devices that are nobody else's while the claim has them: access for administrators takes nothing."""
    for result in _results(claim):
        if not result.get("adminAccess") and not result.get("shareID"):
            yield _device(result)


class Share(NamedTuple):
    """What a claim has of a device that others may have, too (KEP-5075): so much of each capacity."""

    device: Device
    amounts: tuple[tuple[str, int], ...]


def shares_taken(claim: Object) -> Iterator[Share]:
    for result in _results(claim):
        if result.get("shareID") and not result.get("adminAccess"):
            consumed = (result.get("consumedCapacity") or {}).items()
            yield Share(_device(result), tuple((name, parse_quantity(amount)) for name, amount in consumed))


def _results(claim: Object) -> Iterable[Object]:
    return ((allocation_of(claim) or {}).get("devices") or {}).get("results") or ()


def _device(result: Object) -> Device:
    return Device(result["driver"], result["pool"], result["device"])


def without_devices(claim: Object) -> Object:
    """The claim as if it had never had any; what drivers said of them goes too."""
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in ("allocation", "devices")}
    return {**claim, "status": status}


def is_protected(claim: Object) -> bool:
    return DELETE_PROTECTION in (meta(claim).get("finalizers") or ())


def protected(claim: Object, yes: bool) -> Object:
    """The claim with the finalizer, or without."""
    others = [each for each in meta(claim).get("finalizers") or () if each != DELETE_PROTECTION]
    finalizers = [*others, DELETE_PROTECTION] if yes else others
    return {**claim, "metadata": {**meta(claim), "finalizers": finalizers}}
