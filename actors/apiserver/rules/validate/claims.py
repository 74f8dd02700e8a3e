"""What a claim for a volume asks for: by itself, as a set's template, or for one pod."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, forbidden, invalid_value, matches, not_supported, required
from actors.apiserver.rules.validate.metadata import annotation_map, label_map
from actors.apiserver.rules.validate.resources import quantity
from actors.apiserver.rules.validate.scheduling import label_selector

Spec = dict[str, Any]

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")
# What is given to an object that is made of a template, and not said before.
_OF_OBJECTS = (
    *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences", "finalizers", "managedFields"),
)


def claim_spec(field: str, spec: Spec) -> FieldErrors:
    yield from label_selector(f"{field}.selector", spec.get("selector"))
    yield from access_modes(field, spec, "at least 1 access mode is required")
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        yield required(f"{field}.resources[storage]")
    else:
        yield from quantity(f"{field}.resources[storage]", requests["storage"], positive=True)
    yield from volume_mode(field, spec)
    if spec.get("storageClassName"):
        name = spec["storageClassName"]
        yield from matches(f"{field}.storageClassName", name, names.dns_subdomain(name))
    yield from _data_sources(field, spec)
    if spec.get("volumeAttributesClassName"):
        name = spec["volumeAttributesClassName"]
        yield from matches(f"{field}.volumeAttributesClassName", name, names.dns_subdomain(name))


def claim_template(field: str, template: Spec) -> FieldErrors:
    """The claim of a pod's own volume."""
    yield from template_metadata(f"{field}.metadata", template.get("metadata") or {})
    yield from claim_spec(f"{field}.spec", template.get("spec") or {})


def template_metadata(field: str, metadata: Spec) -> FieldErrors:
    yield from label_map(f"{field}.labels", metadata.get("labels"))
    yield from annotation_map(f"{field}.annotations", metadata.get("annotations"))
    for key in _OF_OBJECTS:
        if metadata.get(key) is not None:
            yield forbidden(f"{field}.{'uID' if key == 'uid' else key}", "cannot be set")


def access_modes(field: str, spec: Spec, detail: str = "") -> FieldErrors:
    modes = spec.get("accessModes") or ()
    if not modes:
        yield required(f"{field}.accessModes", detail)
    for mode in modes:
        if mode not in _ACCESS_MODES:
            yield not_supported(f"{field}.accessModes", mode, _ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield forbidden(f"{field}.accessModes", "may not use ReadWriteOncePod with other access modes")


def volume_mode(field: str, spec: Spec) -> FieldErrors:
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        yield not_supported(f"{field}.volumeMode", mode, _VOLUME_MODES)


def _data_sources(field: str, spec: Spec) -> FieldErrors:
    """What a claim begins with; the older field and the newer say the same (defaults/storage.py)."""
    for key in ("dataSource", "dataSourceRef"):
        reference = spec.get(key)
        if reference is None:
            continue
        for part in ("name", "kind"):
            if not reference.get(part):
                yield required(f"{field}.{key}.{part}")
        group, kind = reference.get("apiGroup") or "", reference.get("kind") or ""
        if not group and kind != "PersistentVolumeClaim":
            detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
            yield invalid_value(f"{field}.{key}", kind, detail)
        if group:
            yield from matches(f"{field}.{key}.apiGroup", group, names.dns_subdomain(group))
    older, newer = spec.get("dataSource"), spec.get("dataSourceRef")
    if older is not None and newer is not None and not newer.get("namespace") and _told(older) != _told(newer):
        yield invalid_value(field, {}, "must match dataSourceRef")


def _told(reference: Spec) -> tuple[str, ...]:
    return tuple(reference.get(key) or "" for key in ("apiGroup", "kind", "name"))
