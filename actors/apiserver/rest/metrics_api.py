"""metrics.k8s.io, which `kubectl top` reads: what nodes and pods use now, asked of their kubelets.

In Kubernetes the metrics server serves it through an APIService; here it needs no installing. A node whose kubelet does
not answer in time is left out, as the metrics server leaves it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from actorkube.runtime import Context
from actors.apiserver.callers import Caller
from actors.apiserver.calls import Call
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.reads import Query
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.render import Renderer, Reply
from actors.apiserver.schema.resources import METRICS, Resource, find
from protocols.errors import Answer, AskError, MethodNotAllowed, NotFound
from protocols.objects import Object, labels_of, name_of, namespace_of
from protocols.rules.pods import node_of
from protocols.rules.times import time_of
from protocols.usage import AskNodeUsage, NodeUsage, PodUsage

PREFIX = "/apis/metrics.k8s.io/v1beta1/"
_ANSWER_WITHIN_S = 5.0
_ASKED_AT_ONCE = 32


class MetricsApi:
    """One request."""

    def __init__(self, context: Context, pipeline: Pipeline, caller: Caller, params: Params) -> None:
        self._context = context
        self._pipeline = pipeline
        self._caller = caller
        self._params = params

    async def answer(self, method: str, path: str, renderer: Renderer) -> Reply:
        """To somebody who may ask. Raises NotFound, MethodNotAllowed."""
        resource, namespace, name = _target(path)
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"{method} is not supported")
        objects = await self._objects(resource.plural, namespace, name)
        items = await (self._nodes(objects) if resource.plural == "nodes" else self._pods(objects))
        if name and not items:
            raise NotFound(f'{resource.group_resource} "{name}" not found', {"name": name, "kind": resource.plural})
        head = {"kind": resource.kind, "apiVersion": resource.api_version}
        if name:
            return renderer.document({**head, **items[0]})
        return renderer.document({**head, "kind": resource.list_kind, "metadata": {}, "items": items})

    async def _objects(self, plural: str, namespace: str, name: str) -> list[Object]:
        resource = find(plural)
        assert resource is not None
        call = Call(self._caller, resource, namespace)
        fields = ",".join(filter(None, (self._params.text("fieldSelector"), f"metadata.name={name}" if name else "")))
        query = Query(labels=self._params.text("labelSelector"), fields=fields)
        return [item.object() for item in (await self._pipeline.reads.list(call, query)).items]

    async def _nodes(self, nodes: list[Object]) -> list[Object]:
        usages = await node_usages(self._context, map(name_of, nodes))
        return [_node_metrics(node, usages[name_of(node)]) for node in nodes if name_of(node) in usages]

    async def _pods(self, pods: list[Object]) -> list[Object]:
        usages = await node_usages(self._context, filter(None, map(node_of, pods)))
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


def _target(path: str) -> tuple[Resource, str, str]:
    match path.removeprefix(PREFIX).rstrip("/").split("/"):
        case ["nodes" | "pods" as plural]:
            return _resource(plural), "", ""
        case ["nodes", name]:
            return _resource("nodes"), "", name
        case ["namespaces", namespace, "pods"]:
            return _resource("pods"), namespace, ""
        case ["namespaces", namespace, "pods", name]:
            return _resource("pods"), namespace, name
    raise NotFound("the server could not find the requested resource")


def _resource(plural: str) -> Resource:
    return next(resource for resource in METRICS if resource.plural == plural)


def _node_metrics(node: Object, usage: NodeUsage) -> Object:
    containers = [container for pod in usage.pods for container in pod.containers]
    window_s = max((pod.window_s for pod in usage.pods), default=0.0)
    cpu, memory = sum(each.cpu_nano_cores for each in containers), sum(each.memory_bytes for each in containers)
    return {**_measured(node, usage.time, window_s), "usage": _usage(cpu, memory)}


def _pod_metrics(pod: Object, usage: PodUsage, time: float) -> Object:
    containers = [
        {"name": each.name, "usage": _usage(each.cpu_nano_cores, each.memory_bytes)} for each in usage.containers
    ]
    return {**_measured(pod, time, usage.window_s), "containers": containers}


def _measured(obj: Object, time: float, window_s: float) -> Object:
    metadata: dict[str, Any] = {"name": name_of(obj), "creationTimestamp": time_of(time)}
    if namespace_of(obj):
        metadata["namespace"] = namespace_of(obj)
    if labels_of(obj):
        metadata["labels"] = dict(labels_of(obj))
    return {"metadata": metadata, "timestamp": time_of(time), "window": f"{window_s:.3f}s"}


def _usage(cpu_nano_cores: int, memory_bytes: int) -> Object:
    return {"cpu": f"{cpu_nano_cores}n", "memory": f"{memory_bytes // 1024}Ki"}
