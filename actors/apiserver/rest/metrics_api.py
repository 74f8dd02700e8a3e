"""metrics.k8s.io, which `kubectl top` reads: what nodes and pods use now, asked of their kubelets.

In Kubernetes the metrics server serves it through an APIService; here it needs no installing.
"""

from __future__ import annotations

from actorkube.runtime import Context
from actors.apiserver.callers import Caller
from actors.apiserver.calls import Call
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.pod_metrics import measured, metrics_of_pods, node_usages, usage_of
from actors.apiserver.reads import Query
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.render import Renderer, Reply
from actors.apiserver.schema.resources import METRICS, Resource, find
from protocols.errors import MethodNotAllowed, NotFound
from protocols.objects import Object, name_of
from protocols.usage import NodeUsage

PREFIX = "/apis/metrics.k8s.io/v1beta1/"


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
        items = await (self._nodes(objects) if resource.plural == "nodes" else metrics_of_pods(self._context, objects))
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
    return {**measured(node, usage.time, window_s), "usage": usage_of(cpu, memory)}
