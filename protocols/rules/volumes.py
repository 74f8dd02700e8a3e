"""Persistent volumes and claims: what a claim asks for, what a volume is, and which volume suits which claim.

The controller that binds and the scheduler that chooses by node must agree, so the choice is made here: of the volumes
that suit, the smallest (of equal ones the first by name). One that is reserved for the claim goes before all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from protocols.objects import Object, key_of, labels_of, meta, name_of, namespace_of, uid_of
from protocols.rules.affinity import node_selector_matches
from protocols.rules.owners import controller_uid, is_deleting
from protocols.rules.quantity import InvalidQuantity, parse_quantity
from protocols.rules.selectors import Requirement, labels_match, selector_requirements

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
WAIT_FOR_FIRST_CONSUMER = "WaitForFirstConsumer"
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"  # an annotation of old, which goes before the field


class Volume(NamedTuple):
    """What decides whether a PersistentVolume suits a claim; sizes in nano-bytes, as `parse_quantity` says."""

    name: str
    size: int
    access_modes: frozenset[str]
    storage_class: str
    volume_mode: str
    attributes_class: str
    labels: dict[str, str]
    affinity: dict[str, Any] | None  # a NodeSelector
    claim: str  # "namespace/name" of the claim that it belongs to or is reserved for, "" for a free one
    claim_uid: str  # "" where it is only reserved
    phase: str
    deleting: bool

    def reaches(self, node: Object) -> bool:
        """Whether it can be used on that node."""
        return self.affinity is None or node_selector_matches(self.affinity, node)

    def is_of(self, claim: Claim) -> bool:
        """It belongs to that claim, or is reserved for it."""
        return self.claim == claim.key and self.claim_uid in ("", claim.uid)


class Claim(NamedTuple):
    """What a PersistentVolumeClaim asks for."""

    key: str
    uid: str
    size: int
    access_modes: frozenset[str]
    storage_class: str
    volume_mode: str
    attributes_class: str
    selector: tuple[Requirement, ...]
    volume: str  # the name of the volume that it is bound to, or asks for
    bind_completed: bool
    selected_node: str
    deleting: bool
    owner: str = ""  # the uid of who controls it: a pod, where it is for a volume of that alone

    @property
    def bound(self) -> bool:
        return bool(self.volume) and self.bind_completed


def summarise_volume(volume: Object) -> Volume:
    spec = volume.get("spec") or {}
    reference = spec.get("claimRef") or {}
    return Volume(
        name=name_of(volume),
        size=_size(spec.get("capacity")),
        access_modes=frozenset(spec.get("accessModes") or ()),
        storage_class=_class_of(volume),
        volume_mode=spec.get("volumeMode") or "Filesystem",
        attributes_class=spec.get("volumeAttributesClassName") or "",
        labels=labels_of(volume),
        affinity=(spec.get("nodeAffinity") or {}).get("required"),
        claim=f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else "",
        claim_uid=reference.get("uid") or "",
        phase=(volume.get("status") or {}).get("phase") or "",
        deleting=is_deleting(volume),
    )


def summarise_claim(claim: Object) -> Claim:
    spec = claim.get("spec") or {}
    annotations = annotations_of(claim)
    selector = spec.get("selector")
    return Claim(
        key=key_of(claim),
        uid=uid_of(claim),
        size=_size((spec.get("resources") or {}).get("requests")),
        access_modes=frozenset(spec.get("accessModes") or ()),
        storage_class=_class_of(claim),
        volume_mode=spec.get("volumeMode") or "Filesystem",
        attributes_class=spec.get("volumeAttributesClassName") or "",
        selector=tuple(selector_requirements(selector)) if selector else (),
        volume=spec.get("volumeName") or "",
        bind_completed=BIND_COMPLETED in annotations,
        selected_node=annotations.get(SELECTED_NODE) or "",
        deleting=is_deleting(claim),
        owner=controller_uid(claim),
    )


def best_volume(
    claim: Claim,
    reserved: Iterable[Volume],
    free: Iterable[Volume],
    node: Object | None = None,
    taken: frozenset[str] | set[str] = frozenset(),
) -> Volume | None:
    """The volume to bind the claim to; None: none suits.

    reserved: those whose claimRef names the claim. free: those of the claim's class that belong to nobody.
    node: where it is to be used, if that matters already. taken: the names of those that others are about to get.
    """
    for volume in sorted(reserved, key=lambda volume: volume.name):
        if volume.is_of(claim) and volume.name not in taken and _is_enough(volume, claim):
            return volume if node is None or volume.reaches(node) else None
    suitable = (
        volume
        for volume in free
        if volume.name not in taken and suits(volume, claim) and (node is None or volume.reaches(node))
    )
    return min(suitable, key=lambda volume: (volume.size, volume.name), default=None)


def suits(volume: Volume, claim: Claim) -> bool:
    """Whether a free volume may become the claim's."""
    return (
        volume.phase == "Available"
        and not volume.claim
        and volume.storage_class == claim.storage_class
        and claim.access_modes <= volume.access_modes
        and _is_enough(volume, claim)
        and labels_match(claim.selector, volume.labels)
    )


def mismatch(volume: Volume, claim: Claim) -> str:
    """Why the volume that a claim asks for by name cannot be its own, in Kubernetes' words; "" when it can."""
    if volume.deleting:
        return f'the volume is marked for deletion "{volume.name}"'
    if volume.size < claim.size:
        return "requested PV is too small"
    if volume.storage_class != claim.storage_class:
        return "storageClassName does not match"
    if volume.volume_mode != claim.volume_mode:
        return "incompatible volumeMode"
    if not claim.access_modes <= volume.access_modes:
        return "incompatible accessMode"
    return ""


def ephemeral_volumes(pod: Object) -> Iterator[dict[str, Any]]:
    """Those of a pod's volumes for which a claim of its own is made (generic ephemeral volumes)."""
    return (v for v in (pod.get("spec") or {}).get("volumes") or () if v.get("ephemeral") is not None)


def own_claims(pod: Object) -> frozenset[str]:
    """The claims of its own that a pod uses, as "namespace/name": only what it controls will do."""
    return frozenset(f"{namespace_of(pod)}/{ephemeral_claim_name(pod, volume)}" for volume in ephemeral_volumes(pod))


def why_not_own(claim: str, pod: Object) -> str:
    """That a claim is called like one of a pod's own, and is not, in Kubernetes' words."""
    return f"PVC {claim} was not created for pod {key_of(pod)} (pod is not owner)"


def claim_names(pod: Object) -> Iterator[str]:
    """The names of the claims that a pod's volumes use, those of its own (generic ephemeral) ones included."""
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if (source := volume.get("persistentVolumeClaim")) is not None:
            yield source.get("claimName") or ""
        elif volume.get("ephemeral") is not None:
            yield ephemeral_claim_name(pod, volume)


def ephemeral_claim_name(pod: Object, volume: Mapping[str, Any]) -> str:
    """The claim that is made for one generic ephemeral volume of a pod."""
    return f"{name_of(pod)}-{volume['name']}"


def waits_for_consumer(storage_class: Object | None) -> bool:
    """Claims of that class are bound when a pod that uses them has been scheduled, not before."""
    return storage_class is not None and storage_class.get("volumeBindingMode") == WAIT_FOR_FIRST_CONSUMER


def topology_allows(terms: Iterable[Mapping[str, Any]] | None, node: Object) -> bool:
    """Whether a class's allowedTopologies let a volume be made for that node; no terms allow every node."""
    labels = labels_of(node)
    if not terms:
        return True
    return any(
        all(
            labels.get(each.get("key") or "") in (each.get("values") or ())
            for each in term.get("matchLabelExpressions") or ()
        )
        for term in terms
    )


def claim_reference(claim: Object) -> dict[str, Any]:
    """What a volume says about the claim that it belongs to."""
    return {
        "kind": "PersistentVolumeClaim",
        "namespace": namespace_of(claim),
        "name": name_of(claim),
        "uid": uid_of(claim),
        "apiVersion": "v1",
        "resourceVersion": str(meta(claim).get("resourceVersion") or ""),
    }


def given_to(volume: Object, claim: Object) -> Object:
    """The volume as it is when it is the claim's: itself, if it says so already."""
    reference, wanted = (volume.get("spec") or {}).get("claimRef") or {}, claim_reference(claim)
    if all(reference.get(key) == wanted[key] for key in ("namespace", "name", "uid")):
        return volume
    is_reserved = all(reference.get(key) == wanted[key] for key in ("namespace", "name"))
    given = {**volume, "spec": {**volume["spec"], "claimRef": wanted}}
    return given if is_reserved else with_annotations(given, {BOUND_BY_CONTROLLER: "yes"})


def with_annotations(obj: Object, annotations: Mapping[str, str]) -> Object:
    return {**obj, "metadata": {**meta(obj), "annotations": {**annotations_of(obj), **annotations}}}


def annotations_of(obj: Object) -> dict[str, str]:
    return meta(obj).get("annotations") or {}


def _is_enough(volume: Volume, claim: Claim) -> bool:
    return (
        not volume.deleting
        and volume.size >= claim.size
        and volume.volume_mode == claim.volume_mode
        and volume.attributes_class == claim.attributes_class
    )


def _class_of(obj: Object) -> str:
    """ "" for none."""
    old = annotations_of(obj).get(_BETA_CLASS)
    return old if old is not None else (obj.get("spec") or {}).get("storageClassName") or ""


def _size(amounts: Mapping[str, Any] | None) -> int:
    """What cannot be read is nothing; the API server stores no such amount."""
    try:
        return parse_quantity((amounts or {}).get("storage") or 0)
    except InvalidQuantity:
        return 0
