"""`kubectl patch --subresource resize`: a process that runs may use more, and is not started again for it."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator

import pytest

from tests.cluster.kubectl import Kubectl, kubectl_binaries
from tests.cluster.live import LiveCluster

VERSIONS = [version for version in kubectl_binaries() if version >= "1.32"]  # that know the subresource
MI = 1 << 20
POD = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: none
    command: [sleep, "1000"]
    resources:
      requests: {cpu: 100m, memory: 64Mi}
      limits: {memory: 64Mi}
"""


@pytest.fixture(params=VERSIONS or [None])
def k(request: pytest.FixtureRequest, cluster: LiveCluster) -> Iterator[Kubectl]:
    admin = cluster.kubectl(request.param)
    namespace = f"resize-{(request.param or 'any').replace('.', '-')}"
    admin("create", "namespace", namespace)
    yield cluster.kubectl(request.param, namespace)
    admin("delete", "namespace", namespace, "--wait=true", timeout_s=120)


def resize(k: Kubectl, **resources: dict[str, str]) -> str:
    patch = {"spec": {"containers": [{"name": "main", "resources": resources}]}}
    return k("patch", "pod", "web", "--subresource=resize", "--patch", json.dumps(patch))


def limits(cluster: LiveCluster) -> list[int]:
    return [process.rlimit(resource.RLIMIT_DATA)[0] for process in cluster.container_processes("web")]


def test_a_running_pod_is_resized(k: Kubectl, cluster: LiveCluster) -> None:
    k("apply", "-f", "-", stdin=POD)
    k("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    before = limits(cluster)

    resize(k, requests={"cpu": "200m", "memory": "128Mi"}, limits={"memory": "128Mi"})
    told = "jsonpath={.status.containerStatuses[0].resources.limits.memory}=128Mi"
    k("wait", f"--for={told}", "pod/web", "--timeout=60s")
    k("wait", "--for=jsonpath={.status.observedGeneration}=2", "pod/web", "--timeout=60s")
    status = json.loads(k("get", "pod", "web", "-o", "json"))["status"]["containerStatuses"][0]

    assert (before, limits(cluster)) == ([64 * MI], [128 * MI])
    assert (status["allocatedResources"], status["restartCount"]) == ({"cpu": "200m", "memory": "128Mi"}, 0)
    events = k("get", "events", "--field-selector=involvedObject.name=web", "-o", "jsonpath={.items[*].reason}")
    assert {"ResizeStarted", "ResizeCompleted"} <= {*events.split()}


def test_what_no_node_has_is_not_given(k: Kubectl) -> None:
    k("apply", "-f", "-", stdin=POD)
    k("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")

    resize(k, requests={"cpu": "5000"})
    k("wait", "--for=condition=PodResizePending", "pod/web", "--timeout=60s")

    described = k("describe", "pod", "web")
    assert "Node didn't have enough capacity: cpu, requested: 5000000" in described
    assert "ResizeInfeasible" in described
