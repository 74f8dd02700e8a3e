"""What pods use now, asked of their kubelets, as objects of metrics.k8s.io: for REST (rest/metrics_api.py) and actors.

A node whose kubelet does not answer in time is left out, as the metrics server leaves it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from actorkube.runtime import Context
from actors.apiserver.access.attributes import Attributes
from actors.apiserver.callers import Caller
from actors.apiserver.calls import Call
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.reads import Query
from actors.apiserver.schema.resources import METRICS, find
from protocols import api
from protocols.errors import Answer, AskError
from protocols.objects import Object, encode_object, labels_of, name_of, namespace_of
from protocols.rules.pods import node_of
from protocols.rules.times import time_of
from protocols.usage import AskNodeUsage, NodeUsage, PodUsage

PODS = next(resource for resource in METRICS if resource.plural == "pods")
POD_METRICS = PODS.group_resource
_ANSWER_WITHIN_S = 5.0
_ASKED_AT_ONCE = 32


class MetricsDoor:
    """`api.List` of pods' metrics, for the autoscaler; other verbs, and nodes, nobody asks by message."""

    def __init__(self, context: Context, pipeline: Pipeline) -> None:
        self._context = context
        self._pipeline = pipeline

    async def list(self, message: api.List, caller: Caller) -> api.StoredList:
        self._pipeline.authorizer.permit(caller, Attributes("list", PODS.group, PODS.plural, "", message.namespace))
        pods = find("pods")
        assert pods is not None
        query = Query(labels=message.label_selector, fields=message.field_selector)
        listing = await self._pipeline.reads.list(Call(caller, pods, message.namespace), query)
        head = {"kind": PODS.kind, "apiVersion": PODS.api_version}
        found = await metrics_of_pods(self._context, [item.object() for item in listing.items])
        return api.StoredList(tuple(api.Stored(encode_object({**head, **each}), 0) for each in found), listing.revision)


async def metrics_of_pods(context: Context, pods: list[Object]) -> list[Object]:
    """Of those that run, without kind and apiVersion."""
    usages = await node_usages(context, filter(None, map(node_of, pods)))
    used = {(pod.namespace, pod.name): (pod, usage.time) for usage in usages.values() for pod in usage.pods}
    return [_pod_metrics(pod, *used[key]) for pod in pods if (key := (namespace_of(pod), name_of(pod))) in used]


async def node_usages(context: Context, nodes: Iterable[str]) -> dict[str, NodeUsage]:
    """By node, as far as their kubelets answer."""
    turn = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def ask(node: str) -> tuple[str, NodeUsage | None]:
        async with turn:
            try:
                kubelet = context.ref(f"{node}-kubelet/kubelet")
                return node, await context.ask(kubelet, AskNodeUsage(), timeout_s=_ANSWER_WITHIN_S)
            except (Answer, AskError) as error:
                context.log.debug("no usage of a node", node=node, error=repr(error))
                return node, None

    answers = await asyncio.gather(*map(ask, dict.fromkeys(nodes)))
    return {node: usage for node, usage in answers if usage is not None}


def _pod_metrics(pod: Object, usage: PodUsage, time: float) -> Object:
    containers = [
        {"name": each.name, "usage": usage_of(each.cpu_nano_cores, each.memory_bytes)} for each in usage.containers
    ]
    return {**measured(pod, time, usage.window_s), "containers": containers}


def measured(obj: Object, time: float, window_s: float) -> Object:
    metadata: dict[str, Any] = {"name": name_of(obj), "creationTimestamp": time_of(time)}
    if namespace_of(obj):
        metadata["namespace"] = namespace_of(obj)
    if labels_of(obj):
        metadata["labels"] = dict(labels_of(obj))
    return {"metadata": metadata, "timestamp": time_of(time), "window": f"{window_s:.3f}s"}


def usage_of(cpu_nano_cores: int, memory_bytes: int) -> Object:
    return {"cpu": f"{cpu_nano_cores}n", "memory": f"{memory_bytes // 1024}Ki"}
