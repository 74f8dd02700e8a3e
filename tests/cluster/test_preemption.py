"""Preemption on a real cluster, as a kubectl sees it: the less important leave, the more important get their room."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.live import LiveCluster

CLASSES = """
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: vital}
value: 1000
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: modest}
value: 900
preemptionPolicy: Never
"""
FILLER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: filler}
spec:
  replicas: 3
  selector: {matchLabels: {app: filler}}
  template:
    metadata: {labels: {app: filler}}
    spec:
      containers: [{name: main, image: none, resources: {requests: {cpu: "%s"}}}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  priorityClassName: %s
  containers: [{name: main, image: none, resources: {requests: {cpu: "%s"}}}]
"""


def test_a_vital_pod_takes_the_room_of_another(start_cluster: Callable[..., LiveCluster]) -> None:
    cluster = start_cluster("--nodes", "1", "--etcd", "1", "--runtime", "sim")
    kubectl = cluster.kubectl()
    cores = int(kubectl("get", "node", "node-1", "-o", "jsonpath={.status.allocatable.cpu}").removesuffix("m"))
    third = f"{cores * 1000 * 3 // 10}m" if cores < 1000 else f"{cores * 3 // 10}m"
    kubectl("apply", "-f", "-", stdin=CLASSES)
    kubectl("apply", "-f", "-", stdin=FILLER % third)
    kubectl("rollout", "status", "deploy/filler", "--timeout=60s")

    kubectl("apply", "-f", "-", stdin=POD % ("modest", "modest", third))
    kubectl("wait", "--for=condition=PodScheduled=false", "pod/modest", "--timeout=60s")
    kubectl("apply", "-f", "-", stdin=POD % ("vital", "vital", third))
    kubectl("wait", "--for=condition=Ready", "pod/vital", "--timeout=60s")

    said = kubectl("get", "pod", "modest", "-o", "jsonpath={.status.conditions[0].message}")
    assert said.endswith("preemption: not eligible due to preemptionPolicy=Never.")
    assert kubectl("get", "pod", "vital", "-o", "jsonpath={.spec.priority}") == "1000"
    kubectl("wait", "--for=jsonpath={.status.readyReplicas}=2", "deploy/filler", "--timeout=60s")
    uid = kubectl("get", "pod", "vital", "-o", "jsonpath={.metadata.uid}")
    events = kubectl("get", "events", "--field-selector=reason=Preempted", "-o", "jsonpath={.items[*].message}")
    assert events == f"Preempted by pod {uid} on node node-1"
