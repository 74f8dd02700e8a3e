"""The persistent volume controller: binds claims to volumes, and says what became of each.

A volume says whose it is in `spec.claimRef`, a claim in `spec.volumeName` which it has; both must say so. The volume is
written first: one update that carries the revision it was decided on, so that a volume never gets two claims. What
follows from there is decided anew from what is stored, so any step may be lost, or done twice.

Keys: `claim/NAMESPACE/NAME` (persistent_volume_claim.py) and `volume/NAME` (here).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import Event, Update, UpdateStatus, Write, reference_to
from actors.controllers import persistent_volume_claim as claims
from actors.controllers.volume_views import (
    BY_CLAIM,
    CLAIM,
    CLAIMS,
    CLASSES,
    FREE,
    VOLUME,
    VOLUMES,
    WAITING,
    ClaimsOfPod,
    by_claim,
    by_claim_of_pod,
    claims_of_pod,
    free_by_class,
    waiting_by_class,
)
from protocols.objects import Object, key_of, meta, name_of
from protocols.rules.owners import is_deleting
from protocols.rules.volumes import (
    BOUND_BY_CONTROLLER,
    PROVISIONED_BY,
    Claim,
    Volume,
    annotations_of,
    summarise_claim,
    summarise_volume,
)

_IN_TREE = "kubernetes.io/"


def controller() -> Controller:
    return Controller(
        "persistentvolume-controller",
        (
            Watches(
                CLAIMS,
                keys_of_claim,
                indexes={WAITING: waiting_by_class},
                summaries={CLAIM: summarise_claim},
            ),
            Watches(
                VOLUMES,
                keys_of_volume,
                indexes={FREE: free_by_class, BY_CLAIM: by_claim},
                summaries={VOLUME: summarise_volume},
            ),
            Watches(CLASSES, keys_of_class),
            Watches(
                "pods",
                keys_of_pod,
                indexes={BY_CLAIM: by_claim_of_pod},
                summaries={BY_CLAIM: claims_of_pod},
                when=BY_CLAIM,
                told_by=BY_CLAIM,
            ),
        ),
        reconcile,
    )


def keys_of_claim(claim: Object, views: Views) -> Iterator[str]:
    """The claim, the volume that it has or asks for, and those that say that they are its."""
    yield f"claim/{key_of(claim)}"
    name = (claim.get("spec") or {}).get("volumeName")
    if name:
        yield f"volume/{name}"
    for name in views[VOLUMES].keys(BY_CLAIM, key_of(claim)):
        yield f"volume/{name}"


def keys_of_volume(volume: Object, views: Views) -> Iterator[str]:
    """The volume, its claim, and for a free one those that wait for one of its class, or for itself."""
    yield f"volume/{name_of(volume)}"
    found = summarise_volume(volume)
    if found.claim:
        yield f"claim/{found.claim}"
    for key in views[CLAIMS].keys(WAITING, f"volume/{found.name}"):
        yield f"claim/{key}"
    if not found.claim:
        for key in views[CLAIMS].keys(WAITING, f"class/{found.storage_class}"):
            yield f"claim/{key}"


def keys_of_class(storage_class: Object, views: Views) -> Iterator[str]:
    for key in views[CLAIMS].keys(WAITING, f"class/{name_of(storage_class)}"):
        yield f"claim/{key}"


def keys_of_pod(pod: ClaimsOfPod, views: Views) -> Iterator[str]:
    """A claim that waits says for which pods."""
    for key in pod.claims:
        summary: Claim | None = views[CLAIMS].summary(CLAIM, key)
        if summary is not None and not summary.bind_completed:
            yield f"claim/{key}"


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    kind, _, name = key.partition("/")
    return claims.reconcile(name, views) if kind == "claim" else reconcile_volume(name, views)


def reconcile_volume(name: str, views: Views) -> list[Write]:
    volume = views[VOLUMES].get(name)
    if volume is None:
        return []
    summary: Volume = views[VOLUMES].summary(VOLUME, name)
    if not summary.claim_uid:
        return _phase(volume, "Available")
    claim: Claim | None = views[CLAIMS].summary(CLAIM, summary.claim)
    if claim is None or claim.uid != summary.claim_uid:
        return _release(volume)
    if claim.volume == name:
        return _phase(volume, "Bound")
    if not claim.volume:
        return []  # its claim's turn: it binds itself, or is bound elsewhere
    if PROVISIONED_BY in annotations_of(volume) and _policy(volume) == "Delete":
        return _release(volume)  # made for a claim that got another one
    return _unbind(volume)


def _release(volume: Object) -> list[Write]:
    """Nobody has it any more; what was Failed stays so, for its user to see."""
    if _phase_of(volume) not in ("Released", "Failed"):
        return _phase(volume, "Released")
    match _policy(volume):
        case "Delete" if not _is_provisioned_outside(volume) and not is_deleting(volume):
            message = (
                f'error getting deleter volume plugin for volume "{name_of(volume)}": '
                "no deletable volume plugin matched"
            )
            return _failed(volume, "VolumeFailedDelete", message)
        case "Recycle":
            return _failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!")
    return []


def _is_provisioned_outside(volume: Object) -> bool:
    """Whoever made it deletes it, and the object with it."""
    by = annotations_of(volume).get(PROVISIONED_BY) or _IN_TREE
    return not by.startswith(_IN_TREE)


def _failed(volume: Object, reason: str, message: str) -> list[Write]:
    if _phase_of(volume) == "Failed":
        return []
    about = reference_to(volume, "v1", "PersistentVolume")
    return [*_phase(volume, "Failed", message), Event(about, "Warning", reason, message)]


def _unbind(volume: Object) -> list[Write]:
    """Its claim has another volume: what a controller bound is free again, what a user reserved stays reserved."""
    spec, metadata = {**volume["spec"]}, {**meta(volume)}
    annotations = {**annotations_of(volume)}
    if BOUND_BY_CONTROLLER in annotations:
        del spec["claimRef"], annotations[BOUND_BY_CONTROLLER]
        metadata["annotations"] = annotations
    else:
        spec["claimRef"] = {key: value for key, value in spec["claimRef"].items() if key != "uid"}
    return [Update(VOLUMES, {**volume, "metadata": metadata, "spec": spec})]


def _phase(volume: Object, phase: str, message: str = "") -> list[Write]:
    if _phase_of(volume) == phase:
        return []
    status: dict[str, Any] = {**(volume.get("status") or {}), "phase": phase, "message": message}
    if not message:
        del status["message"]
    return [UpdateStatus(VOLUMES, {**volume, "status": status})]


def _phase_of(volume: Object) -> str:
    return str((volume.get("status") or {}).get("phase") or "")


def _policy(volume: Object) -> str:
    return str((volume.get("spec") or {}).get("persistentVolumeReclaimPolicy") or "Retain")
