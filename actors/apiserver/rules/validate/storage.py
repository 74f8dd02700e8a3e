"""Persistent volumes, the claims for them, and the classes they come from."""

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
    not_supported,
    required,
    too_long,
    unchanged,
)
from actors.apiserver.rules.go_values import difference, in_go
from actors.apiserver.rules.validate.claims import access_modes, claim_spec, volume_mode
from actors.apiserver.rules.validate.driver_sources import namespaced_source
from actors.apiserver.rules.validate.resources import basic_quantity, quantity
from actors.apiserver.rules.validate.scheduling import label_selector, node_selector
from actors.apiserver.rules.validate.volumes import only_source, ordered
from protocols.objects import Object
from protocols.rules.quantity import InvalidQuantity, parse_quantity

Spec = dict[str, Any]

_RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
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
_CLAIM_IMMUTABLE = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def persistent_volume(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from access_modes("spec", spec)
    capacity = spec.get("capacity") or {}
    if not capacity:
        yield required("spec.capacity")
    if set(capacity) != {"storage"}:
        yield not_supported("spec.capacity", dict(sorted(capacity.items())) or None, ("storage",))
    for name, value in capacity.items():
        yield from basic_quantity(f"spec.capacity[{name}]", value)
        yield from quantity(f"spec.capacity[{name}]", value, positive=True)
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in _RECLAIM_POLICIES:
        yield not_supported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM_POLICIES)
    yield from volume_mode("spec", spec)
    if spec.get("nodeAffinity") is not None and spec["nodeAffinity"].get("required") is None:
        yield required("spec.nodeAffinity.required", "must specify required node constraints")
    elif spec.get("nodeAffinity") is not None:
        yield from node_selector("spec.nodeAffinity.required", spec["nodeAffinity"]["required"])
    if spec.get("storageClassName"):
        name = spec["storageClassName"]
        yield from matches("spec.storageClassName", name, names.dns_subdomain(name))
    yield from _volume_source(spec, None if old is None else old.get("spec") or {})
    yield from _volume_attributes(spec, None if old is None else old.get("spec") or {})


def persistent_volume_claim(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from claim_spec("spec", spec)
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
    mode = obj.get("volumeBindingMode")
    if mode is None:
        yield required("volumeBindingMode")
    elif mode not in _BINDING_MODES:
        yield not_supported("volumeBindingMode", mode, _BINDING_MODES)
    yield from _topologies("allowedTopologies", obj.get("allowedTopologies") or ())
    if old is not None:
        for key in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
            if obj.get(key) != old.get(key):
                yield invalid_value(key, obj.get(key), IMMUTABLE)


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
        if obj.get(key) is not None and (key == "capacity" or old is None):
            yield from quantity(key, obj[key])
    if old is not None:
        for key in ("nodeTopology", "storageClassName"):
            yield from unchanged(key, obj.get(key), old.get(key))


def _topologies(field: str, terms: Sequence[Spec]) -> FieldErrors:
    for index, term in enumerate(terms):
        yield from _like_another(f"{field}[{index}].matchLabelExpressions", term, terms[:index])
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


def _like_another(field: str, term: Spec, others: Sequence[Spec]) -> FieldErrors:
    def of(each: Spec) -> dict[str, set[str]]:
        return {one.get("key") or "": {*one.get("values", ())} for one in each.get("matchLabelExpressions") or ()}

    if not of(term) or any(of(term) == of(other) for other in others):
        yield duplicate(field, "")


def _parameters(parameters: dict[str, str]) -> FieldErrors:
    if len(parameters) > _PARAMETERS_MAX:
        yield too_long("parameters", _PARAMETERS_MAX)
        return
    if "" in parameters:
        yield invalid_value("parameters", "", "field can not be empty.")
    if sum(len(key.encode()) + len(value.encode()) for key, value in parameters.items()) > _PARAMETERS_BYTES_MAX:
        yield too_long("parameters", _PARAMETERS_BYTES_MAX)


def _volume_source(spec: Spec, old: Spec | None) -> FieldErrors:
    given = {key: value for key, value in spec.items() if key not in _NOT_SOURCES and value is not None}
    sources = [*ordered(given)]
    if not sources:
        yield required("spec", "must specify a volume type")
    yield from only_source("spec", given)
    if sources:
        yield from namespaced_source(f"spec.{sources[0]}", sources[0], given[sources[0]])
    if sources == ["local"] and not (spec.get("nodeAffinity") or {}).get("required"):
        yield required("spec.nodeAffinity", "Local volume requires node affinity")
    if sources[:1] == ["csi"] and not spec["csi"].get("volumeHandle"):
        yield required("spec.csi.volumeHandle")
    if (spec.get("hostPath") or {}).get("path") == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        yield forbidden("spec.persistentVolumeReclaimPolicy", detail)
    if old is None:
        return
    if any(spec.get(key) != old.get(key) for key in {*spec, *old} - _NOT_SOURCES):
        how = difference("core.v1.PersistentVolumeSource", old, spec)
        detail = f"spec.persistentvolumesource is immutable after creation\n{how}"
        yield forbidden("spec.persistentvolumesource", detail)
    yield from unchanged("volumeMode", spec.get("volumeMode"), old.get("volumeMode"))
    affinity = old.get("nodeAffinity")
    if affinity is not None and affinity != spec.get("nodeAffinity"):
        shown = in_go("core.v1.VolumeNodeAffinity", spec.get("nodeAffinity"))
        detail = f"{IMMUTABLE}, except for updating from beta label to GA"
        yield invalid_value("nodeAffinity", shown, detail)


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
    allowed = _with_what_may_change(before, spec, bound=status.get("phase") == "Bound")
    if allowed != spec:
        how = difference("core.v1.PersistentVolumeClaimSpec", allowed, spec)
        yield forbidden("spec", f"{_CLAIM_IMMUTABLE}\n{how}")
    sizes = [_requested(each) for each in (spec, before)]
    classes = [each.get(_ATTRIBUTES) for each in (spec, before)]
    if (
        sizes[1] is not None
        and _shrinks(*sizes)
        and not _shrinks((status.get("capacity") or {}).get("storage"), sizes[0])
    ):
        yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    yield from unchanged("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    if not classes[0] and classes[0] != classes[1] and status.get("currentVolumeAttributesClassName") is not None:
        what = "nil" if classes[0] is None else "empty string"
        detail = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
        yield forbidden(f"spec.{_ATTRIBUTES}", detail)


def _with_what_may_change(before: Spec, spec: Spec, *, bound: bool) -> Spec:
    """The old spec, as far as it may become the new one: a volume and a class are named once."""
    allowed = {**before}
    for key in ("volumeName", "storageClassName"):
        if not before.get(key) and spec.get(key):
            allowed[key] = spec[key]
    if bound:
        if _requested(spec) is not None:
            resources = before.get("resources") or {}
            requests = {**(resources.get("requests") or {}), "storage": _requested(spec)}
            allowed["resources"] = {**resources, "requests": requests}
        allowed.pop(_ATTRIBUTES, None)
        if _ATTRIBUTES in spec:
            allowed[_ATTRIBUTES] = spec[_ATTRIBUTES]
    return allowed


def _requested(spec: Spec) -> Any:
    return ((spec.get("resources") or {}).get("requests") or {}).get("storage")


def _shrinks(new: Any, old: Any) -> bool:
    try:
        return new is not None and old is not None and parse_quantity(new) < parse_quantity(old)
    except InvalidQuantity:
        return False  # said already
