"""Metadata: names, labels, annotations, owners, finalizers; and what of them never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from actors.apiserver.alike import is_sound
from actors.apiserver.rules import addresses, names
from actors.apiserver.rules.field import (
    IMMUTABLE,
    FieldErrors,
    forbidden,
    invalid_value,
    matches,
    not_negative,
    required,
    too_long,
)
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object

ANNOTATIONS_BYTES_MAX = 256 * 1024
_CRONJOB_NAME_MAX = 52  # its Jobs append 11 characters to it
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_STANDARD_FINALIZERS = ("kubernetes", _ORPHAN, _FOREGROUND)
_ADMISSION = ("webhookconfigurations", "admissionpolicies", "admissionpolicybindings")
# Others take nothing but these and names with a prefix.
_ANY_FINALIZER = {
    "events",
    "poddisruptionbudgets.policy",
    "leases.coordination.k8s.io",
    "runtimeclasses.node.k8s.io",
    "apiservices.apiregistration.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    *(f"{verb}{what}.admissionregistration.k8s.io" for verb in ("mutating", "validating") for what in _ADMISSION),
}
_ALIKE = ("generation", "labels", "annotations", "ownerReferences", "finalizers")
_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")

_RBAC = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
_NAME_FORMS: dict[str, Callable[[str], Iterator[str]]] = {
    "namespaces": names.dns_label,
    "services": names.dns_label,
    "statefulsets.apps": names.dns_label,
    "apiservices.apiregistration.k8s.io": names.path_segment,
    "ipaddresses.networking.k8s.io": addresses.ip,
    **{f"{plural}.rbac.authorization.k8s.io": names.path_segment for plural in _RBAC},
}


def metadata(resource: Resource, obj: Object) -> FieldErrors:
    """On create: the name's form, the namespace, and everything that may change later too."""
    meta: dict[str, Any] = obj.get("metadata") or {}
    name_form = _NAME_FORMS.get(resource.group_resource, names.dns_subdomain)
    if meta.get("generateName"):
        masked = _mask_trailing_dash(meta["generateName"])
        yield from matches("metadata.generateName", meta["generateName"], name_form(masked))
    if not meta.get("name"):
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from matches("metadata.name", meta["name"], name_form(meta["name"]))
    if resource.group_resource == "cronjobs.batch" and len(meta.get("name") or "") > _CRONJOB_NAME_MAX:
        yield invalid_value("metadata.name", meta["name"], f"must be no more than {_CRONJOB_NAME_MAX} characters")
    yield from _namespace(resource, meta.get("namespace") or "")
    if not is_sound(_alike, {key: meta[key] for key in _ALIKE if key in meta}):
        yield from _alike("", meta)
    yield from _standard_finalizers(resource, meta.get("finalizers") or ())


def _alike(field: str, meta: dict[str, Any]) -> FieldErrors:
    """What objects of one template have in common."""
    yield from _changeable(meta)
    yield from _finalizers(meta.get("finalizers") or ())


def metadata_update(resource: Resource, obj: Object, old: Object) -> FieldErrors:
    meta: dict[str, Any] = obj.get("metadata") or {}
    before: dict[str, Any] = old.get("metadata") or {}
    if before.get("deletionTimestamp"):
        yield from _no_new_finalizers(meta.get("finalizers") or (), before.get("finalizers") or ())
    for field in _IMMUTABLE:
        if meta.get(field) != before.get(field):
            yield invalid_value(f"metadata.{field}", meta.get(field), IMMUTABLE)
    yield from _changeable(meta)
    yield from _standard_finalizers(resource, meta.get("finalizers") or ())


def embedded_metadata(field: str, meta: dict[str, Any]) -> FieldErrors:
    """Of an object within a custom resource, whose kind nobody knows: its name need only fit into a path."""
    for key in ("generateName", "name"):
        if meta.get(key):
            yield from matches(f"{field}.{key}", meta[key], names.path_segment(meta[key]))
    if meta.get("namespace"):
        yield from matches(f"{field}.namespace", meta["namespace"], names.dns_label(meta["namespace"]))
    for error in _alike("", meta):
        yield replace(error, field=f"{field}{error.field.removeprefix('metadata')}")


def label_map(field: str, values: Mapping[str, str] | None) -> FieldErrors:
    for key, value in (values or {}).items():
        yield from matches(field, key, names.label_key(key))
        yield from matches(field, value, names.label_value(value))


def annotation_map(field: str, values: Mapping[str, str] | None) -> FieldErrors:
    size = 0
    for key, value in (values or {}).items():
        yield from matches(field, key, names.label_key(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_BYTES_MAX:
        yield too_long(field, ANNOTATIONS_BYTES_MAX)


def _namespace(resource: Resource, namespace: str) -> FieldErrors:
    if not resource.namespaced:
        if namespace:
            yield forbidden("metadata.namespace", "not allowed on this type")
    elif not namespace:
        yield required("metadata.namespace")
    else:
        yield from matches("metadata.namespace", namespace, names.dns_label(namespace))


def _changeable(meta: dict[str, Any]) -> FieldErrors:
    yield from not_negative("metadata.generation", meta.get("generation"))
    yield from label_map("metadata.labels", meta.get("labels"))
    yield from annotation_map("metadata.annotations", meta.get("annotations"))
    yield from _owners(meta.get("ownerReferences") or ())


def _owners(owners: Sequence[Mapping[str, Any]]) -> FieldErrors:
    controller = ""
    for owner in owners:
        yield from _owner(owner)
        if not owner.get("controller"):
            continue
        this = f"{owner.get('kind')}/{owner.get('name')}"
        if controller:
            found = f'Found "true" in references for {controller} and {this}'
            detail = f"Only one reference can have Controller set to true. {found}"
            yield invalid_value("metadata.ownerReferences", owners, detail)
        controller = controller or this


def _owner(owner: Mapping[str, Any]) -> FieldErrors:
    """Kubernetes does not say which of them it is."""
    version = owner.get("apiVersion") or ""
    if not version.rpartition("/")[2] or version.count("/") > 1:
        yield invalid_value("metadata.ownerReferences.apiVersion", version, "version must not be empty")
    for key in ("kind", "name", "uid"):
        if not owner.get(key):
            yield invalid_value(f"metadata.ownerReferences.{key}", "", "must not be empty")
    if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
        yield invalid_value("metadata.ownerReferences", owner, "/v1, Kind=Event is disallowed from being an owner")


def _finalizers(finalizers: Sequence[str]) -> FieldErrors:
    for finalizer in finalizers:
        yield from matches("metadata.finalizers", finalizer, names.label_key(finalizer))
    if _ORPHAN in finalizers and _FOREGROUND in finalizers:
        detail = f"finalizer {_ORPHAN} and {_FOREGROUND} cannot be both set"
        yield invalid_value("metadata.finalizers", list(finalizers), detail)


def _standard_finalizers(resource: Resource, finalizers: Sequence[str]) -> FieldErrors:
    if resource.custom is not None or resource.group_resource in _ANY_FINALIZER:
        return
    for index, finalizer in enumerate(finalizers):
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid_value(f"metadata.finalizers[{index}]", finalizer, detail)


def _no_new_finalizers(new: Sequence[str], old: Sequence[str]) -> FieldErrors:
    added = sorted(set(new) - set(old))
    if added:
        shown = ", ".join(f'"{finalizer}"' for finalizer in added)
        detail = "no new finalizers can be added if the object is being deleted, found new finalizers"
        yield forbidden("metadata.finalizers", f"{detail} []string{{{shown}}}")


def _mask_trailing_dash(name: str) -> str:
    """A generated suffix follows, so a dash at the end is fine."""
    return f"{name[:-2]}a" if len(name) > 1 and name.endswith("-") else name
