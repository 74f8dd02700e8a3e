"""Generic ephemeral volumes: a claim for each of a pod's, made from its template and gone with the pod (KEP-1698).

The claim is called after pod and volume, and the pod is its owner: so the garbage collector takes it away, and a claim
of that name which is somebody else's is never used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.alike import BELONGS, Joined, looks_at
from actorkube.kube.writes import Create, Event, Write, reference_to
from actors.controllers.pod_summary import TEMPLATE
from actors.controllers.volume_views import BY_CLAIM, CLAIMS, by_claim_of_pod
from protocols.objects import Object, key_of, meta, namespace_of, uid_of
from protocols.rules.owners import controller_reference, controller_uid, is_deleting
from protocols.rules.volumes import ephemeral_claim_name, ephemeral_volumes, why_not_own

_WANTED = "ephemeral"  # a summary: what decides here
_WANTING = "ephemeral key"


def controller() -> Controller:
    return Controller(
        "ephemeral-volume-controller",
        (
            Watches(
                "pods",
                lambda key, views: (key,) if key else (),
                indexes={BY_CLAIM: by_claim_of_pod},
                summaries={_WANTED: wants, _WANTING: wanting},
                when=_WANTED,
                told_by=_WANTING,
            ),
            Watches(CLAIMS, pods_of_claim, summaries={_WANTED: controller_uid}, when=_WANTED),
        ),
        reconcile,
    )


@looks_at(*TEMPLATE)
def _own_volumes(pod: Object) -> tuple[str, ...]:
    return tuple(volume["name"] for volume in ephemeral_volumes(pod))


@looks_at(*BELONGS)
def _is_deleting(pod: Object) -> bool:
    return is_deleting(pod)


def _wanted(key: str, uid: str, volumes: tuple[str, ...], deleting: bool) -> tuple[str, ...]:
    return () if deleting else volumes


wants = Joined(_wanted, _own_volumes, _is_deleting)  # the volumes that need claims; none when the pod is to go


def _wanting(key: str, uid: str, volumes: tuple[str, ...], deleting: bool) -> str:
    return key if _wanted(key, uid, volumes, deleting) else ""


wanting = Joined(_wanting, _own_volumes, _is_deleting)  # the key of a pod that wants any, else ""


def pods_of_claim(claim: Object, views: Views) -> Iterator[str]:
    """Those that may have lost it; who uses it as any claim is not concerned."""
    for key in views["pods"].keys(BY_CLAIM, key_of(claim)):
        if views["pods"].summary(_WANTED, key):
            yield key


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    pod = views["pods"].get(key)
    if pod is None or is_deleting(pod):
        return []
    writes: list[Write] = []
    for volume in ephemeral_volumes(pod):
        name = ephemeral_claim_name(pod, volume)
        key = f"{namespace_of(pod)}/{name}"
        if key not in views[CLAIMS]:
            lament = _event(pod, volume, f"create PVC {name}: ")
            writes.append(Create(CLAIMS, claim_for(pod, volume), lament=lament))
        elif views[CLAIMS].summary(_WANTED, key) != uid_of(pod):
            return [*writes, _event(pod, volume, why_not_own(key, pod))]
    return writes


def claim_for(pod: Object, volume: dict[str, Any]) -> Object:
    template = volume["ephemeral"].get("volumeClaimTemplate") or {}
    said = meta(template)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": ephemeral_claim_name(pod, volume),
            "namespace": namespace_of(pod),
            **{field: said[field] for field in ("labels", "annotations") if said.get(field)},
            "ownerReferences": [controller_reference(pod, "v1", "Pod")],
        },
        "spec": template.get("spec") or {},
    }


def _event(pod: Object, volume: dict[str, Any], why: str) -> Event:
    text = f"ephemeral volume {volume['name']}: {why}"
    return Event(reference_to(pod, "v1", "Pod"), "Warning", "FailedBinding", text)
