"""Persistent volumes, claims, classes, drivers."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules.defaults.fill import fill, section
from protocols.objects import Object

_DATA_SOURCES = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))


def persistent_volume(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")
    if spec.get("hostPath") is not None:
        fill(spec["hostPath"], type="")


def persistent_volume_claim(obj: Object) -> None:
    spec = section(obj, "spec")
    claim_spec(spec)
    _data_sources(spec)


def claim_spec(spec: dict[str, Any]) -> None:
    fill(spec, volumeMode="Filesystem", resources={})


def _data_sources(spec: dict[str, Any]) -> None:
    """The older field knows claims and snapshots; what it says, the newer one says, too, and the other way round."""
    older, newer = spec.get("dataSource"), spec.get("dataSourceRef")
    if older is not None and (older.get("apiGroup") or "", older.get("kind")) not in _DATA_SOURCES:
        del spec["dataSource"]
        older = None
    if older is not None and newer is None:
        spec["dataSourceRef"] = {**older}
    elif newer is not None and older is None and not newer.get("namespace"):
        spec["dataSource"] = {**newer}


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
