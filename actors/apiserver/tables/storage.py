"""Volumes, claims, classes and drivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.tables.cells import NONE, UNSET, Columns, Printer, age, name_of_row
from protocols.objects import Object

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _persistent_volume(obj: Object) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    claim = spec.get("claimRef")
    return [
        name_of_row(obj),
        (spec.get("capacity") or {}).get("storage") or "0",
        _access_modes(spec.get("accessModes") or ()),
        spec.get("persistentVolumeReclaimPolicy") or "",
        _phase(obj, status),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason") or "",
        age(obj),
        spec.get("volumeMode") or UNSET,
    ]


def _persistent_volume_claim(obj: Object) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    bound = bool(spec.get("volumeName"))
    return [
        name_of_row(obj),
        _phase(obj, status),
        spec.get("volumeName") or "",
        ((status.get("capacity") or {}).get("storage") or "0") if bound else "",
        _access_modes(status.get("accessModes") or ()) if bound else "",
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or UNSET,
        age(obj),
        spec.get("volumeMode") or UNSET,
    ]


def _storage_class(obj: Object) -> list[Any]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    default = " (default)" if any(annotations.get(key) == "true" for key in _DEFAULT_CLASS) else ""
    return [
        name_of_row(obj) + default,
        obj.get("provisioner") or "",
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "Immediate",
        bool(obj.get("allowVolumeExpansion")),
        age(obj),
    ]


def _volume_attachment(obj: Object) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    volume = (spec.get("source") or {}).get("persistentVolumeName") or ""
    node, attached = spec.get("nodeName") or "", bool(status.get("attached"))
    return [name_of_row(obj), spec.get("attacher") or "", volume, node, attached, age(obj)]


def _csi_node(obj: Object) -> list[Any]:
    return [name_of_row(obj), len((obj.get("spec") or {}).get("drivers") or ()), age(obj)]


def _csi_driver(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    requests = spec.get("tokenRequests")
    return [
        name_of_row(obj),
        spec.get("attachRequired", True),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        UNSET if requests is None else ",".join(request.get("audience") or "" for request in requests),
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or ()) or NONE,
        age(obj),
    ]


def _volume_attributes_class(obj: Object) -> list[Any]:
    return [name_of_row(obj), obj.get("driverName") or "", age(obj)]


PERSISTENT_VOLUME = Printer(
    Columns(
        "Name",
        "Capacity",
        "Access Modes",
        "Reclaim Policy",
        "Status",
        "Claim",
        "StorageClass",
        "VolumeAttributesClass",
        "Reason",
        "Age",
        "+VolumeMode",
    ),
    _persistent_volume,
)
PERSISTENT_VOLUME_CLAIM = Printer(
    Columns(
        "Name",
        "Status",
        "Volume",
        "Capacity",
        "Access Modes",
        "StorageClass",
        "VolumeAttributesClass",
        "Age",
        "+VolumeMode",
    ),
    _persistent_volume_claim,
)
STORAGE_CLASS = Printer(
    Columns("Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"),
    _storage_class,
)
VOLUME_ATTRIBUTES_CLASS = Printer(Columns("Name", "DriverName", "Age"), _volume_attributes_class)
VOLUME_ATTACHMENT = Printer(
    Columns("Name", "Attacher", "PV", "Node", "Attached:boolean", "Age"),
    _volume_attachment,
)
CSI_NODE = Printer(Columns("Name", "Drivers:integer", "Age"), _csi_node)
CSI_DRIVER = Printer(
    Columns(
        "Name",
        "AttachRequired:boolean",
        "PodInfoOnMount:boolean",
        "StorageCapacity:boolean",
        "TokenRequests",
        "RequiresRepublish:boolean",
        "Modes",
        "Age",
    ),
    _csi_driver,
)


def _access_modes(modes: Sequence[str]) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in modes)


def _phase(obj: Object, status: dict[str, Any]) -> str:
    return "Terminating" if (obj.get("metadata") or {}).get("deletionTimestamp") else status.get("phase") or ""
