"""FlowSchemas and PriorityLevelConfigurations are kept as `v1`; Kubernetes up to 1.31 also serves betas of them.

They differ in one number: v1beta2 calls it otherwise, and in both betas 0 is the default, unless an annotation of
v1beta3 says that 0 is meant. (KEP-1040; the conversions in pkg/apis/flowcontrol.)
"""

from __future__ import annotations

from protocols.objects import Object, meta

V1 = "flowcontrol.apiserver.k8s.io/v1"
ZERO_IS_MEANT = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"
_NOMINAL, _ASSURED = "nominalConcurrencyShares", "assuredConcurrencyShares"


def to_v1(obj: Object) -> Object:
    metadata, annotations = dict(meta(obj)), dict(meta(obj).get("annotations") or {})
    means_zero = annotations.pop(ZERO_IS_MEANT, None) is not None
    if means_zero:
        metadata["annotations"] = annotations
    limited = _limited(obj)
    if limited is None:
        return {**obj, "apiVersion": V1, "metadata": metadata}
    shares = limited.pop(_ASSURED, None) or limited.pop(_NOMINAL, None)
    if shares or means_zero:
        limited[_NOMINAL] = shares or 0
    return {**obj, "apiVersion": V1, "metadata": metadata, "spec": {**obj["spec"], "limited": limited}}


def to_beta(obj: Object, api_version: str) -> Object:
    limited = _limited(obj)
    if limited is None:
        return {**obj, "apiVersion": api_version}
    metadata = meta(obj)
    if api_version.endswith("v1beta2"):
        limited[_ASSURED] = limited.pop(_NOMINAL, 0)
    elif not limited.get(_NOMINAL):
        annotations = {**(metadata.get("annotations") or {}), ZERO_IS_MEANT: ""}
        metadata = {**metadata, "annotations": annotations}
    return {**obj, "apiVersion": api_version, "metadata": metadata, "spec": {**obj["spec"], "limited": limited}}


def _limited(obj: Object) -> Object | None:
    """The part that differs, as a copy; a FlowSchema has none."""
    limited = (obj.get("spec") or {}).get("limited")
    return dict(limited) if isinstance(limited, dict) else None
