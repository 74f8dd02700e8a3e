"""One claim of the persistent volume controller: finds it a volume, has one made, or says what it waits for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from actorkube.kube import Views
from actorkube.kube.writes import Event, Update, UpdateStatus, Write, reference_to
from actors.controllers.volume_views import BY_CLAIM, CLAIM, CLAIMS, CLASSES, FREE, VOLUME, VOLUMES
from protocols.objects import Object, name_of
from protocols.rules.pods import node_of
from protocols.rules.volumes import (
    BETA_STORAGE_PROVISIONER,
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    NO_PROVISIONER,
    STORAGE_PROVISIONER,
    Claim,
    Volume,
    annotations_of,
    best_volume,
    given_to,
    mismatch,
    waits_for_consumer,
    with_annotations,
)


def reconcile(key: str, views: Views) -> list[Write]:
    claim = views[CLAIMS].get(key)
    if claim is None:
        return []
    summary: Claim = views[CLAIMS].summary(CLAIM, key)
    if summary.bind_completed:
        return _keep_bound(claim, summary, views)
    if summary.deleting:
        return []
    return _bind_to_named(claim, summary, views) if summary.volume else _find_volume(claim, summary, views)


# -- a claim that was bound -------------------------------------------------------------------------------------------


def _keep_bound(claim: Object, summary: Claim, views: Views) -> list[Write]:
    if not summary.volume:
        return _lost(
            claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
        )
    volume = views[VOLUMES].get(summary.volume)
    if volume is None:
        return _lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    owner: str = views[VOLUMES].summary(VOLUME, summary.volume).claim_uid
    if owner not in ("", summary.uid):
        return _lost(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
    return bind(claim, volume)


def _lost(claim: Object, reason: str, message: str) -> list[Write]:
    writes = _status(claim, "Lost", None)
    return [*writes, _event(claim, "Warning", reason, message)] if writes else []


# -- a claim that was not ---------------------------------------------------------------------------------------------


def _bind_to_named(claim: Object, summary: Claim, views: Views) -> list[Write]:
    """Somebody says which volume it is to have."""
    volume = views[VOLUMES].get(summary.volume)
    if volume is None:
        return _status(claim, "Pending", None)
    found: Volume = views[VOLUMES].summary(VOLUME, summary.volume)
    if found.is_of(summary):
        return bind(claim, volume)
    if found.claim:
        text = f'volume "{found.name}" already bound to a different claim.'
        return [*_status(claim, "Pending", None), _event(claim, "Warning", "FailedBinding", text)]
    if why := mismatch(found, summary):
        text = f'Cannot bind to requested volume "{found.name}": {why}'
        return [*_status(claim, "Pending", None), _event(claim, "Warning", "VolumeMismatch", text)]
    return bind(claim, volume)


def _find_volume(claim: Object, summary: Claim, views: Views) -> list[Write]:
    storage_class = views[CLASSES].get(summary.storage_class) if summary.storage_class else None
    is_early = waits_for_consumer(storage_class)
    volumes = views[VOLUMES]
    reserved: Iterable[Volume] = volumes.summaries(VOLUME, BY_CLAIM, summary.key)
    free: Iterable[Volume] = () if is_early else volumes.summaries(VOLUME, FREE, summary.storage_class)
    best = best_volume(summary, reserved, free)
    if best is not None:
        volume = volumes.get(best.name)
        assert volume is not None
        return bind(claim, volume)
    return [*_status(claim, "Pending", None), *_what_it_waits_for(claim, summary, storage_class, is_early, views)]


def _what_it_waits_for(
    claim: Object, summary: Claim, storage_class: Object | None, is_early: bool, views: Views
) -> list[Write]:
    if is_early and not summary.selected_node:
        return [_event(claim, "Normal", *_consumers(summary.key, views))]
    if not summary.storage_class:
        text = "no persistent volumes available for this claim and no storage class is set"
        return [_event(claim, "Normal", "FailedBinding", text)]
    if storage_class is None:
        text = f'storageclass.storage.k8s.io "{summary.storage_class}" not found'
        return [_event(claim, "Warning", "ProvisioningFailed", text)]
    provisioner = str(storage_class.get("provisioner") or "")
    if provisioner.startswith("kubernetes.io/"):
        return [_event(claim, "Warning", "ProvisioningFailed", _no_plugin(provisioner))]
    return _have_it_made(claim, provisioner)


def _no_plugin(provisioner: str) -> str:
    if provisioner == NO_PROVISIONER:
        return f"no volume plugin matched name: {provisioner}"
    return f'failed to get provisioner plugin: no provisionable volume plugin named "{provisioner}"'


def _consumers(key: str, views: Views) -> tuple[str, str]:
    """The pods that use it and have no node yet."""
    pods = (views["pods"].entry(pod) for pod in views["pods"].keys(BY_CLAIM, key))
    names = sorted(name_of(pod.peek()) for pod in pods if pod is not None and not node_of(pod.peek()))
    if not names:
        return "WaitForFirstConsumer", "waiting for first consumer to be created before binding"
    which = f"pod {names[0]}" if len(names) == 1 else f"pods {','.join(names)}"
    return "WaitForPodScheduled", f"waiting for {which} to be scheduled"


def _have_it_made(claim: Object, provisioner: str) -> list[Write]:
    """The provisioner of its class sees by an annotation that it is asked."""
    text = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
        "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
        "correctly registered."
    )
    wanted = {BETA_STORAGE_PROVISIONER: provisioner, STORAGE_PROVISIONER: provisioner}
    annotations = annotations_of(claim)
    asked = all(annotations.get(key) == value for key, value in wanted.items())
    writes: list[Write] = [] if asked else [Update(CLAIMS, with_annotations(claim, wanted))]
    return [*writes, _event(claim, "Normal", "ExternalProvisioning", text)]


# -- writing ----------------------------------------------------------------------------------------------------------


def bind(claim: Object, volume: Object) -> list[Write]:
    """The next of the steps that make them each other's: the volume, the claim, then what the claim says about it."""
    writes: list[Write] = []
    given, taken = given_to(volume, claim), _taken(claim, volume)
    if given is not volume:
        writes.append(Update(VOLUMES, given))
    if taken is not claim:
        writes.append(Update(CLAIMS, taken))
    return writes or _status(claim, "Bound", volume)


def _taken(claim: Object, volume: Object) -> Object:
    """The claim as it is when the volume is its own."""
    name, marks = name_of(volume), {}
    if claim["spec"].get("volumeName") != name:
        marks[BOUND_BY_CONTROLLER] = "yes"
    if BIND_COMPLETED not in annotations_of(claim):
        marks[BIND_COMPLETED] = "yes"
    return with_annotations({**claim, "spec": {**claim["spec"], "volumeName": name}}, marks) if marks else claim


def _status(claim: Object, phase: str, volume: Object | None) -> list[Write]:
    old = claim.get("status") or {}
    status: dict[str, Any] = {key: value for key, value in old.items() if key not in ("accessModes", "capacity")}
    status["phase"] = phase
    if volume is not None:
        spec = volume["spec"]
        status |= {"accessModes": spec.get("accessModes") or [], "capacity": spec.get("capacity") or {}}
    return [UpdateStatus(CLAIMS, {**claim, "status": status})] if status != old else []


def _event(claim: Object, type: Literal["Normal", "Warning"], reason: str, message: str) -> Event:
    return Event(reference_to(claim, "v1", "PersistentVolumeClaim"), type, reason, message)
