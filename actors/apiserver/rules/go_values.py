"""Values as Kubernetes' messages show them: Go structs with all their fields, and how two of them differ.

The fields are those of the messages (protobuf_fields.txt). A few of Kubernetes' inner types have them in another order,
which the tables here say.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from actors.apiserver.schema.protobuf import Field, table

LINES_MAX = 2000
_META = "meta.v1."  # the types that are shown as they are written
_OBJECT_META = "meta.v1.ObjectMeta"
_NAMES = {
    "awsElasticBlockStore": "AWSElasticBlockStore",
    "cephfs": "CephFS",
    "csi": "CSI",
    "fc": "FC",
    "fsType": "FSType",
    "gcePersistentDisk": "GCEPersistentDisk",
    "iscsi": "ISCSI",
    "nfs": "NFS",
    "rbd": "RBD",
    "storageos": "StorageOS",
    "tty": "TTY",
}
_CONTAINER = (
    *("name", "image", "command", "args", "workingDir", "ports", "envFrom", "env", "resources", "resizePolicy"),
    *("restartPolicy", "restartPolicyRules", "volumeMounts", "volumeDevices", "livenessProbe", "readinessProbe"),
    *("startupProbe", "lifecycle", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy"),
    *("securityContext", "stdin", "stdinOnce", "tty", "targetContainerName"),
)
_ORDERS = {
    "core.v1.PersistentVolumeClaimSpec": (
        *("accessModes", "selector", "resources", "volumeName", "storageClassName", "volumeMode"),
        *("dataSource", "dataSourceRef", "volumeAttributesClassName"),
    ),
    "core.v1.PersistentVolumeSource": (
        *("gcePersistentDisk", "awsElasticBlockStore", "hostPath", "glusterfs", "nfs", "rbd", "quobyte", "iscsi"),
        *("flexVolume", "cinder", "cephfs", "fc", "flocker", "azureFile", "vsphereVolume", "azureDisk"),
        *("photonPersistentDisk", "portworxVolume", "scaleIO", "local", "storageos", "csi"),
    ),
    "core.v1.EphemeralContainer": _CONTAINER,
    "core.v1.CSIPersistentVolumeSource": ("driver", "volumeHandle", "readOnly", "fsType"),
}
_NOT_THERE = {("core.v1.VolumeResourceRequirements", "claims")}
_ZEROS: dict[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0}


def in_go(message: str, value: Mapping[str, Any] | None) -> Any:
    """A value of that message ("rbac.v1.RoleRef"), as Go shows its struct."""
    if value is None:
        return None
    if message.startswith(_META):
        return {
            field.name: _shown(field, value.get(field.name, ""))
            for field in _fields(message)
            if field.name in value or (field.keep and field.type == "string" and not field.shape)
        }
    shown: dict[str, Any] = {}
    for field in _fields(message):
        if field.type == _OBJECT_META:  # an embedded struct
            shown.update(in_go(field.type, value.get(field.name) or {}))
        else:
            shown[_name(field.name)] = _shown(field, value.get(field.name))
    return shown


def difference(message: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The lines by which the two differ, with three around them, as `diff -u` writes them. "" where there are very many
    lines: to find that out takes time that grows with their square."""
    texts = (json.dumps(in_go(message, value), indent=1, ensure_ascii=False) for value in (old, new))
    before, after = (text.splitlines() for text in texts)
    if len(before) + len(after) > LINES_MAX:
        return ""
    lines = [*difflib.unified_diff(before, after, lineterm="")]
    return "".join(f"{line}\n" for line in lines[2:])


def _shown(field: Field, value: Any) -> Any:
    if value is None:
        return None if field.shape or field.keep else _ZEROS.get(field.type)
    if field.shape == "[]":
        return [_one(field, item) for item in value]
    if field.shape == "{}":
        return {key: _one(field, value[key]) for key in sorted(value)}
    return _one(field, value)


def _one(field: Field, value: Any) -> Any:
    return in_go(field.type, value) if field.type in table() and isinstance(value, Mapping) else value


@cache
def _fields(message: str) -> tuple[Field, ...]:
    """In the order of the struct: what the tables do not name comes last."""
    fields = [field for field in _flat(message) if (message, field.name) not in _NOT_THERE]
    order = {name: place for place, name in enumerate(_ORDERS.get(message, ()))}
    return tuple(sorted(fields, key=lambda field: order.get(field.name, len(order))))


def _flat(message: str) -> Iterator[Field]:
    for field in table().get(message, {}).values():
        if field.inline:
            yield from _flat(field.type)
        else:
            yield field


def _name(field: str) -> str:
    known = _NAMES.get(field)
    if known is None:
        known = f"API{field[3:]}" if field.startswith("api") else field[:1].upper() + field[1:]
    return known
