"""What volumes, claims, their classes and drivers are warned of."""

from __future__ import annotations

from collections.abc import Iterator

from actors.apiserver.rules.warn import deprecated
from actors.apiserver.rules.warn.pods import claim_amounts
from protocols.objects import Object

_CLASS = "volume.beta.kubernetes.io/storage-class"
_ANNOTATIONS = {
    _CLASS: 'deprecated since v1.8; use "storageClassName" attribute instead',
    "volume.beta.kubernetes.io/mount-options": 'deprecated since v1.31; use "mountOptions" attribute instead',
}
_VOLUMES = deprecated.VOLUMES.keys() - {"flocker", "quobyte", "gitRepo"}  # of those nobody warns here
_RECYCLE = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
_OF_TOKENS = ("tokenRequests", "serviceAccountTokenInSecrets")
_TOKENS = "if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"


def persistent_volume(obj: Object, old: Object | None) -> Iterator[str]:
    spec, annotations = obj.get("spec") or {}, (obj.get("metadata") or {}).get("annotations") or {}
    for key, text in _ANNOTATIONS.items():
        if key in annotations:
            yield f"metadata.annotations[{key}]: {text}"
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        yield f"spec.persistentVolumeReclaimPolicy: {_RECYCLE}"
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms")
    yield from deprecated.terms("spec.nodeAffinity.required.nodeSelectorTerms", terms)
    yield from deprecated.volume("spec", {kind: spec[kind] for kind in spec if kind in _VOLUMES})


def persistent_volume_claim(obj: Object, old: Object | None) -> Iterator[str]:
    if _CLASS in ((obj.get("metadata") or {}).get("annotations") or {}):
        yield f"metadata.annotations[{_CLASS}]: {_ANNOTATIONS[_CLASS]}"
    yield from claim_amounts("spec", obj.get("spec") or {})


def storage_class(obj: Object, old: Object | None) -> Iterator[str]:
    for index, topology in enumerate(obj.get("allowedTopologies") or ()):
        for number, expression in enumerate(topology.get("matchLabelExpressions") or ()):
            if text := deprecated.label(expression.get("key") or ""):
                yield f"allowedTopologies[{index}].matchLabelExpressions[{number}].key: {text}"


def csi_driver(obj: Object, old: Object | None) -> Iterator[str]:
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    is_said = old is not None and all(spec.get(key) == before.get(key) for key in _OF_TOKENS)
    if not is_said and spec.get("tokenRequests") and spec.get("serviceAccountTokenInSecrets") is None:
        yield f"spec.serviceAccountTokenInSecrets is unset; {_TOKENS}"
