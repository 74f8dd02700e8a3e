"""`.../nodes/NAME/proxy/...`: what a kubelet would answer on its own port is answered here; other ports are passed on.

A kubelet listens to actors, not to HTTP. Served are the pages that tools read: healthz, pods, stats/summary,
metrics, metrics/resource.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from actorkube.runtime import Context
from actorkube.runtime.built_in import OBSERVER
from actorkube.runtime.metrics_page import ANSWER_WITHIN_S
from actorkube.runtime.tracing import NOT_FOLLOWED, because
from actors.apiserver.calls import Call
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.pod_metrics import node_usages
from actors.apiserver.reads import Query
from actors.apiserver.rest.render import Renderer, Reply
from actors.apiserver.schema.resources import find
from protocols.errors import Answer, AskError, BadRequest, MethodNotAllowed, NotFound, ServiceUnavailable
from protocols.objects import Object, name_of
from protocols.observe import AskExposition, Exposition
from protocols.rules.times import time_of
from protocols.usage import ContainerUsage, NodeUsage, PodUsage

KUBELET_PORTS = ("", "10250")


def node_address(node: Object, port: str) -> tuple[str, int]:
    """Raises BadRequest or ServiceUnavailable."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    internal = [str(each["address"]) for each in addresses if each.get("type") == "InternalIP"]
    if not internal:
        raise ServiceUnavailable(f"no preferred addresses found for node {name_of(node)}")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise BadRequest(f'invalid port "{port}"')
    return internal[0], int(port)


async def kubelet_page(
    context: Context, pipeline: Pipeline, call: Call, node: Object, method: str, path: str, renderer: Renderer
) -> Reply:
    """Raises NotFound, MethodNotAllowed, ServiceUnavailable."""
    if method not in ("GET", "HEAD"):
        raise MethodNotAllowed(f"{method} is not supported")
    match path.rstrip("/"):
        case "/healthz" | "/healthz/ping":
            await _usage(context, name_of(node))
            return Reply(b"ok", content_type="text/plain; charset=utf-8")
        case "/pods" | "/runningpods":
            return renderer.document(await _pods(pipeline, call, name_of(node)))
        case "/stats/summary":
            return renderer.document(_summary(name_of(node), await _usage(context, name_of(node))))
        case "/metrics":
            told = await _exposition(context, name_of(node))
            return Reply(told.text, content_type=told.content_type)
        case "/metrics/resource":
            from actors.apiserver.rest.usage_exposition import CONTENT_TYPE, render  # only who is asked pays for it

            return Reply(render(await _usage(context, name_of(node))), content_type=CONTENT_TYPE)
    raise NotFound(
        f"the kubelet has no page {path}: there are /healthz, /metrics, /metrics/resource, /pods and /stats/summary"
    )


async def _exposition(context: Context, node: str) -> Exposition:
    """Of the system that the kubelet lives in."""
    try:
        with because(NOT_FOLLOWED):
            return await context.ask(context.ref(f"{node}-kubelet/{OBSERVER}"), AskExposition(), ANSWER_WITHIN_S)
    except (Answer, AskError):
        raise ServiceUnavailable(f"the kubelet of node {node} does not answer") from None


async def _usage(context: Context, node: str) -> NodeUsage:
    usage = (await node_usages(context, [node])).get(node)
    if usage is None:
        raise ServiceUnavailable(f"the kubelet of node {node} does not answer")
    return usage


async def _pods(pipeline: Pipeline, call: Call, node: str) -> Object:
    resource = find("pods")
    assert resource is not None
    of_pods = replace(call, resource=resource, namespace="", name="", subresource="")
    listing = await pipeline.reads.list(of_pods, Query(fields=f"spec.nodeName={node}"))
    items = [item.object() for item in listing.items]
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


def _summary(node: str, usage: NodeUsage) -> Object:
    """stats/v1alpha1 Summary, as far as it is measured."""
    containers = [container for pod in usage.pods for container in pod.containers]
    pods = [_pod(pod, usage.time) for pod in usage.pods]
    return {"node": {"nodeName": node, **_measured(containers, usage.time, sums=False)}, "pods": pods}


def _pod(pod: PodUsage, time: float) -> Object:
    containers = [
        {"name": each.name, "startTime": time_of(each.started_at), **_measured([each], time)} for each in pod.containers
    ]
    reference = {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid}
    return {"podRef": reference, "containers": containers, **_measured(pod.containers, time)}


def _measured(containers: Sequence[ContainerUsage], time: float, sums: bool = True) -> dict[str, Any]:
    """Together. `sums`: also since they started, which for a whole node would fall when one of them ends."""
    at, memory = time_of(time), sum(each.memory_bytes for each in containers)
    cpu = {"time": at, "usageNanoCores": sum(each.cpu_nano_cores for each in containers)}
    if sums:
        cpu["usageCoreNanoSeconds"] = sum(each.cpu_ns for each in containers)
    return {"cpu": cpu, "memory": {"time": at, "workingSetBytes": memory, "rssBytes": memory}}
