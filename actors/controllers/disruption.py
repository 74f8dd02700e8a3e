"""The disruption controller: how many pods of each PodDisruptionBudget may be evicted now.

An eviction takes one from the budget and notes the pod; what is noted counts as lost already, until it is gone or two
minutes have passed. So budgets hold although a pod's end is seen late (policy/v1, KEP-85).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.alike import BELONGS, looks_at
from actorkube.kube.writes import Event, RequeueAfter, UpdateStatus, Write, reference_to
from actors.controllers.indexes import BY_LABEL, BY_SELECTOR, by_label, by_selector, candidates, labelled
from actors.controllers.pod_summary import BELONGING, POD, Belonging, PodSummary, belonging, summarise_pod
from protocols.objects import Object, meta, name_of, namespace_of
from protocols.rules.conditions import with_condition
from protocols.rules.owners import controller_of, is_deleting
from protocols.rules.selectors import selector_matches
from protocols.rules.times import seconds_of

RESOURCE = "poddisruptionbudgets.policy"
NOTED_S = 120.0  # after so long a pod that was to go is believed to stay
SPACING_S = 0.02
BY_NAMESPACE = "namespace"
# Who may stand behind a pod, and say how many of it there should be.
_SCALES = {
    "ReplicaSet": "replicasets.apps",
    "Deployment": "deployments.apps",
    "StatefulSet": "statefulsets.apps",
    "ReplicationController": "replicationcontrollers",
}


class Count(NamedTuple):
    expected: int
    desired: int
    healthy: int

    @property
    def allowed(self) -> int:
        return max(self.healthy - self.desired, 0) if self.expected > 0 else 0


def controller() -> Controller:
    return Controller(
        "disruption-controller",
        (
            Watches(RESOURCE, indexes={BY_SELECTOR: by_selector}),
            Watches(
                "pods",
                budgets_of_pod,
                indexes={BY_LABEL: by_label, BY_NAMESPACE: by_namespace},
                summaries={POD: summarise_pod, BELONGING: belonging},
                when=POD,
                told_by=BELONGING,
            ),
            *(Watches(resource, budgets_of_owner) for resource in _SCALES.values()),
        ),
        reconcile,
        spacing_s=SPACING_S,
    )


@looks_at(*BELONGS)
def by_namespace(obj: Object) -> tuple[str, ...]:
    return (namespace_of(obj),)


def budgets_of_pod(pod: Belonging, views: Views) -> Iterator[str]:
    return _selecting(pod.namespace, pod.labels, views)


def budgets_of_owner(owner: Object, views: Views) -> Iterator[str]:
    """Those that select what it makes: its number of replicas may count."""
    labels = ((owner.get("spec") or {}).get("template") or {}).get("metadata", {}).get("labels") or {}
    return _selecting(namespace_of(owner), labels, views)


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    budget = views[RESOURCE].get(key)
    if budget is None or is_deleting(budget):
        return []
    pods = list(_selected(budget, views))
    noted = _still_noted(budget, pods, now)
    status = new_status(budget, counted(budget, pods, noted, views), noted, now)
    writes: list[Write] = []
    if noted:
        writes.append(RequeueAfter(min(map(seconds_of, noted.values())) + NOTED_S - now))
    if status != budget.get("status"):
        writes += [UpdateStatus(RESOURCE, {**budget, "status": status}), *_doubts(budget, pods)]
    return writes


def _doubts(budget: Object, pods: Sequence[PodSummary]) -> Iterator[Event]:
    """What is told with the numbers: that there is nobody, or nobody who says how many pods to expect."""
    about = reference_to(budget, "policy/v1", "PodDisruptionBudget")
    if not pods:
        yield Event(about, "Normal", "NoPods", "No matching pods found")
    spec = budget.get("spec") or {}
    if spec.get("maxUnavailable") is None and not isinstance(spec.get("minAvailable"), str):
        return
    if any(not pod.controller for pod in pods):
        unmanaged = (
            f"Pods selected by this PodDisruptionBudget (selector: {_in_go(spec.get('selector') or {})}) were found"
        )
        consequence = "As a result, the status of the PDB cannot be calculated correctly, which may result in undefined"
        remedy = 'To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.'
        message = f"{unmanaged} to be unmanaged. {consequence} behavior. {remedy}"
        yield Event(about, "Warning", "UnmanagedPods", message)


def _in_go(selector: Mapping[str, Any]) -> str:
    """As Go prints it."""
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = ""
    for each in selector.get("matchExpressions") or ():
        values = " ".join(each.get("values") or ())
        asked = f"Key:{each['key']},Operator:{each['operator']},Values:[{values}],"
        expressions += f"LabelSelectorRequirement{{{asked}}},"
    named = f"MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},"
    return f"&LabelSelector{{{named}}}"


def counted(budget: Object, pods: list[PodSummary], noted: dict[str, str], views: Views) -> Count:
    spec = budget.get("spec") or {}
    healthy = sum(pod.ready and not pod.deleting and pod.name not in noted for pod in pods)
    if (most := spec.get("maxUnavailable")) is not None:
        expected = _expected(pods, views)
        return Count(expected, max(expected - _share(most, expected), 0), healthy)
    least = spec.get("minAvailable")
    if least is None:
        return Count(0, 0, healthy)
    if isinstance(least, str):
        expected = _expected(pods, views)
        return Count(expected, _share(least, expected), healthy)
    return Count(len(pods), int(least), healthy)


def new_status(budget: Object, count: Count, noted: dict[str, str], now: float) -> dict[str, Any]:
    old = budget.get("status") or {}
    status = {key: value for key, value in old.items() if key != "disruptedPods"}
    if noted:
        status["disruptedPods"] = noted
    is_allowed = count.allowed > 0
    conditions = with_condition(
        old.get("conditions") or (),
        "DisruptionAllowed",
        "True" if is_allowed else "False",
        "SufficientPods" if is_allowed else "InsufficientPods",
        "",
        now,
    )
    return {
        **status,
        "observedGeneration": meta(budget).get("generation", 0),
        "expectedPods": count.expected,
        "desiredHealthy": count.desired,
        "currentHealthy": count.healthy,
        "disruptionsAllowed": count.allowed,
        "conditions": [{"observedGeneration": meta(budget).get("generation", 0), **each} for each in conditions],
    }


def _still_noted(budget: Object, pods: Iterable[PodSummary], now: float) -> dict[str, str]:
    """The pods that evictions have taken and that are still there, unharmed."""
    there = {pod.name for pod in pods if not pod.deleting}
    noted: dict[str, str] = (budget.get("status") or {}).get("disruptedPods") or {}
    return {name: at for name, at in noted.items() if name in there and seconds_of(at) + NOTED_S > now}


def _expected(pods: Iterable[PodSummary], views: Views) -> int:
    """How many there should be, as those behind the pods say. Pods that nobody controls do not count; one whose
    controller has no number of replicas counts for itself."""
    scales: dict[tuple[str, str], int] = {}
    alone = 0
    for pod in pods:
        if not pod.controller:
            continue
        obj = views["pods"].get(pod.key)
        owner = _scale_of(obj, views) if obj is not None else None
        if owner is None:
            alone += 1
        else:
            resource, of = owner
            scales[resource, name_of(of)] = int((of.get("spec") or {}).get("replicas", 1))
    return sum(scales.values()) + alone


def _scale_of(obj: Object, views: Views) -> tuple[str, Object] | None:
    """The topmost of its controllers that has a number of replicas."""
    reference = controller_of(obj)
    resource = _SCALES.get(reference["kind"]) if reference else None
    if reference is None or resource is None:
        return None
    owner = views[resource].get(f"{namespace_of(obj)}/{reference['name']}")
    if owner is None:
        return None
    return _scale_of(owner, views) or (resource, owner)


def _selected(budget: Object, views: Views) -> Iterator[PodSummary]:
    view, selector = views["pods"], (budget.get("spec") or {}).get("selector")
    if selector is None:
        return
    pairs, namespace = selector.get("matchLabels") or {}, namespace_of(budget)
    keys = labelled(namespace, pairs, view) if pairs else view.keys(BY_NAMESPACE, namespace)
    for key in list(keys):
        pod: PodSummary = view.summary(POD, key)
        if not pod.terminated and selector_matches(selector, pod.labels):
            yield pod


def _selecting(namespace: str, labels: dict[str, str], views: Views) -> Iterator[str]:
    view = views[RESOURCE]
    for key in candidates(namespace, labels, view):
        entry = view.entry(key)
        selector = (entry.peek().get("spec") or {}).get("selector") if entry is not None else None
        if selector is not None and selector_matches(selector, labels):
            yield key


def _share(value: int | str, of: int) -> int:
    """`25%` is rounded up."""
    return math.ceil(int(value[:-1]) * of / 100) if isinstance(value, str) else value
