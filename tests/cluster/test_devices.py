"""The example of devices on a real cluster, as kubectl sees it: one GPU, and two pods that want it."""

from __future__ import annotations

import json
from collections.abc import Callable

from protocols.rules.device_claims import DELETE_PROTECTION
from tests.cluster.live import LiveCluster

EXAMPLE = "examples/devices.yaml"


def test_a_device_is_one_pods_at_a_time(start_cluster: Callable[..., LiveCluster]) -> None:
    kubectl = start_cluster("--nodes", "2", "--etcd", "1").kubectl()
    kubectl("apply", "-f", EXAMPLE)
    kubectl("wait", "--for=condition=Ready", "pod/first", "--timeout=60s")
    kubectl("wait", "--for=condition=PodScheduled=false", "pod/second", "--timeout=60s")

    why = kubectl("get", "pod", "second", "-o", "jsonpath={.status.conditions[?(@.type=='PodScheduled')].message}")
    assert why.startswith("0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, preemption: ")
    claims = json.loads(kubectl("get", "resourceclaims", "-o", "json"))["items"]
    [allocated] = [claim for claim in claims if "allocation" in claim.get("status", {})]
    assert allocated["metadata"]["name"].startswith("first-gpu-")
    assert allocated["metadata"]["annotations"]["resource.kubernetes.io/pod-claim-name"] == "gpu"
    assert DELETE_PROTECTION in allocated["metadata"]["finalizers"]
    [result] = allocated["status"]["allocation"]["devices"]["results"]
    assert result == {"request": "gpu", "driver": "gpu.example.com", "pool": "shared", "device": "large"}
    assert [user["name"] for user in allocated["status"]["reservedFor"]] == ["first"]
    table = kubectl("get", "resourceclaims", "--no-headers").splitlines()
    assert sorted(line.split()[1] for line in table) == ["allocated,reserved", "pending"]

    kubectl("delete", "pod", "first")
    kubectl("wait", "--for=condition=Ready", "pod/second", "--timeout=60s")
    [left] = json.loads(kubectl("get", "resourceclaims", "-o", "json"))["items"]
    assert left["metadata"]["ownerReferences"][0]["name"] == "second"

    kubectl("delete", "-f", EXAMPLE, "--ignore-not-found")
    kubectl("wait", "--for=delete", f"resourceclaim/{left['metadata']['name']}", "--timeout=60s")
