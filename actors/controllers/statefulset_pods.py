"""The pods of a stateful set: each has a number of its own, and by it a name, a host name and claims that stay its own.

A pod that is replaced comes again under the same name; so never more than one is there for a number.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, NamedTuple

from actors.controllers.history import HASH_LABEL
from actors.controllers.pod_summary import PodSummary
from protocols.objects import Object, meta, name_of, namespace_of
from protocols.rules.owners import controller_reference

API_VERSION = "apps/v1"
KIND = "StatefulSet"
NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"
_ORDINAL_MAX = 2**31 - 1

State = Literal["absent", "held up", "over", "going", "unready", "ready", "available"]


class Replica(NamedTuple):
    """A place in the set, and what is there. `held up`: nothing, and nothing can come there now."""

    ordinal: int
    state: State
    revision: str  # of the pod; of the one that is to come where there is none

    @property
    def exists(self) -> bool:
        return self.state not in ("absent", "held up")


def split_name(name: str) -> tuple[str, int]:
    """`web-7` is ("web", 7); the number is -1 where there is none that a set gives."""
    parent, dash, digits = name.rpartition("-")
    if not dash or not digits.isdecimal() or not digits.isascii():
        return name, -1
    ordinal = int(digits)
    return (parent, ordinal) if str(ordinal) == digits and ordinal <= _ORDINAL_MAX else (name, -1)


def pod_name(stateful_set: Object, ordinal: int) -> str:
    return f"{name_of(stateful_set)}-{ordinal}"


def first_ordinal(stateful_set: Object) -> int:
    return int((stateful_set["spec"].get("ordinals") or {}).get("start") or 0)


def claim_templates(stateful_set: Object) -> list[Object]:
    return stateful_set["spec"].get("volumeClaimTemplates") or []


def claim_name(stateful_set: Object, template: Object, ordinal: int) -> str:
    return f"{name_of(template)}-{pod_name(stateful_set, ordinal)}"


def claim_keys(stateful_set: Object, ordinal: int) -> list[str]:
    namespace = namespace_of(stateful_set)
    return [f"{namespace}/{claim_name(stateful_set, each, ordinal)}" for each in claim_templates(stateful_set)]


def state_of(pod: PodSummary, min_ready_s: float, now: float) -> State:
    if pod.deleting:
        return "going"
    if pod.terminated:
        return "over"
    if pod.phase != "Running" or not pod.ready:
        return "unready"
    return "available" if pod.available(min_ready_s, now) else "ready"


def revision_of_pod(pod: PodSummary) -> str:
    return pod.labels.get(HASH_LABEL, "")


# -- a new pod --------------------------------------------------------------------------------------------------------


def pod_from(stateful_set: Object, ordinal: int, revision: str) -> Object:
    """The pod for that place, of the set's template, which is that revision's."""
    spec, name = stateful_set["spec"], pod_name(stateful_set, ordinal)
    template = spec["template"]
    metadata: dict[str, Any] = {
        "name": name,
        "generateName": f"{name_of(stateful_set)}-",
        "namespace": namespace_of(stateful_set),
        "labels": {**(meta(template).get("labels") or {}), HASH_LABEL: revision, **identity_labels(name)},
        "ownerReferences": [controller_reference(stateful_set, API_VERSION, KIND)],
    }
    for field in ("annotations", "finalizers"):
        if meta(template).get(field):
            metadata[field] = meta(template)[field]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _pod_spec(stateful_set, ordinal)}


def identity_labels(name: str) -> dict[str, str]:
    return {NAME_LABEL: name, INDEX_LABEL: str(split_name(name)[1])}


def _pod_spec(stateful_set: Object, ordinal: int) -> dict[str, Any]:
    spec = {**stateful_set["spec"]["template"]["spec"], "hostname": pod_name(stateful_set, ordinal)}
    if service := stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = service
    volumes = volumes_for(stateful_set, ordinal, spec.get("volumes") or [])
    return {**spec, "volumes": volumes} if volumes else spec


def volumes_for(stateful_set: Object, ordinal: int, others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A volume for each claim, then the others, of which a claim's takes the place of one of its name."""
    claims = {name_of(each): claim_name(stateful_set, each, ordinal) for each in claim_templates(stateful_set)}
    claimed = [{"name": name, "persistentVolumeClaim": {"claimName": claim}} for name, claim in claims.items()]
    return [*claimed, *(volume for volume in others if volume["name"] not in claims)]


# -- a pod that is there ----------------------------------------------------------------------------------------------


def lacks_identity(pod: PodSummary) -> bool:
    return pod.labels.get(NAME_LABEL) != pod.name


def lacks_storage(stateful_set: Object, ordinal: int, claims: Collection[str]) -> bool:
    """`claims`: the keys of those that its pod uses."""
    return not all(key in claims for key in claim_keys(stateful_set, ordinal))


def conforming(stateful_set: Object, pod: Object) -> Object:
    """The pod with the labels and volumes that it should have."""
    name = name_of(pod)
    labels = {**(meta(pod).get("labels") or {}), **identity_labels(name)}
    spec = dict(pod["spec"])
    if volumes := volumes_for(stateful_set, split_name(name)[1], spec.get("volumes") or []):
        spec["volumes"] = volumes
    return {**pod, "metadata": {**meta(pod), "labels": labels}, "spec": spec}
