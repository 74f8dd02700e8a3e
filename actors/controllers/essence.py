"""The essence of an object: what is kept of the many that controllers only count, own and remove."""

from __future__ import annotations

from protocols.objects import Object, meta, name_of

ROOT_CA = "kube-root-ca.crt"  # the one config map whose content a controller looks at

_KEPT = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "finalizers", "ownerReferences")


def essence(obj: Object) -> Object:
    """Never base an Update on it, only patches: most of the object is missing."""
    if name_of(obj) == ROOT_CA:
        return obj
    metadata = meta(obj)
    return {"metadata": {field: metadata[field] for field in _KEPT if field in metadata}}


def definition_essence(definition: Object) -> Object:
    """Of a CustomResourceDefinition also what it defines; its schemas are most of it."""
    spec, status = definition.get("spec") or {}, definition.get("status") or {}
    kept = {
        "spec": {key: spec[key] for key in ("group", "scope") if key in spec},
        "status": {key: status[key] for key in ("acceptedNames", "conditions") if key in status},
    }
    return {**essence(definition), **kept}
