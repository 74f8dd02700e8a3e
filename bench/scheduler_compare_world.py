"""Random nodes and pods that any API server takes, with what the default plugins look at."""

from __future__ import annotations

import random
from typing import Any

from bench.scheduler import HOST, LATER, ZONE, spread, towards

_TAINTS = ("NoSchedule", "PreferNoSchedule", "PreferNoSchedule")
_APPS = ("web", "db")


def make_nodes(number: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(f"nodes {seed}")
    return [_node(draw, f"compared-{index}", index) for index in range(number)]


def _node(draw: random.Random, name: str, index: int) -> dict[str, Any]:
    labels = {HOST: name, ZONE: f"zone-{index % 3}", "disk": draw.choice(["ssd", "hdd"])}
    size = {"cpu": draw.choice(["2", "4", "8"]), "memory": draw.choice(["4Gi", "8Gi", "30Gi"]), "pods": "20"}
    taints = [{"key": "kept", "value": "for", "effect": draw.choice(_TAINTS)}] if draw.random() < 0.3 else []
    ready = {"type": "Ready", "status": "True", "reason": "Made", "message": ""}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints, "unschedulable": draw.random() < 0.05},
        "status": {"capacity": size, "allocatable": size, "conditions": [ready]},
    }


def make_pods(number: int, seed: int, scheduler: str) -> list[dict[str, Any]]:
    draw = random.Random(f"pods {seed}")
    return [_pod(draw, f"compared-{index}", scheduler) for index in range(number)]


def _pod(draw: random.Random, name: str, scheduler: str) -> dict[str, Any]:
    requests = {"cpu": draw.choice(["50m", "200m", "1500m"]), "memory": draw.choice(["64Mi", "700Mi", "2Gi"])}
    container: dict[str, Any] = {"name": "main", "image": "registry.k8s.io/pause:3.10"}
    if draw.random() < 0.8:
        container["resources"] = {"requests": requests}
    if draw.random() < 0.1:
        container["ports"] = [{"containerPort": 80, "hostPort": 8080}]
    spec: dict[str, Any] = {"schedulerName": scheduler, "containers": [container], **_wishes(draw)}
    metadata = {"name": name, "labels": {"app": draw.choice([*_APPS, "measured"])}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _wishes(draw: random.Random) -> dict[str, Any]:
    wishes: dict[str, Any] = {}
    if draw.random() < 0.3:
        wishes["tolerations"] = [{"key": "kept", "operator": "Exists"}]
    if draw.random() < 0.1:
        wishes["nodeSelector"] = {"disk": "ssd"}
    if draw.random() < 0.2:
        keys = draw.choice([(ZONE, 1, "DoNotSchedule"), (ZONE, 2, "ScheduleAnyway"), (HOST, 1, "ScheduleAnyway")])
        wishes["topologySpreadConstraints"] = [spread(*keys)]
    kinds = [
        towards("podAffinity", ZONE),
        towards("podAntiAffinity", HOST),
        towards("podAffinity", ZONE, weight=10),
        towards("podAntiAffinity", HOST, weight=50),
        {"nodeAffinity": {"preferredDuringScheduling" + LATER: [_prefers(draw)]}},
    ]
    if draw.random() < 0.4:
        wishes["affinity"] = draw.choice(kinds)
    return wishes


def _prefers(draw: random.Random) -> dict[str, Any]:
    expression = {"key": "disk", "operator": "In", "values": ["ssd"]}
    return {"weight": draw.choice([1, 40]), "preference": {"matchExpressions": [expression]}}
