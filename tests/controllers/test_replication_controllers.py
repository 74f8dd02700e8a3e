"""Replication controllers in a whole cluster: kept up, scaled, drained from, and their pods go with them."""

from __future__ import annotations

from typing import Any

from actorkube.testing import Cluster


def web(replicas: int) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "template": template},
    }


def names(cluster: Cluster) -> set[str]:
    return {pod["metadata"]["name"] for pod in cluster.list("pods", labels="app=web")}


def test_as_many_pods_as_it_asks_for_whatever_happens_to_them(cluster: Cluster) -> None:
    cluster.apply(web(3))
    cluster.settled()
    before = names(cluster)
    assert len(before) == 3 and all(name.startswith("web-") for name in before)
    assert cluster.get("replicationcontroller/web")["status"]["readyReplicas"] == 3

    cluster.delete(f"pod/{min(before)}")
    cluster.settled()
    assert len(names(cluster)) == 3 and min(before) not in names(cluster)

    cluster.scale("replicationcontroller/web", 1)
    cluster.settled()
    assert len(names(cluster)) == 1

    cluster.delete("replicationcontroller/web")
    cluster.settled()
    assert names(cluster) == set()
