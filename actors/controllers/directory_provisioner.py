"""The provisioner of the class `standard`: a volume is a directory on one node, as kind and minikube have them.

It says so like any external provisioner: it makes a PersistentVolume that can be used on that node alone, and its own
finalizer keeps the object until the directory is gone. The directory is made by the node when a pod first mounts it.
Keys: `claim/NAMESPACE/NAME`, `volume/NAME`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Literal

from actorkube.kube import Controller, View, Views, Watches
from actorkube.kube.writes import Ask, Create, Event, Update, Write, delete, reference_to
from actors.controllers.volume_views import CLAIMS, CLASSES, VOLUMES
from protocols.csi import DIRECTORY_DRIVER, DeleteVolume, node_of_volume, volume_id
from protocols.objects import Object, key_of, meta, name_of, namespace_of, uid_of
from protocols.rules.conditions import condition_is
from protocols.rules.owners import is_deleting
from protocols.rules.volumes import (
    PROVISIONED_BY,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    Claim,
    annotations_of,
    claim_reference,
    summarise_claim,
    topology_allows,
    waits_for_consumer,
)

FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
HOSTNAME = "kubernetes.io/hostname"
_SHARED = frozenset({"ReadWriteMany", "ReadOnlyMany"})
_BY_NODE = "by node"
_NEEDED = "provisioned"


def controller() -> Controller:
    return Controller(
        "directory-provisioner",
        (
            Watches(CLAIMS, keys_of_claim),
            Watches(VOLUMES, keys_of_volume, indexes={_BY_NODE: by_node}),
            Watches(CLASSES, lambda obj, views: ()),
            Watches("nodes", keys_of_node, summaries={_NEEDED: summarise_node}, when=_NEEDED),
        ),
        reconcile,
    )


def keys_of_claim(claim: Object, views: Views) -> Iterator[str]:
    if annotations_of(claim).get(STORAGE_PROVISIONER) == DIRECTORY_DRIVER:
        yield f"claim/{key_of(claim)}"


def keys_of_volume(volume: Object, views: Views) -> Iterator[str]:
    if annotations_of(volume).get(PROVISIONED_BY) == DIRECTORY_DRIVER:
        yield f"volume/{name_of(volume)}"


def by_node(volume: Object) -> tuple[str, ...]:
    handle = _handle(volume)
    return (node_of_volume(handle),) if handle else ()


def summarise_node(node: Object) -> tuple[str, bool]:
    return name_of(node), condition_is(node, "Ready")


def keys_of_node(node: Object, views: Views) -> Iterator[str]:
    """What is on the node and waits for it."""
    for name in views[VOLUMES].keys(_BY_NODE, name_of(node)):
        yield f"volume/{name}"


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    kind, _, name = key.partition("/")
    return provision(name, views) if kind == "claim" else dispose(name, views)


# -- making -----------------------------------------------------------------------------------------------------------


def provision(key: str, views: Views) -> list[Write]:
    claim = views[CLAIMS].get(key)
    if claim is None:
        return []
    summary = summarise_claim(claim)
    storage_class = views[CLASSES].get(summary.storage_class)
    if summary.volume or summary.deleting or storage_class is None or _volume_name(claim) in views[VOLUMES]:
        return []
    if why := _cannot(summary):
        return [_event(claim, "Warning", "ProvisioningFailed", why)]
    if waits_for_consumer(storage_class) and not summary.selected_node:
        return []
    if summary.selected_node and summary.selected_node not in views["nodes"]:
        return [_choose_again(claim, f'selected node "{summary.selected_node}" is gone')]
    node = summary.selected_node or _any_node(claim, storage_class, views["nodes"])
    if not node:
        return [_event(claim, "Warning", "ProvisioningFailed", "no node is ready that the class allows")]
    name = f"{namespace_of(claim)}/{name_of(claim)}"
    begun = _event(claim, "Normal", "Provisioning", f'External provisioner is provisioning volume for claim "{name}"')
    made = _event(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {_volume_name(claim)}")
    return [begun, Create(VOLUMES, _volume(claim, storage_class, _host(views["nodes"], node), node), announce=made)]


def _cannot(claim: Claim) -> str:
    if claim.access_modes & _SHARED:
        return "a directory of one node is ReadWriteOnce or ReadWriteOncePod: it cannot be had by several nodes"
    return "a directory cannot be a block device" if claim.volume_mode == "Block" else ""


def _any_node(claim: Object, storage_class: Object, nodes: View) -> str:
    """For a class that does not wait: one of those that are ready, the claims spread over them by their uids."""
    terms = storage_class.get("allowedTopologies")
    entries = ((name, nodes.entry(name)) for name in nodes)
    usable = sorted(
        name
        for name, entry in entries
        if entry is not None and entry.summaries[_NEEDED][1] and topology_allows(terms, entry.peek())
    )
    return usable[zlib.crc32(uid_of(claim).encode()) % len(usable)] if usable else ""


def _host(nodes: View, node: str) -> str:
    entry = nodes.entry(node)
    assert entry is not None
    return str((meta(entry.peek()).get("labels") or {}).get(HOSTNAME) or node)


def _volume(claim: Object, storage_class: Object, host: str, node: str) -> Object:
    spec = claim["spec"]
    name = _volume_name(claim)
    term = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [host]}]}
    made: dict[str, Any] = {
        "capacity": {"storage": spec["resources"]["requests"]["storage"]},
        "accessModes": spec["accessModes"],
        "claimRef": claim_reference(claim),
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
        "storageClassName": name_of(storage_class),
        "volumeMode": "Filesystem",
        "csi": {"driver": DIRECTORY_DRIVER, "volumeHandle": volume_id(node, name)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
    }
    if options := storage_class.get("mountOptions"):
        made["mountOptions"] = options
    metadata = {"name": name, "annotations": {PROVISIONED_BY: DIRECTORY_DRIVER}, "finalizers": [FINALIZER]}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": made}


def _volume_name(claim: Object) -> str:
    return f"pvc-{uid_of(claim)}"


def _choose_again(claim: Object, why: str) -> Update:
    """Without a selected node the scheduler places its pod anew."""
    annotations = {key: value for key, value in annotations_of(claim).items() if key != SELECTED_NODE}
    told = _event(claim, "Warning", "ProvisioningFailed", why)
    return Update(CLAIMS, {**claim, "metadata": {**meta(claim), "annotations": annotations}}, announce=told)


# -- throwing away ----------------------------------------------------------------------------------------------------


def dispose(name: str, views: Views) -> list[Write]:
    volume = views[VOLUMES].get(name)
    if volume is None or FINALIZER not in (meta(volume).get("finalizers") or ()):
        return []
    phase = (volume.get("status") or {}).get("phase")
    if phase == "Bound" or (phase != "Released" and not is_deleting(volume)):
        return []
    if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
        return [_let_go(volume)] if is_deleting(volume) else []
    node = node_of_volume(_handle(volume))
    if node not in views["nodes"]:
        text = f'node "{node}" is not there: its directory cannot be deleted'
        return [_let_go(volume)] if is_deleting(volume) else [_about(volume, "VolumeFailedDelete", text)]
    request = Ask(DeleteVolume(_handle(volume)), lament=_about(volume, "VolumeFailedDelete", ""))
    return [request, _let_go(volume) if is_deleting(volume) else delete(VOLUMES, volume)]


def _let_go(volume: Object) -> Update:
    left = [each for each in meta(volume)["finalizers"] if each != FINALIZER]
    return Update(VOLUMES, {**volume, "metadata": {**meta(volume), "finalizers": left}})


def _handle(volume: Object) -> str:
    source = (volume.get("spec") or {}).get("csi") or {}
    return str(source.get("volumeHandle") or "") if source.get("driver") == DIRECTORY_DRIVER else ""


def _about(volume: Object, reason: str, message: str) -> Event:
    return Event(reference_to(volume, "v1", "PersistentVolume"), "Warning", reason, message)


def _event(claim: Object, type: Literal["Normal", "Warning"], reason: str, message: str) -> Event:
    return Event(reference_to(claim, "v1", "PersistentVolumeClaim"), type, reason, message)
