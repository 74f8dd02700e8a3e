"""Drivers of storage, and the volumes that they attach to nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    IMMUTABLE,
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_negative,
    not_supported,
    required,
    too_long,
    unchanged,
)
from actors.apiserver.rules.go_values import in_go
from actors.apiserver.rules.validate.projections import token_seconds
from actors.apiserver.rules.validate.volumes import source
from protocols.objects import Object

Spec = dict[str, Any]

_NAME_BYTES_MAX = 63
_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLES = ("Persistent", "Ephemeral")
_UPDATE_S_MIN = 10
_NODE_ID_BYTES_MAX = 256
_INLINE = "in the context of inline volumes"


def csi_driver(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    if old is not None:
        before = old.get("spec") or {}
        yield from unchanged("spec.attachedRequired", spec.get("attachRequired"), before.get("attachRequired"))
        modes = "volumeLifecycleModes"
        yield from unchanged(f"spec.{modes}", spec.get(modes), before.get(modes))
    policy = spec.get("fsGroupPolicy")
    if policy is not None and policy not in _GROUP_POLICIES:
        yield not_supported("spec.fsGroupPolicy", policy, _GROUP_POLICIES)
    for mode in spec.get("volumeLifecycleModes") or ():
        if mode not in _LIFECYCLES:
            yield not_supported("spec.volumeLifecycleModes", mode, _LIFECYCLES)
    yield from _token_requests("spec.tokenRequests", spec)
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < _UPDATE_S_MIN:
        detail = f"must be greater than or equal to {_UPDATE_S_MIN} seconds"
        yield invalid_value("spec.nodeAllocatableUpdatePeriodSeconds", period, detail)


def _token_requests(field: str, spec: Spec) -> FieldErrors:
    """Tokens of the pod's account that the driver is given."""
    requests, seen = spec.get("tokenRequests") or (), set()
    for index, request in enumerate(requests):
        audience = request.get("audience") or ""
        if audience in seen:
            yield duplicate(f"{field}[{index}].audience", audience)
        seen.add(audience)
        yield from token_seconds(f"{field}[{index}].expirationSeconds", request.get("expirationSeconds"))
    in_secrets = spec.get("serviceAccountTokenInSecrets")
    if in_secrets is not None and not requests:
        detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        yield invalid_value("spec.serviceAccountTokenInSecrets", in_secrets, detail)


def csi_node(obj: Object, old: Object | None) -> FieldErrors:
    drivers, seen = (obj.get("spec") or {}).get("drivers") or (), set()
    for index, driver in enumerate(drivers):
        at, name = f"spec.drivers[{index}]", driver.get("name") or ""
        yield from _driver_name(f"{at}.name", name)
        yield from _node_id(f"{at}.nodeID", driver.get("nodeID") or "", is_new=old is None)
        count = (driver.get("allocatable") or {}).get("count")
        yield from not_negative(f"{at}.allocatable.count", count)
        if name in seen:
            yield duplicate(f"{at}.name", name)
        seen.add(name)
        yield from _topology(at, driver.get("topologyKeys") or ())
    if old is not None:
        yield from _drivers_unchanged(drivers, (old.get("spec") or {}).get("drivers") or ())


def _driver_name(field: str, name: str) -> FieldErrors:
    if not name:
        yield required(field)
        return
    if len(name.encode()) > _NAME_BYTES_MAX:
        yield too_long(field, _NAME_BYTES_MAX)
    yield from matches(field, name, names.dns_subdomain(name.lower()))


def _node_id(field: str, id: str, *, is_new: bool) -> FieldErrors:
    if not id:
        yield required(field)
    elif is_new and len(id.encode()) > _NODE_ID_BYTES_MAX:
        yield too_long(field, _NODE_ID_BYTES_MAX)


def _topology(field: str, keys: Sequence[str]) -> FieldErrors:
    for index, key in enumerate(keys):
        if key in keys[:index]:
            yield duplicate(field, key)
        yield from matches(field, key, names.label_key(key))


def _drivers_unchanged(drivers: Sequence[Spec], before: Sequence[Spec]) -> FieldErrors:
    """Drivers come and go; of one that stays only how much it holds may change."""
    known = {driver.get("name"): _without_allocatable(driver) for driver in before}
    for driver in drivers:
        if driver.get("name") in known and _without_allocatable(driver) != known[driver.get("name")]:
            yield invalid_value("spec.drivers", in_go("storage.v1.CSINodeDriver", driver), IMMUTABLE)


def _without_allocatable(driver: Spec) -> Spec:
    return {key: value for key, value in driver.items() if key != "allocatable"}


def volume_attachment(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    attacher, node = spec.get("attacher") or "", spec.get("nodeName") or ""
    if not attacher:
        yield required("spec.attacher")
    else:
        if len(attacher.encode()) > _NAME_BYTES_MAX:
            yield too_long("spec.attacher", _NAME_BYTES_MAX)
        yield from matches("spec.attacher", attacher, names.dns_subdomain(attacher.lower()))
    yield from _attached("spec.source", spec.get("source") or {})
    yield from matches("spec.nodeName", node, names.dns_subdomain(node))
    if old is not None and spec != old.get("spec"):
        yield invalid_value("spec", in_go("storage.v1.VolumeAttachmentSpec", spec), IMMUTABLE)


def _attached(field: str, attached: Spec) -> FieldErrors:
    """One volume: by its name, or written out where a pod names none (migrated in-tree volumes)."""
    name, inline = attached.get("persistentVolumeName"), attached.get("inlineVolumeSpec")
    which = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if name is None and inline is None:
        yield required(field, which)
    elif name is not None and inline is not None:
        yield forbidden(field, which)
    elif inline is not None:
        yield from _inline(f"{field}.inlineVolumeSpec", inline)
    else:
        if not name:
            yield required(f"{field}.persistentVolumeName", "must specify non empty persistentVolumeName")
        yield from matches(f"{field}.persistentVolumeName", name, names.dns_subdomain(name or ""))


def _inline(field: str, spec: Spec) -> FieldErrors:
    for key in ("capacity", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "volumeMode"):
        if spec.get(key):
            yield forbidden(f"{field}.{key}", f"may not be specified {_INLINE}")
    csi = spec.get("csi")
    if csi is None:
        yield required(f"{field}.csi", f"has to be specified {_INLINE}")
    if not spec.get("accessModes"):
        yield required(f"{field}.accessModes")
    if csi is not None:
        yield from source(f"{field}.csi", "csi", csi)
    elif not spec.keys() - {"accessModes", "capacity"}:
        yield required(field, "must specify a volume type")
