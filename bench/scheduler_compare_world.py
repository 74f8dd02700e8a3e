"""Random nodes and pods that any API server takes, with what the default plugins look at."""

from __future__ import annotations

import random
from typing import Any

from bench.scheduler import HOST, ZONE
from bench.scheduler_compare_stock import POD_CLAIMS
from bench.scheduler_compare_wishes import APPS, RACK, TIERS, wishes

Object = dict[str, Any]
IMAGES = ("registry.k8s.io/pause:3.10", "example.com/big:1", "example.com/big:2", "example.com/huge")
GPU = "example.com/gpu"
_TAINTS = ("NoSchedule", "PreferNoSchedule", "PreferNoSchedule", "NoExecute")
_MIB = 1 << 20


def make_nodes(number: int, seed: int) -> list[Object]:
    draw = random.Random(f"nodes {seed}")
    return [_node(draw, f"compared-{index}", index) for index in range(number)]


def _node(draw: random.Random, name: str, index: int) -> Object:
    labels = {HOST: name, RACK: f"rack-{index % 7}", "disk": draw.choice(["ssd", "hdd"]), "age": str(draw.randrange(9))}
    if draw.random() < 0.9:
        labels[ZONE] = f"zone-{index % 3}"
    size = {"cpu": draw.choice(["2", "4", "8"]), "memory": draw.choice(["4Gi", "8Gi", "30Gi"])}
    size |= {"pods": draw.choice(["8", "20"]), "ephemeral-storage": draw.choice(["5Gi", "50Gi"])}
    if draw.random() < 0.3:
        size[GPU] = draw.choice(["1", "4"])
    if draw.random() < 0.2:
        size["hugepages-2Mi"] = "64Mi"
    taints = [
        {"key": key, "value": value, "effect": draw.choice(_TAINTS)}
        for key, value in (("kept", "for"), ("old", "very"))
        if draw.random() < 0.2
    ]
    ready = {"type": "Ready", "status": "True", "reason": "Made", "message": ""}
    held = [
        {"names": [image], "sizeBytes": size_mib * _MIB}
        for image, size_mib in zip(IMAGES, (1, 300, 310, 2000), strict=True)
        if draw.random() < 0.4
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints, "unschedulable": draw.random() < 0.05},
        "status": {"capacity": size, "allocatable": size, "conditions": [ready], "images": held},
    }


def make_pods(number: int, seed: int, scheduler: str) -> list[Object]:
    """With their claims, which are to be created before them: see `claims_for`."""
    draw = random.Random(f"pods {seed}")
    return [_pod(draw, f"compared-{index}", scheduler) for index in range(number)]


def _pod(draw: random.Random, name: str, scheduler: str) -> Object:
    containers = [_container(draw, f"c{index}") for index in range(draw.choice([1, 1, 2]))]
    spec: Object = {"schedulerName": scheduler, "containers": containers, **wishes(draw)}
    if draw.random() < 0.15:
        spec["initContainers"] = [_container(draw, "init") | draw.choice([{}, {"restartPolicy": "Always"}])]
    if draw.random() < 0.1:
        spec["runtimeClassName"] = "heavy"
    if draw.random() < 0.1:
        spec["resources"] = {"requests": draw.choice([{"cpu": "3500m", "memory": "5Gi"}, {"cpu": "3500m"}])}
    if draw.random() < 0.25:
        spec["priorityClassName"] = draw.choice(["low", "middle", "high", "polite"])
    if draw.random() < 0.25:
        spec |= draw.choice(POD_CLAIMS)(draw, name)
    labels = {"app": draw.choice(APPS), **({"tier": draw.choice(TIERS)} if draw.random() < 0.6 else {})}
    metadata = {"name": name, "namespace": draw.choice(["default", "default", "default", "other"]), "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _container(draw: random.Random, name: str) -> Object:
    requests = {"cpu": draw.choice(["50m", "200m", "1500m"]), "memory": draw.choice(["64Mi", "700Mi", "2Gi"])}
    limits: dict[str, str] = {}
    if draw.random() < 0.1:
        requests["ephemeral-storage"] = draw.choice(["1Gi", "4Gi"])
    if draw.random() < 0.07:
        limits[GPU] = draw.choice(["1", "2"])
    if draw.random() < 0.05:
        limits["hugepages-2Mi"] = "32Mi"
    container: Object = {"name": name, "image": draw.choice(IMAGES)}
    if draw.random() < 0.8 or limits:
        container["resources"] = {"requests": requests, "limits": limits}
    if draw.random() < 0.1:
        port = {"containerPort": 80, "hostPort": 8080, "protocol": draw.choice(["TCP", "TCP", "UDP"])}
        container["ports"] = [port | draw.choice([{}, {"hostIP": "10.9.9.9"}])]
    return container
