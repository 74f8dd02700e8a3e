"""What Prometheus reads of the scheduler, under kube-scheduler's names, and of pods' requests and limits.

What was gathered in the scheduler's turn (`told.py`) is written down here, in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from actorkube.runtime.exposition import written
from actorkube.runtime.histogram import Bounded
from actors.scheduler.counts import Counts
from actors.scheduler.demand import scheduler_name
from actors.scheduler.told import Told
from protocols.objects import Object, decode_object, name_of, namespace_of
from protocols.rules.pods import is_terminated, node_of
from protocols.rules.resources import pod_limits, pod_requests

K = TypeVar("K", bound=tuple[str, ...])
V = TypeVar("V")

_PREFIX = "scheduler_"
_BYTES = ("memory", "storage", "ephemeral-storage")


def metrics(told: Told) -> bytes:
    return written([*_of_queue(told), *_of_attempts(told.counts), *_of_preemption(told.counts)])


def resources(bodies: Iterable[bytes]) -> bytes:
    """What pods that have not ended ask for and are limited to, for as long as they run."""
    labels = ["namespace", "pod", "node", "scheduler", "priority", "resource", "unit"]
    families = [
        GaugeMetricFamily(f"kube_pod_resource_{what}", f"Resources {meaning} by pods.", labels=labels)
        for what, meaning in (("request", "requested"), ("limit", "limited"))
    ]
    for body in bodies:
        pod = decode_object(body)
        if node_of(pod) and is_terminated(pod):
            continue
        spec = {"spec": pod.get("spec") or {}}  # what it asks for, whatever it has while it is resized
        for family, amounts in zip(families, (pod_requests(spec), pod_limits(spec)), strict=True):
            for resource, amount in amounts.items():
                if amount:
                    value = amount / 1000 if resource == "cpu" else amount
                    family.add_metric([*_labels_of(pod), resource, _unit(resource)], value)
    return written(families)


def _labels_of(pod: Object) -> list[str]:
    priority = (pod.get("spec") or {}).get("priority")
    told = "" if priority is None else str(priority)
    return [namespace_of(pod), name_of(pod), node_of(pod), scheduler_name(pod), told]


def _unit(resource: str) -> str:
    if resource == "cpu":
        return "cores"
    if resource in _BYTES or resource.startswith("hugepages-"):
        return "bytes"
    return "integer" if resource.startswith("attachable-volumes-") else ""


def _of_queue(told: Told) -> Iterator[Metric]:
    yield _gauge("pending_pods", "Pods that have no node, by queue.", ["queue"], _by_one(told.pending))
    yield _gauge("unschedulable_pods", "Pods that a plugin refused.", ["plugin", "profile"], told.refused)
    yield _gauge("cache_size", "Nodes, pods, and pods on a node that is not confirmed.", ["type"], _by_one(told.cached))
    yield _counter("queue_incoming_pods", "Pods that came into a queue.", ["queue", "event"], told.incoming)


def _of_attempts(counts: Counts) -> Iterator[Metric]:
    labels = ["result", "profile"]
    attempts = {key: histogram.count for key, histogram in counts.attempts.items()}
    yield _counter("schedule_attempts", "Attempts to schedule pods.", labels, attempts)
    yield _histogram(
        "scheduling_attempt_duration_seconds", "From the attempt to its end, binding included.", labels, counts.attempts
    )
    yield _histogram("scheduling_algorithm_duration_seconds", "How long decisions took.", [], {(): counts.algorithm})
    yield _histogram(
        "pod_scheduling_sli_duration_seconds",
        "From a pod's entry into the queue to its binding.",
        ["attempts"],
        _by_one(counts.waits),
    )
    yield _histogram("pod_scheduling_attempts", "Attempts until a pod had a node.", [], {(): counts.attempts_of_pods})
    yield _histogram(
        "framework_extension_point_duration_seconds",
        "How long all plugins of an extension point took.",
        ["extension_point", "status", "profile"],
        counts.points,
    )
    yield _histogram("permit_wait_duration_seconds", "Waits at Permit.", ["result"], _by_one(counts.permits))


def _of_preemption(counts: Counts) -> Iterator[Metric]:
    yield _counter("preemption_attempts", "Searches for pods that could go.", [], {(): counts.preemptions})
    yield _histogram("preemption_victims", "Pods that had to go for one.", [], {(): counts.victims})


def _by_one(values: Mapping[str, V]) -> dict[tuple[str, ...], V]:
    return {(key,): value for key, value in values.items()}


def _gauge(name: str, help: str, labels: list[str], values: Mapping[K, float]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, help, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, help: str, labels: list[str], values: Mapping[K, float]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, help, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, help: str, labels: list[str], values: Mapping[K, Bounded]) -> Metric:
    family = HistogramMetricFamily(_PREFIX + name, help, labels=labels)
    for key, histogram in values.items():
        family.add_metric(key, histogram.buckets(), histogram.total)
    return family
