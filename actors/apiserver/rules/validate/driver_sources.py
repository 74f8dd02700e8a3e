"""Volumes that once had drivers inside Kubernetes: what their sources must say beside what they cannot do without."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, invalid_value, matches, not_supported, required
from actors.apiserver.rules.validate.projections import descending, not_upwards

Source = dict[str, Any]

_UNIT_MAX = 255  # of logical units and partitions
_CACHING = ("None", "ReadOnly", "ReadWrite")
_DISK_KINDS = ("Dedicated", "Managed", "Shared")
_MANAGED = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
    "/subscriptions/",
)
_BLOB = ("https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd", "https://")
_PAIRS = "must be a host:port pair or multiple pairs separated by commas"
_TENANT_MAX = 64
_QUALIFIED = (
    re.compile(r"iqn\.\d{4}-\d{2}\.([a-z0-9\-_]+\.)*[a-z0-9\-_]+(:[^,;*&$|\s]+)?", re.IGNORECASE | re.ASCII),
    re.compile(r"eui\.[0-9a-f]{16}", re.IGNORECASE),
    re.compile(r"naa\.[0-9a-f]{32}", re.IGNORECASE),
)
_OF_DRIVERS = ("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef")
_SECRETS = {"csi": _OF_DRIVERS, "storageos": ("secretRef",), "cinder": ("secretRef",), "iscsi": ("secretRef",)}
# Whose names pods must say, too.
_NAMED_ANYWAY = {("csi", "nodePublishSecretRef"), ("storageos", "secretRef"), ("cinder", "secretRef")}
_RESERVED = ("kubernetes.io", "k8s.io")


def driver_source(field: str, kind: str, given: Source) -> FieldErrors:
    rule = _OF_KIND.get(kind)
    if rule is not None:
        yield from rule(field, given)


def namespaced_source(field: str, kind: str, given: Source) -> FieldErrors:
    """What a volume that stands alone must say beside: in which namespaces its secrets are."""
    for key in _SECRETS.get(kind, ()):
        secret = given.get(key)
        if secret is None:
            continue
        if not secret.get("name") and (kind, key) not in _NAMED_ANYWAY:
            yield required(f"{field}.{key}.name")
        if not secret.get("namespace") and kind != "iscsi":
            yield required(f"{field}.{key}.namespace")
    if kind == "local":
        yield from not_upwards(f"{field}.path", given.get("path") or "")
    if kind == "azureFile" and given.get("secretNamespace") == "":
        yield required(f"{field}.secretNamespace")
    if kind == "glusterfs" and given.get("endpointsNamespace") == "":
        detail = "if the endpointnamespace is set, it must be a valid namespace name"
        yield invalid_value(f"{field}.endpointsNamespace", "", detail)


def _quobyte(field: str, given: Source) -> FieldErrors:
    registry = given.get("registry") or ""
    if not registry:
        yield required(f"{field}.registry", _PAIRS)
    elif not all(re.fullmatch(r"[^:]+:[^:]+", pair) for pair in registry.split(",")):
        yield invalid_value(f"{field}.registry", registry, _PAIRS)
    if len(given.get("tenant") or "") > _TENANT_MAX:
        detail = f"must be a UUID and may not exceed a length of {_TENANT_MAX} characters"
        yield required(f"{field}.tenant", detail)
    if not given.get("volume"):
        yield required(f"{field}.volume")


def _azure_disk(field: str, given: Source) -> FieldErrors:
    caching, kind, uri = given.get("cachingMode"), given.get("kind"), given.get("diskURI") or ""
    if caching is not None and caching not in _CACHING:
        yield not_supported(f"{field}.cachingMode", caching, _CACHING)
    if kind is not None and kind not in _DISK_KINDS:
        yield not_supported(f"{field}.kind", kind, _DISK_KINDS)
    example, beginning = _MANAGED if kind == "Managed" else _BLOB
    if not uri.startswith(beginning):
        yield not_supported(f"{field}.diskURI", uri, (example,))


def _partition(field: str, given: Source) -> FieldErrors:
    partition = given.get("partition") or 0
    if not 0 <= partition <= _UNIT_MAX:
        yield invalid_value(f"{field}.partition", partition, names.in_range(1, _UNIT_MAX))


def _flocker(field: str, given: Source) -> FieldErrors:
    name = given.get("datasetName") or ""
    if not name and not given.get("datasetUUID"):
        yield required(field, "one of datasetName and datasetUUID is required")
    if name and given.get("datasetUUID"):
        yield invalid_value(field, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        yield invalid_value(f"{field}.datasetName", name, "must not contain '/'")


def _iscsi(field: str, given: Source) -> FieldErrors:
    yield from _qualified(f"{field}.iqn", given.get("iqn"))
    yield from _unit(f"{field}.lun", given.get("lun"))
    if (given.get("chapAuthDiscovery") or given.get("chapAuthSession")) and given.get("secretRef") is None:
        yield required(f"{field}.secretRef")
    if given.get("initiatorName") is not None:
        yield from _qualified(f"{field}.initiatorname", given["initiatorName"], may_lack=False)


def _qualified(field: str, name: str | None, *, may_lack: bool = True) -> FieldErrors:
    """How initiators and targets are called; the one that lacks is said elsewhere."""
    if not name and may_lack:
        return
    if not (name or "").startswith(("iqn", "eui", "naa")):
        yield invalid_value(field, name, "must be valid format starting with iqn, eui, or naa")
    elif not any(form.fullmatch(name or "") for form in _QUALIFIED):
        yield invalid_value(field, name, "must be valid format")


def _unit(field: str, number: int | None) -> FieldErrors:
    if not 0 <= (number or 0) <= _UNIT_MAX:
        yield invalid_value(field, number, names.in_range(0, _UNIT_MAX))


def _fibre_channel(field: str, given: Source) -> FieldErrors:
    ports, ids = given.get("targetWWNs"), given.get("wwids")
    if not ports and not ids:
        yield required(f"{field}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if ports and ids:
        detail = "targetWWNs and wwids can not be specified simultaneously"
        yield invalid_value(f"{field}.targetWWNs", ports, detail)
    if ports and given.get("lun") is None:
        yield required(f"{field}.lun", "lun is required if targetWWNs is specified")
    elif ports:
        yield from _unit(f"{field}.lun", given["lun"])


def _storage_os(field: str, given: Source) -> FieldErrors:
    for key in ("volumeName", "volumeNamespace"):
        if given.get(key):
            yield from matches(f"{field}.{key}", given[key], names.dns_label(given[key]))
    yield from _secret(field, given)


def _secret(field: str, given: Source) -> FieldErrors:
    if given.get("secretRef") is not None and not given["secretRef"].get("name"):
        yield required(f"{field}.secretRef.name")


def _flex(field: str, given: Source) -> FieldErrors:
    for key in given.get("options") or ():
        domain = key.lower().partition("/")[0]
        if domain in _RESERVED or domain.endswith(tuple(f".{each}" for each in _RESERVED)):
            yield invalid_value(f"{field}.options[{key}]", key, "kubernetes.io and k8s.io namespaces are reserved")


def _git(field: str, given: Source) -> FieldErrors:
    yield from descending(f"{field}.directory", given.get("directory") or "")


_OF_KIND: dict[str, Callable[[str, Source], FieldErrors]] = {
    "quobyte": _quobyte,
    "azureDisk": _azure_disk,
    "awsElasticBlockStore": _partition,
    "gcePersistentDisk": _partition,
    "flocker": _flocker,
    "iscsi": _iscsi,
    "fc": _fibre_channel,
    "storageos": _storage_os,
    "cinder": _secret,
    "flexVolume": _flex,
    "gitRepo": _git,
}
