"""The essence of an object: what is kept of the many that controllers only count, own and remove."""

from __future__ import annotations

from protocols.objects import Object, meta, name_of
from protocols.rules.api_services import SERVED
from protocols.rules.bootstrap_tokens import CLUSTER_INFO, TYPE

ROOT_CA = "kube-root-ca.crt"
# What a controller looks at whole: two config maps, and the Secrets of one type.
_WHOLE = frozenset((ROOT_CA, CLUSTER_INFO[1]))

_KEPT = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "finalizers", "ownerReferences")


def essence(obj: Object) -> Object:
    """Never base an Update on it, only patches: most of the object is missing."""
    if name_of(obj) in _WHOLE or obj.get("type") == TYPE:
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


def api_service_essence(api_service: Object) -> Object:
    """Of an APIService also who answers for what, whether it can be asked, and what it serves."""
    spec, status = api_service.get("spec") or {}, api_service.get("status") or {}
    kept = {
        "spec": {key: spec[key] for key in ("group", "version", "service") if key in spec},
        "status": {key: status[key] for key in ("conditions",) if key in status},
    }
    found = {**essence(api_service), **kept}
    served = (meta(api_service).get("annotations") or {}).get(SERVED)
    if served is not None:
        found["metadata"] = {**found["metadata"], "annotations": {SERVED: served}}
    return found
