"""kube-scheduler 1.36's decision, slowly: one pod, one node at a time, everything added up anew from the pods.

Written from the published formulas, without anything of actors/scheduler: what both agree on is probably right.
`answer` goes through the default plugins in kube-scheduler's order; spread and pod affinity are in `reference_pods`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from protocols.objects import Object, name_of
from protocols.rules.affinity import term_matches
from protocols.rules.quantity import bytes_of, cpu_milli
from protocols.rules.taints import tolerates
from tests.scheduler import reference_pods
from tests.scheduler.reference_cluster import Cluster

MIB = 1024 * 1024
WEIGHTS = {
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "NodeResourcesFit": 1,
    "PodTopologySpread": 2,
    "InterPodAffinity": 2,
    "NodeResourcesBalancedAllocation": 1,
    "ImageLocality": 1,
}


@dataclass
class Settings:
    """What a KubeSchedulerConfiguration can change about the default plugins."""

    fit: str = "LeastAllocated"
    fit_resources: dict[str, int] = field(default_factory=lambda: {"cpu": 1, "memory": 1})
    balanced_resources: tuple[str, ...] = ("cpu", "memory")
    shape: list[tuple[int, int]] = field(default_factory=list)
    added_affinity: dict[str, Any] = field(default_factory=dict)
    hard_pod_affinity_weight: int = 1
    ignore_preferred_terms_of_existing_pods: bool = False
    default_constraints: list[dict[str, Any]] | None = None  # None: the system's


@dataclass
class Answer:
    """`reasons`: node -> plugin: why not. `scores`: node -> plugin -> weighted score."""

    feasible: list[str]
    reasons: dict[str, str]
    scores: dict[str, dict[str, int]]

    @property
    def totals(self) -> dict[str, int]:
        return {name: sum(scores.values()) for name, scores in self.scores.items()}


def answer(pod: Object, cluster: Cluster, settings: Settings | None = None) -> Answer:
    settings = settings or Settings()
    reasons = {name: refusal(pod, node, cluster, settings) for name, node in cluster.nodes.items()}
    feasible = [name for name, reason in reasons.items() if not reason]
    nodes = [cluster.nodes[name] for name in feasible]
    by_plugin = {
        plugin: [WEIGHTS[plugin] * value for value in score(pod, nodes, cluster, settings)]
        for plugin, score in SCORES.items()
    }
    scores = {
        name: {plugin: values[index] for plugin, values in by_plugin.items()} for index, name in enumerate(feasible)
    }
    return Answer(feasible, {name: reason for name, reason in reasons.items() if reason}, scores)


# -- filters ----------------------------------------------------------------------------------------------------------


def refusal(pod: Object, node: Object, cluster: Cluster, settings: Settings) -> str:
    spec, others = pod["spec"], cluster.pods_on(name_of(node))
    cordoned = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if node["spec"].get("unschedulable") and not any(tolerates(t, cordoned) for t in spec.get("tolerations") or []):
        return "NodeUnschedulable: node(s) were unschedulable"
    if spec.get("nodeName") and spec["nodeName"] != name_of(node):
        return "NodeName: node(s) didn't match the requested node name"
    if not reference_pods.tolerates_all(pod, node):
        return "TaintToleration: node(s) had untolerated taint(s)"
    if not matches_any(settings.added_affinity.get("requiredDuringSchedulingIgnoredDuringExecution"), node):
        return "NodeAffinity: node(s) didn't match scheduler-enforced node affinity"
    if not reference_pods.node_affinity_matches(pod, node):
        return "NodeAffinity: node(s) didn't match Pod's node affinity/selector"
    needed = {"RestartAllContainersOnContainerExits"} if restarts_all(spec) else set()
    needed |= (
        {"UserNamespacesHostNetworkSupport"} if spec.get("hostNetwork") and spec.get("hostUsers") is False else set()
    )
    if needed - set(node["status"].get("declaredFeatures") or []):
        return "NodeDeclaredFeatures: node(s) didn't match Pod's required features"
    if any(ports_conflict(mine, theirs) for mine in ports(pod) for other in others for theirs in ports(other)):
        return "NodePorts: node(s) didn't have free ports for the requested pod ports"
    missing = lacks(pod, node, others)
    if missing:
        return "NodeResourcesFit: " + ", ".join(missing)
    return reference_pods.spread_refusal(
        pod, node, cluster, settings.default_constraints
    ) or reference_pods.affinity_refusal(pod, node, cluster)


def restarts_all(spec: dict[str, Any]) -> bool:
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    return any(r["action"] == "RestartAllContainers" for c in containers for r in c.get("restartPolicyRules") or [])


def matches_any(selector: dict[str, Any] | None, node: Object) -> bool:
    return selector is None or any(term_matches(term, node) for term in selector["nodeSelectorTerms"])


def ports(pod: Object) -> list[tuple[str, str, int]]:
    sidecars = [c for c in pod["spec"].get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    return [
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
        for container in [*pod["spec"]["containers"], *sidecars]
        for port in container.get("ports") or []
        if port.get("hostPort")
    ]


def ports_conflict(mine: tuple[str, str, int], theirs: tuple[str, str, int]) -> bool:
    return mine[1:] == theirs[1:] and (mine[0] == theirs[0] or "0.0.0.0" in (mine[0], theirs[0]))


def lacks(pod: Object, node: Object, others: list[Object]) -> list[str]:
    missing = ["Too many pods"] if len(others) + 1 > capacity(node, "pods") else []
    wanted = resources(pod)
    first = ["cpu", "memory", "ephemeral-storage"]
    for resource in [*first, *sorted(wanted - set(first))]:
        asked = requested(pod, resource)
        free = capacity(node, resource) - sum(requested(other, resource) for other in others)
        if asked > 0 and asked > free:
            missing.append(f"Insufficient {resource}")
    return missing


# -- what a pod asks for ----------------------------------------------------------------------------------------------


def amount(resource: str, quantity: Any) -> int:
    return cpu_milli(quantity) if resource == "cpu" else bytes_of(quantity)


def capacity(node: Object, resource: str) -> int:
    return amount(resource, node["status"]["allocatable"].get(resource, 0))


def resources(pod: Object) -> set[str]:
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or []), pod["spec"]]
    named = {name for c in containers for name in {**limits_of(c), **requests_of(c)}}
    return named | set(pod["spec"].get("overhead") or {})


def requests_of(container: Object) -> dict[str, Any]:
    return (container.get("resources") or {}).get("requests") or {}


def limits_of(container: Object) -> dict[str, Any]:
    return (container.get("resources") or {}).get("limits") or {}


def requested(pod: Object, resource: str, small: int = 0, whole: bool = True) -> int:
    """KEP-753: while init container i starts, the sidecars before it run; afterwards all sidecars and containers.

    `small` is what a container counts that asks for nothing; `whole`: what the pod asks for as a whole counts instead.
    """

    def of(container: Object) -> int:
        asked = {**limits_of(container), **requests_of(container)}
        return amount(resource, asked[resource]) if resource in asked else small

    sidecars = peak = 0
    for container in pod["spec"].get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            sidecars += of(container)
            peak = max(peak, sidecars)
        else:
            peak = max(peak, sidecars + of(container))
    total = max(peak, sidecars + sum(of(container) for container in pod["spec"]["containers"]))
    pod_level = {**limits_of(pod["spec"]), **requests_of(pod["spec"])}
    if whole and resource in ("cpu", "memory") and resource in pod_level:
        total = amount(resource, pod_level[resource])
    return total + amount(resource, (pod["spec"].get("overhead") or {}).get(resource, 0))


def counted(pod: Object, resource: str, placed: bool = True) -> int:
    """What scores count: a container without a request is taken for a small one. Of the pod that they are for, 1.36
    counts the containers alone."""
    small = {"cpu": 100, "memory": 200 * MIB}.get(resource, 0)
    if placed and requests_of(pod["spec"]) and requested(pod, resource):
        small = 0  # the pod asks for something as a whole, and somebody names this
    return requested(pod, resource, small, placed)


# -- scores -----------------------------------------------------------------------------------------------------------


def each(score: Callable[[Object, Object, Cluster, Settings], int]) -> Callable[..., list[int]]:
    return lambda pod, nodes, cluster, settings: [score(pod, node, cluster, settings) for node in nodes]


def by_highest(scores: list[int], reverse: bool = False) -> list[int]:
    highest = max(scores, default=0)
    stretched = [100 * score // highest if highest else 0 for score in scores]
    return [100 - score for score in stretched] if reverse else stretched


def taint_toleration(pod: Object, nodes: list[Object], *_: Any) -> list[int]:
    tolerations = [
        t for t in pod["spec"].get("tolerations") or [] if (t.get("effect") or "") in ("", "PreferNoSchedule")
    ]

    def intolerable(node: Object) -> int:
        soft = [taint for taint in node["spec"].get("taints") or [] if taint["effect"] == "PreferNoSchedule"]
        return sum(not any(tolerates(t, taint) for t in tolerations) for taint in soft)

    return by_highest([intolerable(node) for node in nodes], reverse=True)


def node_affinity(pod: Object, nodes: list[Object], cluster: Cluster, settings: Settings) -> list[int]:
    own = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "preferredDuringSchedulingIgnoredDuringExecution"
    ) or []
    terms = [*own, *(settings.added_affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or [])]
    return by_highest(
        [sum(term["weight"] for term in terms if term_matches(term["preference"], node)) for node in nodes]
    )


def resources_fit(pod: Object, node: Object, cluster: Cluster, settings: Settings) -> int:
    parts: list[tuple[int, int]] = []
    for resource, weight in settings.fit_resources.items():
        cap = capacity(node, resource)
        if cap == 0 or (resource not in ("cpu", "memory", "ephemeral-storage") and not requested(pod, resource)):
            continue
        taken = counted(pod, resource, placed=False)
        taken += sum(counted(other, resource) for other in cluster.pods_on(name_of(node)))
        match settings.fit:
            case "LeastAllocated":
                parts.append((0 if taken > cap else (cap - taken) * 100 // cap, weight))
            case "MostAllocated":
                parts.append((min(taken, cap) * 100 // cap, weight))
            case _:
                part = on_shape(settings.shape, 100 if taken > cap else taken * 100 // cap)
                parts += [(part, weight)] if part > 0 else []
    weights = sum(weight for _, weight in parts)
    if not weights:
        return 0
    total = sum(part * weight for part, weight in parts)
    return math.floor(total / weights + 0.5) if settings.fit == "RequestedToCapacityRatio" else total // weights


def on_shape(shape: list[tuple[int, int]], utilization: int) -> int:
    """Straight lines between the points (utilization in percent, score 0 to 10), integers cut towards zero."""
    points = [(u, 10 * score) for u, score in shape]
    for index, (u, score) in enumerate(points):
        if utilization <= u:
            if index == 0:
                return score
            before, low = points[index - 1]
            return low + int((score - low) * (utilization - before) / (u - before))
    return points[-1][1]


def balanced(pod: Object, nodes: list[Object], cluster: Cluster, settings: Settings) -> list[int]:
    names = settings.balanced_resources
    if not any(requested(pod, resource) for resource in names):
        return [0] * len(nodes)

    def balance(node: Object, pods: list[Object]) -> int:
        fractions = []
        for resource in names:
            cap = capacity(node, resource)
            if cap and (resource in ("cpu", "memory", "ephemeral-storage") or requested(pod, resource)):
                fractions.append(min(1.0, sum(requested(other, resource) for other in pods) / cap))
        deviation = 0.0
        if len(fractions) == 2:
            deviation = abs(fractions[0] - fractions[1]) / 2
        elif len(fractions) > 2:
            mean = sum(fractions) / len(fractions)
            deviation = math.sqrt(sum((f - mean) * (f - mean) for f in fractions) / len(fractions))
        return int((1 - deviation) * 100)

    def score(node: Object) -> int:
        others = cluster.pods_on(name_of(node))
        return 50 + (50 + balance(node, [*others, pod]) - balance(node, others)) // 2

    return [score(node) for node in nodes]


def image_locality(pod: Object, node: Object, cluster: Cluster, settings: Settings) -> int:
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
    held = 0
    for container in containers:
        image = container.get("image") or ""
        image = image if image.rfind(":") > image.rfind("/") else f"{image}:latest"
        holders = [other for other in cluster.nodes.values() if image in images(other)]
        if image in images(node):
            held += int(cluster.image_size(image) * (len(holders) / len(cluster.nodes)))
    most = 1000 * MIB * len(containers)
    return 100 * (min(max(held, 23 * MIB), most) - 23 * MIB) // (most - 23 * MIB)


def images(node: Object) -> dict[str, int]:
    listed = node["status"].get("images") or []
    return {name: image.get("sizeBytes") or 0 for image in listed for name in image.get("names") or []}


SCORES: dict[str, Callable[[Object, list[Object], Cluster, Settings], list[int]]] = {
    "TaintToleration": taint_toleration,
    "NodeAffinity": node_affinity,
    "NodeResourcesFit": each(resources_fit),
    "PodTopologySpread": lambda pod, nodes, cluster, settings: reference_pods.spread_scores(
        pod, nodes, cluster, settings.default_constraints
    ),
    "InterPodAffinity": lambda pod, nodes, cluster, settings: reference_pods.affinity_scores(
        pod, nodes, cluster, settings.hard_pod_affinity_weight, settings.ignore_preferred_terms_of_existing_pods
    ),
    "NodeResourcesBalancedAllocation": balanced,
    "ImageLocality": each(image_locality),
}
