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
