"""Persistent volumes, the claims for them, and the classes they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    one_of,
    required,
    too_long,
    unchanged,
)
from actors.apiserver.rules.validate.resources import quantity
from actors.apiserver.rules.validate.scheduling import label_selector, node_selector
from actors.apiserver.rules.validate.volumes import source
from protocols.objects import Object
from protocols.rules.quantity import InvalidQuantity, parse_quantity

Spec = dict[str, Any]

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_VOLUME_MODES = ("Block", "Filesystem")
_BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
# What a PersistentVolumeSpec holds beside its one source.
_NOT_SOURCES = frozenset(
    {
        "capacity",
        "accessModes",
        "claimRef",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "mountOptions",
        "volumeMode",
        "nodeAffinity",
        "volumeAttributesClassName",
    }
)
_PARAMETERS_MAX = 512
_PARAMETERS_BYTES_MAX = 256 * 1024
_ATTRIBUTES = "volumeAttributesClassName"
_CHANGEABLE_CLAIM = ("resources", _ATTRIBUTES, "volumeName", "storageClassName")


def persistent_volume(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from _access_modes(spec)
    capacity = spec.get("capacity") or {}
    if not capacity:
        yield required("spec.capacity")
    if set(capacity) != {"storage"}:
        yield not_supported("spec.capacity", spec.get("capacity"), ("storage",))
    for name, value in capacity.items():
        yield from quantity(f"spec.capacity[{name}]", value, positive=True)
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in _RECLAIM_POLICIES:
        yield not_supported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM_POLICIES)
    yield from _volume_mode(spec)
    if (spec.get("nodeAffinity") or {}).get("required") is not None:
        yield from node_selector("spec.nodeAffinity.required", spec["nodeAffinity"]["required"])
    if spec.get("storageClassName"):
        name = spec["storageClassName"]
        yield from matches("spec.storageClassName", name, names.dns_subdomain(name))
    yield from _volume_source(spec, None if old is None else old.get("spec") or {})
    yield from _volume_attributes(spec, None if old is None else old.get("spec") or {})


def claim_spec(field: str, spec: Spec) -> FieldErrors:
    """What a claim asks for, and what templates of claims ask for."""
    yield from label_selector(f"{field}.selector", spec.get("selector"))
    yield from _access_modes(spec, field)
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        yield required(f"{field}.resources[storage]")
    else:
        yield from quantity(f"{field}.resources[storage]", requests["storage"], positive=True)


def persistent_volume_claim(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from claim_spec("spec", spec)
    yield from _volume_mode(spec)
    if spec.get("storageClassName"):
        name = spec["storageClassName"]
        yield from matches("spec.storageClassName", name, names.dns_subdomain(name))
    yield from _data_sources(spec)
    if spec.get(_ATTRIBUTES):
        name = spec[_ATTRIBUTES]
        yield from matches(f"spec.{_ATTRIBUTES}", name, names.dns_subdomain(name))
    if old is not None:
        yield from _claim_update(spec, old)


def storage_class(obj: Object, old: Object | None) -> FieldErrors:
    provisioner = (obj.get("provisioner") or "").lower()
    if not provisioner:
        yield required("provisioner")
    else:
        yield from matches("provisioner", provisioner, names.label_key(provisioner))
    yield from _parameters(obj.get("parameters") or {})
    policy = obj.get("reclaimPolicy")
    if policy and policy not in ("Delete", "Retain"):
        yield not_supported("reclaimPolicy", policy, ("Delete", "Retain"))
    yield from one_of("volumeBindingMode", obj.get("volumeBindingMode"), _BINDING_MODES)
    yield from _topologies("allowedTopologies", obj.get("allowedTopologies") or ())
    if old is not None:
        for key in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
            if obj.get(key) != old.get(key):
                yield forbidden(key, f"updates to {key} are forbidden.")


def volume_attributes_class(obj: Object, old: Object | None) -> FieldErrors:
    """Neither driver nor parameters change: a claim is given other attributes by naming another class."""
    if old is not None:
        for key in ("driverName", "parameters"):
            if (obj.get(key) or None) != (old.get(key) or None):
                yield forbidden(key, f"updates to {key} are forbidden.")
    driver, parameters = obj.get("driverName") or "", obj.get("parameters") or {}
    if not driver:
        yield required("driverName")
    else:
        yield from matches("driverName", driver.lower(), names.label_key(driver.lower()))
    yield from _parameters(parameters)
    if not parameters:
        yield required("parameters", "must contain at least one key/value pair")


def storage_capacity(obj: Object, old: Object | None) -> FieldErrors:
    yield from label_selector("nodeTopology", obj.get("nodeTopology"))
    name = obj.get("storageClassName") or ""
    yield from matches("storageClassName", name, names.dns_subdomain(name))
    for key in ("capacity", "maximumVolumeSize"):
        if obj.get(key) is not None:
            yield from quantity(key, obj[key])


def _topologies(field: str, terms: Sequence[Spec]) -> FieldErrors:
    for index, term in enumerate(terms):
        seen: set[str] = set()
        for number, each in enumerate(term.get("matchLabelExpressions") or ()):
            where, key, values = (
                f"{field}[{index}].matchLabelExpressions[{number}]",
                each.get("key") or "",
                each.get("values"),
            )
            if not values:
                yield required(f"{where}.values")
            for place, value in enumerate(values or ()):
                if value in values[:place]:
                    yield duplicate(f"{where}.values[{place}]", value)
            yield from matches(f"{where}.key", key, names.label_key(key))
            if key in seen:
                yield duplicate(f"{where}.key", key)
            seen.add(key)


def _parameters(parameters: dict[str, str]) -> FieldErrors:
    if len(parameters) > _PARAMETERS_MAX:
        yield too_long("parameters", _PARAMETERS_MAX)
        return
    if "" in parameters:
        yield invalid_value("parameters", "", "field can not be empty.")
    if sum(len(key.encode()) + len(value.encode()) for key, value in parameters.items()) > _PARAMETERS_BYTES_MAX:
        yield too_long("parameters", _PARAMETERS_BYTES_MAX)


def _data_sources(spec: Spec) -> FieldErrors:
    """What a claim begins with; the older field and the newer say the same (defaults/storage.py)."""
    for key in ("dataSource", "dataSourceRef"):
        reference = spec.get(key)
        if reference is None:
            continue
        for part in ("name", "kind"):
            if not reference.get(part):
                yield required(f"spec.{key}.{part}")
        group, kind = reference.get("apiGroup") or "", reference.get("kind") or ""
        if not group and kind != "PersistentVolumeClaim":
            detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
            yield invalid_value(f"spec.{key}", kind, detail)
        if group:
            yield from matches(f"spec.{key}.apiGroup", group, names.dns_subdomain(group))
    older, newer = spec.get("dataSource"), spec.get("dataSourceRef")
    if older is not None and newer is not None and not newer.get("namespace") and _told(older) != _told(newer):
        yield invalid_value("spec", {}, "must match dataSourceRef")


def _told(reference: Spec) -> tuple[str, ...]:
    return tuple(reference.get(key) or "" for key in ("apiGroup", "kind", "name"))


def _access_modes(spec: Spec, field: str = "spec") -> FieldErrors:
    modes = spec.get("accessModes") or ()
    if not modes:
        yield required(f"{field}.accessModes", "at least 1 access mode is required")
    for mode in modes:
        if mode not in _ACCESS_MODES:
            yield not_supported(f"{field}.accessModes", mode, _ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield forbidden(f"{field}.accessModes", "may not use ReadWriteOncePod with other access modes")


def _volume_mode(spec: Spec) -> FieldErrors:
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        yield not_supported("spec.volumeMode", mode, _VOLUME_MODES)


def _volume_source(spec: Spec, old: Spec | None) -> FieldErrors:
    sources = [key for key in spec if key not in _NOT_SOURCES and spec[key] is not None]
    if not sources:
        yield required("spec", "must specify a volume type")
    for key in sources[1:]:
        yield forbidden(f"spec.{key}", "may not specify more than 1 volume type")
    if sources:
        yield from source(f"spec.{sources[0]}", sources[0], spec[sources[0]])
    if sources == ["local"] and not (spec.get("nodeAffinity") or {}).get("required"):
        yield required("spec.nodeAffinity", "Local volume requires node affinity")
    if "csi" in sources[:1] and not spec["csi"].get("volumeHandle"):
        yield required("spec.csi.volumeHandle")
    if (spec.get("hostPath") or {}).get("path") == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        yield forbidden("spec.persistentVolumeReclaimPolicy", detail)
    if old is None:
        return
    if any(spec.get(key) != old.get(key) for key in {*spec, *old} - _NOT_SOURCES):
        yield forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
    yield from unchanged("spec.volumeMode", spec.get("volumeMode"), old.get("volumeMode"))


def _volume_attributes(spec: Spec, old: Spec | None) -> FieldErrors:
    name = spec.get(_ATTRIBUTES)
    if name is not None:
        if not name:
            yield required(f"spec.{_ATTRIBUTES}", "an empty string is disallowed")
        else:
            yield from matches(f"spec.{_ATTRIBUTES}", name, names.dns_subdomain(name))
        if spec.get("csi") is None:
            yield required("spec.csi", f"has to be specified when using {_ATTRIBUTES}")
    elif old is not None and old.get(_ATTRIBUTES) is not None:
        yield forbidden(f"spec.{_ATTRIBUTES}", "update from non-nil value to nil is forbidden")


def _claim_update(spec: Spec, old: Object) -> FieldErrors:
    before, status = old.get("spec") or {}, old.get("status") or {}
    frozen = {*spec, *before} - set(_CHANGEABLE_CLAIM)
    changed = any(spec.get(key) != before.get(key) for key in frozen)
    changed |= any(before.get(key) and spec.get(key) != before[key] for key in ("volumeName", "storageClassName"))
    sizes = [((each.get("resources") or {}).get("requests") or {}).get("storage") for each in (spec, before)]
    classes = [each.get(_ATTRIBUTES) for each in (spec, before)]
    changed |= (sizes[0] != sizes[1] or classes[0] != classes[1]) and status.get("phase") != "Bound"
    if changed:
        detail = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        yield forbidden("spec", detail)
    if _shrinks(*sizes) and _shrinks(sizes[0], (status.get("capacity") or {}).get("storage")):
        yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    if not classes[0] and classes[0] != classes[1] and status.get("currentVolumeAttributesClassName") is not None:
        what = "nil" if classes[0] is None else "empty string"
        detail = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
        yield forbidden(f"spec.{_ATTRIBUTES}", detail)


def _shrinks(new: Any, old: Any) -> bool:
    try:
        return new is not None and old is not None and parse_quantity(new) < parse_quantity(old)
    except InvalidQuantity:
        return False  # said already
