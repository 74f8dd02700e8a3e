"""The reference's PodTopologySpread and InterPodAffinity: loops over all nodes and all of their pods."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from protocols.objects import Object, labels_of, name_of, namespace_of
from protocols.rules.affinity import term_matches
from protocols.rules.selectors import selector_matches
from protocols.rules.taints import tolerates
from tests.scheduler.reference_cluster import Cluster

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
SYSTEM_DEFAULTS = [
    {"topologyKey": HOSTNAME, "maxSkew": 3, "whenUnsatisfiable": "ScheduleAnyway"},
    {"topologyKey": ZONE, "maxSkew": 5, "whenUnsatisfiable": "ScheduleAnyway"},
]
Term = dict[str, Any]


def tolerates_all(pod: Object, node: Object) -> bool:
    hard = [taint for taint in node["spec"].get("taints") or [] if taint["effect"] in ("NoSchedule", "NoExecute")]
    return all(any(tolerates(t, taint) for t in pod["spec"].get("tolerations") or []) for taint in hard)


def node_affinity_matches(pod: Object, node: Object) -> bool:
    if any(labels_of(node).get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(term_matches(term, node) for term in required["nodeSelectorTerms"])


# -- PodTopologySpread ------------------------------------------------------------------------------------------------


def constraints(pod: Object, cluster: Cluster, when: str, defaults: list[dict[str, Any]] | None) -> list[Term]:
    own = pod["spec"].get("topologySpreadConstraints") or []
    if own:
        return [with_label_keys(c, pod) for c in own if c["whenUnsatisfiable"] == when]
    selectors = selectors_of_groups(pod, cluster)
    if not selectors:
        return []
    chosen = SYSTEM_DEFAULTS if defaults is None else defaults
    return [{**c, "selectors": selectors} for c in chosen if c["whenUnsatisfiable"] == when]


def with_label_keys(constraint: Term, pod: Object) -> Term:
    """matchLabelKeys: only pods that have the same values of these labels count, unless the selector says it."""
    selectors = [constraint.get("labelSelector")]
    merged = {
        expression["key"]
        for expression in (selectors[0] or {}).get("matchExpressions") or []
        if expression["operator"] == "In" and len(expression["values"]) == 1
    } | {*((selectors[0] or {}).get("matchLabels") or {})}
    keys = [key for key in constraint.get("matchLabelKeys") or [] if key not in merged]
    labels = {key: labels_of(pod)[key] for key in keys if key in labels_of(pod)}
    return {**constraint, "selectors": [*selectors, *([{"matchLabels": labels}] if labels else [])]}


def selectors_of_groups(pod: Object, cluster: Cluster) -> list[Any]:
    """What all Services that select the pod, and its controller, ask of labels; nothing if they ask nothing."""
    found: list[Any] = []
    for group in cluster.groups:
        if namespace_of(group) != namespace_of(pod):
            continue
        selector = group["spec"].get("selector")
        if group["kind"] == "Service":
            if selector and all(labels_of(pod).get(k) == v for k, v in selector.items()):
                found.append({"matchLabels": selector})
            continue
        owners = [o for o in pod["metadata"].get("ownerReferences") or [] if o.get("controller")]
        if any((o["kind"], o["name"]) == (group["kind"], name_of(group)) for o in owners):
            found.append({"matchLabels": selector} if group["kind"] == "ReplicationController" else selector)
    return [selector for selector in found if not is_empty(selector)]


def is_empty(selector: Any) -> bool:
    return selector is not None and not (selector.get("matchLabels") or selector.get("matchExpressions"))


def selects(constraint: Term, labels: dict[str, str]) -> bool:
    return all(selector_matches(selector, labels) for selector in constraint["selectors"])


def count(constraint: Term, pod: Object, node: Object, cluster: Cluster) -> int:
    """Pods of the pod's namespace that are not on their way out; an empty selector counts none of them."""
    if all(is_empty(selector) for selector in constraint["selectors"]):
        return 0
    return sum(
        namespace_of(other) == namespace_of(pod)
        and not other["metadata"].get("deletionTimestamp")
        and selects(constraint, labels_of(other))
        for other in cluster.pods_on(name_of(node))
    )


def includes(constraint: Term, pod: Object, node: Object) -> bool:
    if constraint.get("nodeAffinityPolicy", "Honor") == "Honor" and not node_affinity_matches(pod, node):
        return False
    return constraint.get("nodeTaintsPolicy", "Ignore") == "Ignore" or tolerates_all(pod, node)


def has_all_keys(node: Object, chosen: list[Term]) -> bool:
    return all(constraint["topologyKey"] in labels_of(node) for constraint in chosen)


def spread_refusal(pod: Object, node: Object, cluster: Cluster, defaults: list[Term] | None = None) -> str:
    hard = constraints(pod, cluster, "DoNotSchedule", defaults)
    for constraint in hard:
        key = constraint["topologyKey"]
        if key not in labels_of(node):
            return "PodTopologySpread: node(s) didn't match pod topology spread constraints (missing required label)"
        domains: dict[str, int] = {}
        for other in cluster.nodes.values():
            if has_all_keys(other, hard) and includes(constraint, pod, other):
                domain = labels_of(other)[key]
                domains[domain] = domains.get(domain, 0) + count(constraint, pod, other, cluster)
        least = 0 if len(domains) < (constraint.get("minDomains") or 1) else min(domains.values())
        itself = int(selects(constraint, labels_of(pod)))
        if domains.get(labels_of(node)[key], 0) + itself - least > constraint["maxSkew"]:
            return "PodTopologySpread: node(s) didn't match pod topology spread constraints"
    return ""


def spread_scores(pod: Object, nodes: list[Object], cluster: Cluster, defaults: list[Term] | None) -> list[int]:
    soft = constraints(pod, cluster, "ScheduleAnyway", defaults)
    if not soft:
        return [0] * len(nodes)
    all_keys = bool(pod["spec"].get("topologySpreadConstraints")) or defaults is not None
    candidates = [node for node in nodes if not all_keys or has_all_keys(node, soft)]
    raw = {name_of(node): spread_raw(pod, node, soft, candidates, all_keys, cluster) for node in candidates}
    least, most = min(raw.values(), default=0), max(raw.values(), default=0)

    def normal(node: Object) -> int:
        if name_of(node) not in raw:
            return 0
        return 100 * (most + least - raw[name_of(node)]) // most if most else 100

    return [normal(node) for node in nodes]


def spread_raw(
    pod: Object, node: Object, soft: list[Term], candidates: list[Object], all_keys: bool, cluster: Cluster
) -> int:
    score = 0.0
    for constraint in soft:
        key = constraint["topologyKey"]
        if key not in labels_of(node):
            continue
        if key == HOSTNAME:
            size, counted = len(candidates), count(constraint, pod, node, cluster)
        else:
            size = len({labels_of(other).get(key, "") for other in candidates})
            counted = sum(
                count(constraint, pod, other, cluster)
                for other in cluster.nodes.values()
                if labels_of(other).get(key) == labels_of(node)[key]
                and (not all_keys or has_all_keys(other, soft))
                and includes(constraint, pod, other)
            )
        score += counted * math.log(size + 2) + (constraint["maxSkew"] - 1)
    return math.floor(score + 0.5)


# -- InterPodAffinity -------------------------------------------------------------------------------------------------


def affinity_terms(pod: Object, kind: str, required: bool) -> list[Term]:
    affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
    if required:
        return affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []
    return affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []


def term_selects(term: Term, owner: Object, other: Object, cluster: Cluster) -> bool:
    names, by_label = term.get("namespaces") or [], term.get("namespaceSelector")
    if not names and by_label is None:
        names = [namespace_of(owner)]
    labels = cluster.namespaces.get(namespace_of(other), {})
    if namespace_of(other) not in names and not (by_label is not None and selector_matches(by_label, labels)):
        return False
    return selector_matches(term.get("labelSelector"), labels_of(other))


def existing(cluster: Cluster) -> Iterator[tuple[Object, Object]]:
    return ((other, node) for node in cluster.nodes.values() for other in cluster.pods_on(name_of(node)))


def affinity_refusal(pod: Object, node: Object, cluster: Cluster) -> str:
    here = labels_of(node)

    def together(term: Term, other_node: Object) -> bool:
        key = term["topologyKey"]
        return key in here and labels_of(other_node).get(key) == here[key]

    required = affinity_terms(pod, "podAffinity", True)
    if required and not affinity_holds(required, pod, node, cluster):
        return "InterPodAffinity: node(s) didn't match pod affinity rules"
    for term in affinity_terms(pod, "podAntiAffinity", True):
        if any(together(term, place) and term_selects(term, pod, other, cluster) for other, place in existing(cluster)):
            return "InterPodAffinity: node(s) didn't match pod anti-affinity rules"
    for other, place in existing(cluster):
        for term in affinity_terms(other, "podAntiAffinity", True):
            if together(term, place) and term_selects(term, other, pod, cluster):
                return "InterPodAffinity: node(s) didn't satisfy existing pods anti-affinity rules"
    return ""


def affinity_holds(terms: list[Term], pod: Object, node: Object, cluster: Cluster) -> bool:
    """Each term needs a pod in the node's domain that all terms select; the first of its kind needs none."""
    if any(term["topologyKey"] not in labels_of(node) for term in terms):
        return False
    held = {
        (term["topologyKey"], labels_of(place)[term["topologyKey"]])
        for other, place in existing(cluster)
        if all(term_selects(term, pod, other, cluster) for term in terms)
        for term in terms
        if term["topologyKey"] in labels_of(place)
    }
    if all((term["topologyKey"], labels_of(node)[term["topologyKey"]]) in held for term in terms):
        return True
    return not held and all(term_selects(term, pod, pod, cluster) for term in terms)


def affinity_scores(
    pod: Object, nodes: list[Object], cluster: Cluster, hard_weight: int, ignore_existing: bool
) -> list[int]:
    worth: dict[tuple[str, str], int] = {}

    def add(term: Term, place: Object, weight: int) -> None:
        key = term["topologyKey"]
        if key in labels_of(place):
            pair = (key, labels_of(place)[key])
            worth[pair] = worth.get(pair, 0) + weight

    signs = (("podAffinity", 1), ("podAntiAffinity", -1))
    prefers = any(affinity_terms(pod, kind, False) for kind, _ in signs)
    for other, place in existing(cluster):
        for kind, sign in signs:
            for wish in affinity_terms(pod, kind, False):
                if term_selects(wish["podAffinityTerm"], pod, other, cluster):
                    add(wish["podAffinityTerm"], place, sign * wish["weight"])
            for wish in affinity_terms(other, kind, False):
                if (prefers or not ignore_existing) and term_selects(wish["podAffinityTerm"], other, pod, cluster):
                    add(wish["podAffinityTerm"], place, sign * wish["weight"])
        for term in affinity_terms(other, "podAffinity", True):
            if term_selects(term, other, pod, cluster):
                add(term, place, hard_weight)
    raw = [sum(value for (k, v), value in worth.items() if labels_of(node).get(k) == v) for node in nodes]
    least, most = min(raw, default=0), max(raw, default=0)
    return [int(100.0 * ((score - least) / (most - least))) if most > least else 0 for score in raw]
