"""Persistent volumes, claims, classes, drivers."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules.defaults.fill import fill, section
from protocols.objects import Object


def persistent_volume(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")
    if spec.get("hostPath") is not None:
        fill(spec["hostPath"], type="")


def persistent_volume_claim(obj: Object) -> None:
    claim_spec(section(obj, "spec"))


def claim_spec(spec: dict[str, Any]) -> None:
    fill(spec, volumeMode="Filesystem", resources={})


def storage_class(obj: Object) -> None:
    fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def csi_driver(obj: Object) -> None:
    fill(
        section(obj, "spec"),
        attachRequired=True,
        podInfoOnMount=False,
        storageCapacity=False,
        fsGroupPolicy="ReadWriteOnceWithFSType",
        volumeLifecycleModes=["Persistent"],
        requiresRepublish=False,
        seLinuxMount=False,
    )
