"""A deployment's history: which replica set is the new one, what revision each is, and what its annotations say.

`kubectl rollout history` and `undo` read these annotations; undo puts an old template back, and the set that has it
already becomes the new one again, with the next revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from actors.controllers.rollout import Limits
from protocols.objects import Object, meta, name_of, namespace_of
from protocols.rules.names import template_hash
from protocols.rules.owners import controller_reference

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
_OWN_BUSINESS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
)


def annotations_of(obj: Object) -> dict[str, str]:
    return meta(obj).get("annotations") or {}


def revision_number(obj: Object) -> int:
    return int_annotation(obj, REVISION)


def int_annotation(obj: Object, name: str) -> int:
    """0 when it is absent or no number."""
    try:
        return int(annotations_of(obj).get(name) or 0)
    except ValueError:
        return 0


def find_new(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The oldest set with the deployment's own template, if there is one."""
    wanted = _comparable(deployment["spec"]["template"])
    matching = [each for each in sets if _comparable(each["spec"]["template"]) == wanted]
    return min(matching, key=age_order, default=None)


def age_order(obj: Object) -> tuple[str, str]:
    return str(meta(obj).get("creationTimestamp") or ""), name_of(obj)


def next_revision(old: Sequence[Object]) -> int:
    return max((revision_number(each) for each in old), default=0) + 1


def new_set(deployment: Object, replicas: int, revision: int, limits: Limits) -> Object:
    """The replica set for the deployment's template."""
    spec = deployment["spec"]
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    digest = template_hash(without_none(spec["template"]), collisions)
    labels = {**(meta(spec["template"]).get("labels") or {}), HASH_LABEL: digest}
    selector = spec["selector"]
    annotations = {**_inherited(deployment), **size_annotations(limits), REVISION: str(revision)}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{digest}",
            "namespace": namespace_of(deployment),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [controller_reference(deployment, "apps/v1", "Deployment")],
        },
        "spec": {
            "replicas": replicas,
            **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}},
            "template": {**spec["template"], "metadata": {**meta(spec["template"]), "labels": labels}},
        },
    }


def updated_set(deployment: Object, new: Object, revision: int) -> Object:
    """The new set with the annotations and minReadySeconds that it should have; equal to `new` when it has them."""
    annotations = {**annotations_of(new), **_inherited(deployment)}
    known = revision_number(new)
    if known < revision:
        if REVISION in annotations:
            history = [*filter(None, annotations.get(HISTORY, "").split(",")), annotations[REVISION]]
            annotations[HISTORY] = ",".join(history)
        annotations[REVISION] = str(revision)
    spec = dict(new["spec"])
    spec["minReadySeconds"] = deployment["spec"].get("minReadySeconds") or 0
    if not spec["minReadySeconds"]:
        del spec["minReadySeconds"]
    return {**new, "metadata": {**meta(new), "annotations": annotations}, "spec": spec}


def size_annotations(limits: Limits) -> dict[str, str]:
    return {DESIRED: str(limits.replicas), MOST: str(limits.most)}


def _inherited(deployment: Object) -> dict[str, str]:
    return {key: value for key, value in annotations_of(deployment).items() if key not in _OWN_BUSINESS}


def _comparable(template: Any) -> Any:
    """The template without the hash, and without fields that say nothing."""
    plain = without_none(template)
    metadata = dict(plain.get("metadata") or {})
    labels = {key: value for key, value in (metadata.pop("labels", None) or {}).items() if key != HASH_LABEL}
    return {**plain, "metadata": {**metadata, "labels": labels}}


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_none(each) for key, each in value.items() if each is not None}
    return [without_none(each) for each in value] if isinstance(value, list) else value
