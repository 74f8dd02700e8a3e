"""Volumes of a pod, and where its containers mount them."""

from __future__ import annotations

from collections.abc import Sequence, Set
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
)
from actors.apiserver.rules.validate.resources import quantity

Volume = dict[str, Any]

_MODE_MAX = 0o777
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
}


def volumes(field: str, listed: Sequence[Volume], volume_names: set[str]) -> FieldErrors:
    """Checks the volumes, and collects their names for the mounts."""
    for index, volume in enumerate(listed):
        where, name = f"{field}[{index}]", volume.get("name")
        if not name:
            yield required(f"{where}.name")
        else:
            yield from matches(f"{where}.name", name, names.dns_label(name))
            if name in volume_names:
                yield duplicate(f"{where}.name", name)
            volume_names.add(name)
        if not is_sound(_sources, volume):
            yield from _sources(where, volume)


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
            yield from _descending(f"{field}.{key}", mount.get(key) or "")


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
    given = [key for key in volume if key != "name" and volume[key] is not None]
    if not given:
        yield required(field, "must specify a volume type")
        return
    for key in given[1:]:
        yield forbidden(f"{field}.{key}", "may not specify more than 1 volume type")
    yield from _source(f"{field}.{given[0]}", given[0], volume[given[0]])


def _source(field: str, kind: str, source: dict[str, Any]) -> FieldErrors:
    for key in _REQUIRED.get(kind, ()):
        if not source.get(key):
            yield required(f"{field}.{key}")
    match kind:
        case "emptyDir":
            if source.get("sizeLimit") is not None:
                yield from quantity(f"{field}.sizeLimit", source["sizeLimit"])
        case "hostPath":
            yield from _host_path(field, source)
        case "secret" | "configMap" | "downwardAPI":
            yield from _files(field, source)
        case "projected":
            yield from _mode(f"{field}.defaultMode", source.get("defaultMode"))
            for index, part in enumerate(source.get("sources") or ()):
                yield from _projection(f"{field}.sources[{index}]", part)


def _host_path(field: str, source: dict[str, Any]) -> FieldErrors:
    if ".." in (source.get("path") or "").split("/"):
        yield invalid_value(f"{field}.path", source["path"], "must not contain '..'")
    kind = source.get("type") or ""
    if kind not in _HOST_PATH_TYPES:
        yield not_supported(f"{field}.type", kind, _HOST_PATH_TYPES)


def _projection(field: str, part: dict[str, Any]) -> FieldErrors:
    for kind in ("secret", "configMap", "downwardAPI"):
        if part.get(kind) is not None:
            yield from _files(f"{field}.{kind}", part[kind])
    token = part.get("serviceAccountToken")
    if token is not None and not token.get("path"):
        yield required(f"{field}.serviceAccountToken.path")


def _files(field: str, source: dict[str, Any]) -> FieldErrors:
    yield from _mode(f"{field}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items") or ()):
        where = f"{field}.items[{index}]"
        if "key" in item and not item["key"]:
            yield required(f"{where}.key")
        if not item.get("path"):
            yield required(f"{where}.path")
        yield from _descending(f"{where}.path", item.get("path") or "")
        yield from _mode(f"{where}.mode", item.get("mode"))


def _mode(field: str, mode: int | None) -> FieldErrors:
    if mode is not None and not 0 <= mode <= _MODE_MAX:
        yield invalid_value(field, mode, "must be a number between 0 and 0777 (octal), both inclusive")


def _descending(field: str, path: str) -> FieldErrors:
    if path.startswith("/"):
        yield invalid_value(field, path, "must be a relative path")
    if ".." in path.split("/"):
        yield invalid_value(field, path, "must not contain '..'")
