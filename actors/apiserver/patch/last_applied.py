"""kubectl's client-side apply and its annotation: what it applied counts as kubectl's own when it applies here."""

from __future__ import annotations

from typing import Any

import orjson

from actors.apiserver.patch.compare import compare
from actors.apiserver.patch.fields import FieldSet, difference, union
from actors.apiserver.patch.structure import NotOfItsType, field_set
from actors.apiserver.schema.types import Type
from protocols.objects import Object

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"


def last_applied(type: Type, current: Object) -> FieldSet:
    """The fields that the annotation names and that still are as it says."""
    try:
        config = orjson.loads(_annotations(current).get(ANNOTATION) or "")
        if not isinstance(config, dict) or config.get("apiVersion") != current.get("apiVersion"):
            return {}
        applied, since = field_set(type, config), compare(type, config, current)
    except (orjson.JSONDecodeError, NotOfItsType, AttributeError):
        return {}
    return difference(applied, union(since.changed, since.removed))


def with_last_applied(merged: Object, config: Object, manager: str) -> Object:
    """Keeps the annotation true where there is one, for those who go back to client-side apply."""
    annotations = _annotations(merged)
    if manager != KUBECTL or not annotations.get(ANNOTATION):
        return merged
    metadata: dict[str, Any] = {**(config.get("metadata") or {})}
    own = {key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != ANNOTATION}
    if own:
        metadata["annotations"] = own
    text = orjson.dumps({**config, "metadata": metadata}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    return {**merged, "metadata": {**merged["metadata"], "annotations": {**annotations, ANNOTATION: text}}}


def _annotations(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}
