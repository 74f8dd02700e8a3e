"""An autoscaler through the real kubectl, in a cluster whose time is the test's: no window is waited for."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster
from tests.cluster.test_time import tell

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {actorkube.dev/sim-cpu: "200m, 600=5m"}}
    spec:
      containers: [{name: main, image: none, resources: {requests: {cpu: 100m}}}]
---
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 3
  targetCPUUtilizationPercentage: 50
"""


def columns(k: Kubectl) -> list[str]:
    """TARGETS, MINPODS, MAXPODS, REPLICAS."""
    return k("get", "hpa", "web", "--no-headers").split()[2:-1]


def test_a_stabilisation_window_is_passed_at_once(start_cluster: Callable[..., LiveCluster]) -> None:
    cluster = start_cluster("--time", "virtual", "--runtime", "sim", "--nodes", "1", "--etcd", "1")
    k = cluster.kubectl()
    tell(cluster, "time", "pause")
    k("apply", "-f", "-", stdin=MANIFEST)

    tell(cluster, "time", "advance", "2m")
    assert columns(k) == ["cpu:", "200%/50%", "1", "3", "3"]
    tell(cluster, "time", "advance", "12m")
    assert columns(k) == ["cpu:", "5%/50%", "1", "3", "3"]
    assert "ScaleDownStabilized" in k("describe", "hpa", "web")
    tell(cluster, "time", "advance", "4m")
    assert columns(k) == ["cpu:", "5%/50%", "1", "3", "1"]
    told = k("describe", "hpa", "web")
    assert "New size: 3; reason: cpu resource utilization (percentage of request) above target" in told
    assert "New size: 1; reason: All metrics below target" in told
