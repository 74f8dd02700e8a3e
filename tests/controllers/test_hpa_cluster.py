"""An autoscaler in a whole cluster: containers use CPU as they are told, kubelets measure it, minutes pass at once."""

from __future__ import annotations

from actorkube.testing import Cluster
from protocols.objects import Object

LABELS = {"app": "web"}


def web(cpu: str) -> Object:
    container = {"name": "main", "image": "none", "resources": {"requests": {"cpu": "100m"}}}
    metadata = {"labels": LABELS, "annotations": {"actorkube.dev/sim-cpu": cpu}}
    template = {"metadata": metadata, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def autoscaler() -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    spec = {"scaleTargetRef": target, "maxReplicas": 5, "metrics": [{"type": "Resource", "resource": cpu}]}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": spec,
    }


def replicas(cluster: Cluster) -> int:
    return int(cluster.get("deploy/web")["spec"]["replicas"])


def test_replicas_follow_the_load_up_at_once_and_down_after_five_minutes(cluster: Cluster) -> None:
    cluster.apply(web("200m, 600=5m"))
    cluster.apply(autoscaler())
    cluster.eventually(lambda: replicas(cluster) == 5, within="2m")
    cluster.settled()
    assert len(cluster.list("pods", labels="app=web")) == 5

    cluster.clock.advance("14m")  # of the last pod the load ends in the eleventh minute; the window lasts five more
    assert replicas(cluster) == 5
    cluster.clock.advance("4m")
    status = cluster.get("hpa/web")["status"]
    assert (replicas(cluster), status["desiredReplicas"]) == (1, 1)
    [metric] = status["currentMetrics"]
    current = metric["resource"]["current"]
    assert current["averageValue"] in ("5m", "6m")  # what two readings of usage are apart is not exact, and rounded up
    assert f"{current['averageUtilization']}m" == current["averageValue"]


def test_an_idle_deployment_is_left_alone(cluster: Cluster) -> None:
    cluster.apply(web("50m"))
    cluster.apply(autoscaler())
    cluster.clock.advance("3m")

    conditions = {each["type"]: each["reason"] for each in cluster.get("hpa/web")["status"]["conditions"]}
    assert replicas(cluster) == 1
    assert conditions == {
        "AbleToScale": "ReadyForNewScale",
        "ScalingActive": "ValidMetricFound",
        "ScalingLimited": "DesiredWithinRange",
    }
