"""What containers of a node use, as a kubelet's /metrics/resource tells it; as far as it is measured, which the node
itself is not."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from actorkube.runtime.exposition import CONTENT_TYPE as CONTENT_TYPE
from actorkube.runtime.exposition import written
from protocols.usage import NodeUsage

_NANO = 1_000_000_000


def render(usage: NodeUsage) -> bytes:
    of_container, of_pod = ["container", "pod", "namespace"], ["pod", "namespace"]
    cpu = CounterMetricFamily("container_cpu_usage_seconds", "Processor time.", labels=of_container)
    memory = GaugeMetricFamily("container_memory_working_set_bytes", "Resident memory.", labels=of_container)
    started = GaugeMetricFamily("container_start_time_seconds", "When it started.", labels=of_container)
    pod_cpu = CounterMetricFamily("pod_cpu_usage_seconds", "Processor time of all containers.", labels=of_pod)
    pod_memory = GaugeMetricFamily("pod_memory_working_set_bytes", "Resident memory of all containers.", labels=of_pod)
    for pod in usage.pods:
        for each in pod.containers:
            name = [each.name, pod.name, pod.namespace]
            cpu.add_metric(name, each.cpu_ns / _NANO)
            memory.add_metric(name, each.memory_bytes)
            started.add_metric(name, each.started_at)
        pod_cpu.add_metric([pod.name, pod.namespace], sum(each.cpu_ns for each in pod.containers) / _NANO)
        pod_memory.add_metric([pod.name, pod.namespace], sum(each.memory_bytes for each in pod.containers))
    error = GaugeMetricFamily("resource_scrape_error", "1 if something could not be measured.")
    error.add_metric([], 0)
    return written([cpu, memory, started, pod_cpu, pod_memory, error])
