"""`matchLabelKeys` and `mismatchLabelKeys` of a new pod become requirements of the selectors that they belong to.

A pod's affinity (KEP-3633) and its spreading (KEP-3243) may ask for pods that have the same value of a label as it has
itself. The value is looked up once, at create: whoever reads the selector later need not know of the keys, and it stays
as it is when the pod's labels change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from protocols.objects import Object, labels_of

SPREAD_SINCE = 34  # Kubernetes 1.34; before, the scheduler reads the keys of spread constraints itself

_KINDS = ("podAffinity", "podAntiAffinity")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_Term = Mapping[str, Any]


def with_merged_keys(pod: Object, minor: int) -> Object:
    """The pod, or a copy with the requirements. `minor`: of the Kubernetes version that is served."""
    spec, labels = pod.get("spec") or {}, labels_of(pod)
    changed: dict[str, Any] = {}
    affinity = spec.get("affinity") or {}
    if any(affinity.get(kind) for kind in _KINDS):
        changed["affinity"] = {
            kind: _affinity(value, labels) if kind in _KINDS and value else value for kind, value in affinity.items()
        }
    if minor >= SPREAD_SINCE and spec.get("topologySpreadConstraints"):
        changed["topologySpreadConstraints"] = [_merged(c, labels) for c in spec["topologySpreadConstraints"]]
    return {**pod, "spec": {**spec, **changed}} if changed else pod


def _affinity(value: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    found = dict(value)
    if value.get(_REQUIRED):
        found[_REQUIRED] = [_merged(term, labels) for term in value[_REQUIRED]]
    if value.get(_PREFERRED):
        found[_PREFERRED] = [
            {**wish, "podAffinityTerm": _merged(wish.get("podAffinityTerm") or {}, labels)}
            for wish in value[_PREFERRED]
        ]
    return found


def _merged(term: _Term, labels: Mapping[str, str]) -> _Term:
    """Without a selector no pod is meant, and no requirement would change that."""
    chosen = term.get("labelSelector")
    added = [
        *_requirements(term.get("matchLabelKeys"), "In", labels),
        *_requirements(term.get("mismatchLabelKeys"), "NotIn", labels),
    ]
    if chosen is None or not added:
        return term
    expressions = [*(chosen.get("matchExpressions") or ()), *added]
    return {**term, "labelSelector": {**chosen, "matchExpressions": expressions}}


def _requirements(keys: Iterable[str] | None, operator: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "operator": operator, "values": [labels[key]]} for key in keys or () if key in labels]
