"""The horizontal pod autoscaler: as many pods as keep what they use near its target.

Every 15 seconds it asks the API server what the pods of its target use (`pods.metrics.k8s.io`), and sets the target's
replicas to the largest number that a metric asks for, as fast as its behavior lets it (hpa_behavior.py). What metrics
asked for lately is only in memory: after a restart the current size counts as what was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.controller import no_keys
from actorkube.kube.writes import Event, Inquire, Patch, RequeueAfter, UpdateStatus, Write, reference_to
from actors.controllers.hpa_behavior import Bounds, Limited, Past, follow, rules_down, rules_up
from actors.controllers.hpa_metrics import Patience, Tolerance
from actors.controllers.hpa_sources import Asked, Computed, compute
from actors.controllers.hpa_target import (
    BY_TARGET,
    Target,
    Untargeted,
    by_target,
    find_target,
    pods_of,
    watched_targets,
)
from actors.controllers.indexes import BY_LABEL, by_label
from actors.controllers.pod_summary import BELONGING, belonging
from actors.controllers.settings import Settings
from protocols import api
from protocols.message import Message
from protocols.objects import Object, decode_object, meta, namespace_of, revision_of, split_key, uid_of
from protocols.rules.conditions import Condition, with_condition
from protocols.rules.owners import is_deleting
from protocols.rules.selectors import format_label_selector
from protocols.rules.times import time_of

RESOURCE = "horizontalpodautoscalers.autoscaling"
API_VERSION = "autoscaling/v2"
KIND = "HorizontalPodAutoscaler"
POD_METRICS = "pods.metrics.k8s.io"
_EARLY_S = 1e-3  # a timer may be early by less than its clock can tell


def controller(settings: Settings) -> Controller:
    return Controller(
        "horizontal-pod-autoscaler",
        (
            Watches(RESOURCE, indexes={BY_TARGET: by_target}),
            Watches(
                "pods",
                no_keys,
                indexes={BY_LABEL: by_label},
                summaries={BELONGING: belonging},
                when=BELONGING,
                told_by=BELONGING,
            ),
            *watched_targets(),
        ),
        Autoscaler(settings).reconcile,
    )


class Scaling(NamedTuple):
    """A change of size that was decided on; whether it happened shows in the next pass."""

    before: int
    after: int
    at: float


class Memory:
    """Of one autoscaler."""

    def __init__(self) -> None:
        self.past = Past()
        self.looked_at = -1e18
        self.scaling: Scaling | None = None


class Report:
    """What a pass has to say: conditions and events."""

    def __init__(self, hpa: Object, now: float) -> None:
        self.conditions: list[Condition] = (hpa.get("status") or {}).get("conditions") or []
        self.events: list[Event] = []
        self._about = reference_to(hpa, API_VERSION, KIND)
        self._now = now

    def condition(self, type: str, is_so: bool, reason: str, message: str) -> None:
        status = "True" if is_so else "False"
        self.conditions = with_condition(self.conditions, type, status, reason, message, self._now)

    def warn(self, reason: str, message: str) -> None:
        self.events.append(self.event("Warning", reason, message))

    def event(self, type: Any, reason: str, message: str) -> Event:
        return Event(self._about, type, reason, message)


class Autoscaler:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._memories: dict[str, Memory] = {}  # by key, as long as there is an autoscaler of that name

    def reconcile(self, key: str, views: Views, now: float) -> list[Write]:
        hpa = views[RESOURCE].get(key)
        if hpa is None or is_deleting(hpa):
            self._memories.pop(key, None)
            return []
        memory = self._memories.setdefault(key, Memory())
        target = find_target(hpa, views)
        report = Report(hpa, now)
        refused = views.failure is not None and isinstance(views.failure.write, Patch)
        _note_scaling(memory, target, hpa, refused)
        if views.failure is not None and refused:
            message = f"the HPA controller was unable to update the target scale: {views.failure.error.message}"
            report.condition("AbleToScale", False, "FailedUpdateScale", message)
            return [*_status(hpa, report, target), RequeueAfter(self._settings.hpa_sync_period_s)]
        wait_s = memory.looked_at + self._settings.hpa_sync_period_s - now
        if views.answer is None and wait_s > _EARLY_S:
            return [RequeueAfter(wait_s)]
        if views.answer is None:
            memory.looked_at = now
        writes = self._look(hpa, target, memory, views, report, now)
        return [*writes, RequeueAfter(max(memory.looked_at + self._settings.hpa_sync_period_s - now, _EARLY_S))]

    def _look(
        self, hpa: Object, target: Target | Untargeted, memory: Memory, views: Views, report: Report, now: float
    ) -> list[Write]:
        if isinstance(target, Untargeted):
            report.warn("FailedGetScale", target.why)
            message = f"the HPA controller was unable to get the target's current scale: {target.why}"
            report.condition("AbleToScale", False, "FailedGetScale", message)
            return [*report.events, *_status(hpa, report, target)]
        message = "the HPA controller was able to get the target's current scale"
        report.condition("AbleToScale", True, "SucceededGetScale", message)
        bounds = bounds_of(hpa, target)
        if not memory.past.asked:
            memory.past.ask(target.replicas, 0.0, now)
        if target.replicas == 0 and bounds.least != 0:
            message = "scaling is disabled since the replica count of the target is zero"
            report.condition("ScalingActive", False, "ScalingDisabled", message)
            return _status(hpa, report, target, desired=0, metrics=[])
        if not bounds.least <= target.replicas <= bounds.most:
            above = target.replicas > bounds.most
            reason = f"Current number of replicas {'above Spec.MaxReplicas' if above else 'below Spec.MinReplicas'}"
            size = bounds.most if above else bounds.least
            return _scale(hpa, target, size, reason, [], memory, report, now)
        selector = format_label_selector(target.selector)
        rivals = sorted(views[RESOURCE].keys(BY_TARGET, *by_target(hpa)))
        if not selector or len(rivals) > 1:
            computed = _uncomputed(selector, rivals, report)
        elif views.answer is None and _is_about_resources(hpa):
            return [Inquire(api.List(POD_METRICS, namespace_of(hpa), selector))]
        else:
            computed = self._compute(hpa, target, views, report, now)
        if computed.replicas is None:
            report.warn("FailedComputeMetricsReplicas", computed.error)
            desired = (hpa.get("status") or {}).get("desiredReplicas") or 0
            return [*report.events, *_status(hpa, report, target, desired, computed.statuses)]
        return self._follow(hpa, target, computed, bounds, memory, report, now)

    def _compute(self, hpa: Object, target: Target, views: Views, report: Report, now: float) -> Computed:
        settings = self._settings
        asked = Asked(
            namespace_of(hpa),
            target.replicas,
            list(pods_of(target, namespace_of(hpa), views["pods"])),
            metrics_in(views.answer),
            Patience(settings.hpa_cpu_initialization_s, settings.hpa_initial_readiness_s),
            tolerance_of(hpa, settings.hpa_tolerance),
            now,
        )
        computed = compute(hpa["spec"].get("metrics") or [], asked)
        for reason, message in computed.complaints:
            report.warn(reason, message)
        if computed.replicas is None:
            reason, why = computed.complaints[0]
            report.condition("ScalingActive", False, reason, f"the HPA was unable to compute the replica count: {why}")
        else:
            message = f"the HPA was able to successfully calculate a replica count from {computed.metric}"
            report.condition("ScalingActive", True, "ValidMetricFound", message)
        return computed

    def _follow(
        self,
        hpa: Object,
        target: Target,
        computed: Computed,
        bounds: Bounds,
        memory: Memory,
        report: Report,
        now: float,
    ) -> list[Write]:
        assert computed.replicas is not None
        behavior, window_s = hpa["spec"].get("behavior"), self._settings.hpa_downscale_stabilization_s
        found: Limited = follow(computed.replicas, bounds, memory.past, behavior, window_s, now)
        report.condition("AbleToScale", True, *found.able)
        report.condition("ScalingLimited", found.is_limited, *found.limited)
        if found.replicas == target.replicas:
            return [*report.events, *_status(hpa, report, target, target.replicas, computed.statuses)]
        is_more = computed.replicas > target.replicas
        reason = f"{computed.metric} above target" if is_more else "All metrics below target"
        return _scale(hpa, target, found.replicas, reason, computed.statuses, memory, report, now)


def bounds_of(hpa: Object, target: Target) -> Bounds:
    least = hpa["spec"].get("minReplicas")
    return Bounds(target.replicas, 1 if least is None else int(least), int(hpa["spec"]["maxReplicas"]))


def tolerance_of(hpa: Object, default: float) -> Tolerance:
    behavior = hpa["spec"].get("behavior") or {}
    up, down = rules_up(behavior).tolerance, rules_down(behavior, 0.0).tolerance
    return Tolerance(default if up is None else up, default if down is None else down)


def _uncomputed(selector: str, rivals: list[str], report: Report) -> Computed:
    """Whose pods they are is not clear: nothing is computed."""
    if not selector:
        why = "selector is required"
        report.warn("SelectorRequired", why)
        report.condition("ScalingActive", False, "InvalidSelector", "the HPA target's scale is missing a selector")
        return Computed(None, "", [], why)
    keys = " ".join(f"{{{name} {namespace}}}" for namespace, name in map(split_key, rivals))
    why = f"pods by selector {selector} are controlled by multiple HPAs: [{keys}]"
    report.warn("AmbiguousSelector", why)
    report.condition("ScalingActive", False, "AmbiguousSelector", why)
    return Computed(None, "", [], why)


def _is_about_resources(hpa: Object) -> bool:
    return any(metric["type"] in ("Resource", "ContainerResource") for metric in hpa["spec"].get("metrics") or ())


def metrics_in(answer: Message | Exception | None) -> list[Object] | str:
    """The pods' metrics; or why there are none."""
    if isinstance(answer, api.StoredList):
        return [decode_object(item.body) for item in answer.items]
    return str(getattr(answer, "message", "") or answer)


def _note_scaling(memory: Memory, target: Target | Untargeted, hpa: Object, refused: bool) -> None:
    """What was decided in the last pass happened when the target shows it. If somebody was faster: look again now."""
    scaling, memory.scaling = memory.scaling, None
    if scaling is None or isinstance(target, Untargeted):
        return
    behavior = hpa["spec"].get("behavior")
    if target.replicas != scaling.after:
        memory.looked_at = memory.looked_at if refused else -1e18
    elif behavior is not None:
        memory.past.scale(scaling.before, scaling.after, behavior, scaling.at)


# -- writes -----------------------------------------------------------------------------------------------------------


def _scale(
    hpa: Object,
    target: Target,
    size: int,
    reason: str,
    statuses: list[dict[str, Any]],
    memory: Memory,
    report: Report,
    now: float,
) -> list[Write]:
    exactly = {"uid": uid_of(target.obj), "resourceVersion": str(revision_of(target.obj))}
    message = f"New size: {size}; reason: {reason}"
    change = Patch(
        target.resource,
        namespace_of(target.obj),
        target.name,
        {"metadata": exactly, "spec": {"replicas": size}},
        announce=report.event("Normal", "SuccessfulRescale", message),
        lament=report.event("Warning", "FailedRescale", f"{message}; error: "),
    )
    memory.scaling = Scaling(target.replicas, size, now)
    message = f"the HPA controller was able to update the target scale to {size}"
    report.condition("AbleToScale", True, "SucceededRescale", message)
    return [*report.events, change, *_status(hpa, report, target, size, statuses, time_of(now))]


def _status(
    hpa: Object,
    report: Report,
    target: Target | Untargeted,
    desired: int | None = None,
    metrics: Iterable[Mapping[str, Any]] | None = None,
    scaled_at: str | None = None,
) -> list[Write]:
    """The write of the status, if it is another. What is None stays what it was."""
    old = hpa.get("status") or {}
    status = {**old, "conditions": report.conditions}
    if "generation" in meta(hpa):
        status["observedGeneration"] = meta(hpa)["generation"]
    if isinstance(target, Target):
        status["currentReplicas"] = target.replicas
    status["desiredReplicas"] = (old.get("desiredReplicas") or 0) if desired is None else desired
    if metrics is not None:
        status["currentMetrics"] = list(metrics)
        if not status["currentMetrics"]:
            del status["currentMetrics"]
    if scaled_at is not None:
        status["lastScaleTime"] = scaled_at
    return [UpdateStatus(RESOURCE, {**hpa, "status": status})] if status != old else []
