"""What is sent: bytes of two sizes, and a Pod of 4 KiB, as the bytes it is kept as or as the object that they mean."""

from __future__ import annotations

from typing import Any

import msgspec


def pod() -> dict[str, Any]:
    """A Pod as clusters hold them: about 4,000 bytes as MessagePack."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-7d4b9c5f6d-x2x8z",
            "namespace": "default",
            "uid": "0d1b4f3e-9f0a-4a5b-8d7e-2f6c1b9a7e55",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {f"example.com/label-{n}": f"value-{n}" for n in range(8)},
            "annotations": {f"example.com/annotation-{n}": "x" * 40 for n in range(6)},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d4b9c5f6d", "controller": True}
            ],
        },
        "spec": {
            "nodeName": "node-1",
            "serviceAccountName": "default",
            "containers": [_container(n) for n in range(3)],
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
            ],
            "volumes": [{"name": f"volume-{n}", "configMap": {"name": f"config-{n}"}} for n in range(4)],
        },
        "status": {
            "phase": "Running",
            "podIP": "127.1.0.17",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [_status(n) for n in range(3)],
        },
    }


def _container(number: int) -> dict[str, Any]:
    return {
        "name": f"container-{number}",
        "image": f"registry.example.com/team/image-{number}:1.27.3",
        "env": [{"name": f"VARIABLE_{n}", "value": "v" * 20} for n in range(6)],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "volumeMounts": [{"name": f"volume-{n}", "mountPath": f"/etc/config/{n}"} for n in range(3)],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 10},
    }


def _status(number: int) -> dict[str, Any]:
    return {
        "name": f"container-{number}",
        "ready": True,
        "restartCount": 0,
        "containerID": f"process://{number:064x}",
        "state": {"running": {"startedAt": "2026-01-01T00:00:01Z"}},
    }


POD = pod()
PAYLOADS: dict[str, Any] = {
    "100B": b"x" * 100,
    "1KiB": b"x" * 1024,
    "pod": msgspec.msgpack.encode(POD),
    "pod-decoded": POD,
}
WORDS = {"100B": "100 B", "1KiB": "1 KiB", "pod": "Pod opaque", "pod-decoded": "Pod decoded"}
