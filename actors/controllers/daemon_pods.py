"""The pods of a DaemonSet: one for each node that its template may run on, bound to that node by affinity.

Which nodes these are is Kubernetes' rule (NodeShouldRunDaemonPod): name, selector and affinity match, no taint keeps it
away that daemons do not tolerate; one that is there stays unless the taint says NoExecute. Whether there is room is the
scheduler's question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from protocols.objects import Object, name_of
from protocols.rules.affinity import node_eligible
from protocols.rules.taints import NO_EXECUTE, untolerated

NEEDS = "needs"  # the summaries' names: of daemon sets
PLACE = "place"  # of nodes
_NAME = "metadata.name"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_EXECUTE = ("not-ready", "unreachable")
_SCHEDULE = ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")


class Fit(NamedTuple):
    """Whether a node gets a pod, and whether one that it has may stay."""

    runs: bool
    stays: bool


NOWHERE = Fit(False, False)


def nodes_of(template: Object, nodes: Sequence[Object]) -> Iterator[str]:
    """The names of the nodes that get a pod."""
    spec = tolerating(template["spec"])
    return (name_of(node) for node in nodes if fit(spec, node).runs)


def fit(spec: Mapping[str, Any], node: Object) -> Fit:
    """`spec`: of the template, with what daemons tolerate (`tolerating`)."""
    if spec.get("nodeName") not in (None, "", name_of(node)) or not node_eligible({"spec": spec}, node):
        return NOWHERE
    taints = (node.get("spec") or {}).get("taints")
    against = list(untolerated(taints, spec["tolerations"])) if taints else []
    return Fit(not against, not any(taint["effect"] == NO_EXECUTE for taint in against))


def needs_of(daemon_set: Object) -> dict[str, Any]:
    """The summary NEEDS of daemon sets: what their templates ask of nodes; `fit` looks at nothing else."""
    spec = tolerating(daemon_set["spec"]["template"]["spec"])
    return {field: spec[field] for field in ("nodeName", "nodeSelector", "affinity", "tolerations") if spec.get(field)}


def place_of(node: Object) -> Object:
    """The summary PLACE of nodes: what `fit` looks at. A sign of life leaves it what it is."""
    metadata, spec = node["metadata"], node.get("spec") or {}
    return {
        "metadata": {"name": metadata["name"], "labels": metadata.get("labels") or {}},
        "spec": {"taints": spec.get("taints") or []},
    }


def named_node(pod: Object) -> str:
    """The node that the pod's affinity names, "" where it names none or several."""
    required = (((pod.get("spec") or {}).get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == _NAME and field.get("operator") == "In":
                values: list[str] = field.get("values") or []
                return values[0] if len(values) == 1 else ""
    return ""


def bound_to(spec: dict[str, Any], node: str) -> dict[str, Any]:
    """The spec of the pod for that node, which it names in place of what the template requires: that was looked at."""
    by_name = {"matchFields": [{"key": _NAME, "operator": "In", "values": [node]}]}
    affinity = spec.get("affinity") or {}
    node_affinity = {**(affinity.get("nodeAffinity") or {}), _REQUIRED: {"nodeSelectorTerms": [by_name]}}
    return {**tolerating(spec), "affinity": {**affinity, "nodeAffinity": node_affinity}}


def tolerating(spec: dict[str, Any]) -> dict[str, Any]:
    """With the tolerations that every daemon gets."""
    schedule = (*_SCHEDULE, "network-unavailable") if spec.get("hostNetwork") else _SCHEDULE
    added = [_toleration(key, "NoExecute") for key in _EXECUTE] + [_toleration(key, "NoSchedule") for key in schedule]
    given = [toleration for toleration in spec.get("tolerations") or () if _bare(toleration) not in added]
    return {**spec, "tolerations": [*given, *added]}


def _toleration(key: str, effect: str) -> dict[str, str]:
    return {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}


def _bare(toleration: Mapping[str, Any]) -> dict[str, Any]:
    """Without how long: a daemon tolerates for ever."""
    return {field: value for field, value in toleration.items() if field != "tolerationSeconds" and value}
