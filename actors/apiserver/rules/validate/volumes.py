"""Volumes of a pod, and where its containers mount them."""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from typing import Any

from actors.apiserver.alike import is_sound
from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_found,
    not_supported,
    required,
    too_long,
)
from actors.apiserver.rules.validate.claims import claim_template
from actors.apiserver.rules.validate.driver_sources import driver_source
from actors.apiserver.rules.validate.projections import descending, keys, own_fields, projected
from protocols.rules.quantity import InvalidQuantity, parse_quantity

Volume = dict[str, Any]

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
# What a source cannot do without.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "secret": ("secretName",),
    "configMap": ("name",),
    "hostPath": ("path",),
    "persistentVolumeClaim": ("claimName",),
    "nfs": ("server", "path"),
    "csi": ("driver",),
    "ephemeral": ("volumeClaimTemplate",),
    "awsElasticBlockStore": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "azureFile": ("secretName", "shareName"),
    "cephfs": ("monitors",),
    "cinder": ("volumeID",),
    "flexVolume": ("driver",),
    "gcePersistentDisk": ("pdName",),
    "local": ("path",),
    "gitRepo": ("repository",),
    "glusterfs": ("endpoints", "path"),
    "iscsi": ("targetPortal", "iqn"),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "rbd": ("monitors", "image"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "storageos": ("volumeName",),
    "vsphereVolume": ("volumePath",),
}
# In this order Kubernetes looks at them: the first that is given counts.
_ORDER = (
    *("emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi"),
    *("glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc"),
    *("flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk"),
    *("storageos", "projected", "scaleIO", "local", "csi", "ephemeral", "image"),
)
_DRIVER_BYTES_MAX = 63
_CALLED = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}  # where they are too many


def volumes(field: str, listed: Sequence[Volume], volume_names: set[str], *, is_pod: bool) -> FieldErrors:
    """Checks the volumes, and collects their names for the mounts."""
    for index, volume in enumerate(listed):
        where, name = f"{field}[{index}]", volume.get("name")
        if not is_sound(_sources, volume):
            yield from _sources(where, volume)
        if is_pod and volume.get("image") is not None and not volume["image"].get("reference"):
            yield required(f"{where}.image.reference")
        if not name:
            yield required(f"{where}.name")
        else:
            yield from matches(f"{where}.name", name, names.dns_label(name))
            if name in volume_names:
                yield duplicate(f"{where}.name", name)
            volume_names.add(name)


def volume_mounts(field: str, container: dict[str, Any], volume_names: Set[str]) -> FieldErrors:
    paths: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where, name, path = f"{field}[{index}]", mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            yield required(f"{where}.name")
        if name not in volume_names:
            yield not_found(f"{where}.name", name)
        if not path:
            yield required(f"{where}.mountPath")
        if path in paths:
            yield invalid_value(f"{where}.mountPath", path, "must be unique")
        paths.add(path)
        if mount.get("subPath") and mount.get("subPathExpr"):
            detail = "subPathExpr and subPath are mutually exclusive"
            yield invalid_value(f"{where}.subPathExpr", mount["subPathExpr"], detail)
        for key in ("subPath", "subPathExpr"):
            yield from descending(f"{field}.{key}", mount.get(key) or "")
        yield from _propagation(field, mount, container)


def _propagation(field: str, mount: dict[str, Any], container: dict[str, Any]) -> FieldErrors:
    how, where = mount.get("mountPropagation"), f"{field}.mountPropagation"
    if how is not None and how not in _PROPAGATIONS:
        yield not_supported(where, how, _PROPAGATIONS)
    elif how == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        yield forbidden(where, "Bidirectional mount propagation is available only to privileged containers")
    recursive, where = mount.get("recursiveReadOnly"), f"{field}.recursiveReadOnly"
    if recursive is None or recursive == "Disabled":
        return
    if recursive not in _RECURSIVE:
        yield not_supported(where, recursive, _RECURSIVE)
        return
    if not mount.get("readOnly"):
        yield forbidden(where, "may only be specified when readOnly is true")
    if how not in (None, "None"):
        yield forbidden(where, "may only be specified when mountPropagation is None or not specified")


def volume_devices(field: str, container: dict[str, Any], volume_names: Set[str]) -> FieldErrors:
    for index, device in enumerate(container.get("volumeDevices") or ()):
        where = f"{field}[{index}]"
        if not device.get("name"):
            yield required(f"{where}.name")
        if device.get("name") not in volume_names:
            yield not_found(f"{where}.name", device.get("name") or "")
        if not device.get("devicePath"):
            yield required(f"{where}.devicePath")


def _sources(field: str, volume: Volume) -> FieldErrors:
    given = {key: value for key, value in volume.items() if key != "name" and value is not None}
    if given:
        yield from only_source(field, given)
    else:
        yield required(field, "must specify a volume type")


def only_source(field: str, given: dict[str, Any]) -> FieldErrors:
    """Of one source each part is looked at, of others only that they are there."""
    first, *others = ordered(given) or ("",)
    for kind in others:
        yield forbidden(f"{field}.{_CALLED.get(kind, kind)}", "may not specify more than 1 volume type")
    if first:
        yield from source(f"{field}.{first}", first, given[first])


def ordered(given: Collection[str]) -> list[str]:
    return [kind for kind in _ORDER if kind in given]


def source(field: str, kind: str, given: dict[str, Any]) -> FieldErrors:
    field = field.replace("gcePersistentDisk", "persistentDisk")
    for key in _REQUIRED.get(kind, ()):
        if not given.get(key):
            yield required(f"{field}.{key}")
    yield from driver_source(field, kind, given)
    match kind:
        case "emptyDir":
            yield from _size_limit(f"{field}.sizeLimit", given.get("sizeLimit"))
        case "hostPath":
            yield from _host_path(field, given)
        case "nfs":
            if not (given.get("path") or "").startswith("/"):
                yield invalid_value(f"{field}.path", given.get("path") or "", "must be an absolute path")
        case "secret" | "configMap":
            yield from keys(field, given)
        case "downwardAPI":
            yield from own_fields(field, given)
        case "projected":
            yield from projected(field, given)
        case "csi":
            yield from _csi(field, given)
        case "ephemeral":
            if given.get("volumeClaimTemplate") is not None:
                yield from claim_template(f"{field}.volumeClaimTemplate", given["volumeClaimTemplate"])
        case "image":
            if given.get("pullPolicy") and given["pullPolicy"] not in _PULL_POLICIES:
                yield not_supported(f"{field}.pullPolicy", given["pullPolicy"], _PULL_POLICIES)


def _csi(field: str, given: dict[str, Any]) -> FieldErrors:
    driver = given.get("driver") or ""
    if len(driver.encode()) > _DRIVER_BYTES_MAX:
        yield too_long(f"{field}.driver", _DRIVER_BYTES_MAX)
    if driver:
        yield from matches(f"{field}.driver", driver, names.dns_subdomain(driver))
    secret = given.get("nodePublishSecretRef")
    if secret is not None and not secret.get("name"):
        yield required(f"{field}.nodePublishSecretRef.name")


def _size_limit(field: str, limit: Any) -> FieldErrors:
    try:
        if limit is None or parse_quantity(limit) >= 0:
            return
    except InvalidQuantity:
        pass
    yield forbidden(field, "SizeLimit field must be a valid resource quantity")


def _host_path(field: str, source: dict[str, Any]) -> FieldErrors:
    if not source.get("path"):
        return
    if ".." in (source.get("path") or "").split("/"):
        yield invalid_value(f"{field}.path", source["path"], "must not contain '..'")
    kind = source.get("type") or ""
    if kind not in _HOST_PATH_TYPES:
        yield not_supported(f"{field}.type", kind, _HOST_PATH_TYPES)
