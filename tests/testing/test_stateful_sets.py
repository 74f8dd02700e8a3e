"""Stateful sets in a whole cluster: scheduler, kubelets, claims and their directories, endpoints, budgets, garbage."""

from __future__ import annotations

from typing import Any

import pytest

from actorkube.testing import Cluster
from protocols.objects import Object, meta, name_of, uid_of

LABELS = {"app": "db"}


def stateful_set(replicas: int = 3, **spec: Any) -> Object:
    container = {"name": "main", "image": "none", "command": ["sleep", "1000"]}
    mounted = {**container, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db",
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [mounted]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
            **spec,
        },
    }


def headless(name: str = "db") -> Object:
    ports = [{"name": "tcp", "port": 80}]
    spec = {"clusterIP": "None", "selector": LABELS, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def budget() -> Object:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "db"}, "spec": spec}


def bound(cluster: Cluster) -> dict[str, str]:
    claims = [each for each in cluster.list("pvc") if each["status"]["phase"] == "Bound"]
    return {name_of(each): each["spec"]["volumeName"] for each in claims}


@pytest.mark.slow
def test_pods_of_a_set_have_volumes_host_names_and_places_of_their_own(cluster: Cluster) -> None:
    cluster.apply(headless())
    cluster.apply(stateful_set())
    cluster.settled()

    status = cluster.get("sts/db")["status"]
    assert (status["readyReplicas"], status["availableReplicas"], status["updatedReplicas"]) == (3, 3, 3)
    volumes = bound(cluster)
    assert sorted(volumes) == ["data-db-0", "data-db-1", "data-db-2"]
    assert len(set(volumes.values())) == 3
    [slice_] = cluster.list("endpointslices", labels="kubernetes.io/service-name=db")
    assert sorted(each["hostname"] for each in slice_["endpoints"]) == ["db-0", "db-1", "db-2"]


@pytest.mark.slow
def test_a_pod_comes_again_where_its_volume_is(cluster: Cluster) -> None:
    cluster.apply(stateful_set())
    cluster.settled()
    volumes, node = bound(cluster), cluster.get("pod/db-1")["spec"]["nodeName"]
    before = uid_of(cluster.get("pod/db-1"))
    cluster.delete("pod/db-1")
    cluster.settled()

    again = cluster.get("pod/db-1")
    assert uid_of(again) != before
    assert (again["spec"]["nodeName"], again["status"]["phase"]) == (node, "Running")
    assert bound(cluster) == volumes


@pytest.mark.slow
def test_a_set_is_scaled_rolled_and_deleted_and_its_claims_stay(cluster: Cluster) -> None:
    cluster.apply(stateful_set())
    cluster.settled()
    volumes = bound(cluster)
    cluster.patch("sts/db", {"spec": {"replicas": 1}})
    cluster.settled()
    assert [name_of(pod) for pod in cluster.list("pods")] == ["db-0"]

    image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "none:2"}]
    cluster.patch("sts/db", {"spec": {"replicas": 3}})
    cluster.patch("sts/db", image, type="json")
    cluster.settled()
    assert {pod["spec"]["containers"][0]["image"] for pod in cluster.list("pods")} == {"none:2"}
    status = cluster.get("sts/db")["status"]
    assert status["currentRevision"] == status["updateRevision"]
    assert len(cluster.list("controllerrevisions")) == 2

    cluster.delete("sts/db")
    cluster.settled()
    assert not cluster.list("pods")
    assert not cluster.list("controllerrevisions")
    assert bound(cluster) == volumes


@pytest.mark.slow
def test_claims_and_their_volumes_go_with_a_set_that_says_so(cluster: Cluster) -> None:
    cluster.apply(stateful_set(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Delete"}))
    cluster.settled()
    cluster.patch("sts/db", {"spec": {"replicas": 2}})
    cluster.settled()
    assert sorted(bound(cluster)) == ["data-db-0", "data-db-1"]

    cluster.delete("sts/db")
    cluster.settled()
    assert not cluster.list("pvc")
    assert not cluster.list("pv")


@pytest.mark.slow
def test_a_budget_counts_what_the_set_wants(cluster: Cluster) -> None:
    cluster.apply(budget())
    cluster.apply(stateful_set())
    cluster.settled()
    node = cluster.get("pod/db-2")["spec"]["nodeName"]
    cluster.kill(node)
    cluster.clock.advance(90)

    found = cluster.get("pdb/db")["status"]
    on_node = sum(pod["spec"]["nodeName"] == node for pod in cluster.list("pods"))
    assert (found["expectedPods"], found["desiredHealthy"], found["currentHealthy"]) == (3, 2, 3 - on_node)


@pytest.mark.slow
def test_a_rollout_goes_on_where_it_was_when_the_controllers_come_again(cluster: Cluster) -> None:
    cluster.apply(stateful_set(podManagementPolicy="Parallel", minReadySeconds=30))
    cluster.clock.advance(60)
    before = uid_of(cluster.get("pod/db-2"))
    image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "none:2"}]
    cluster.patch("sts/db", image, type="json")
    cluster.eventually(lambda: uid_of(cluster.get("pod/db-2")) != before)
    cluster.kill("controller-manager")
    cluster.clock.advance(60)
    images = {name_of(pod): pod["spec"]["containers"][0]["image"] for pod in cluster.list("pods")}
    assert images == {"db-0": "none", "db-1": "none", "db-2": "none:2"}

    cluster.restart("controller-manager")
    cluster.clock.advance(180)
    assert {pod["spec"]["containers"][0]["image"] for pod in cluster.list("pods")} == {"none:2"}
    assert cluster.get("sts/db")["status"]["updatedReplicas"] == 3


@pytest.mark.slow
def test_a_lost_node_holds_up_its_pods_and_no_second_one_of_a_name_is_made(cluster: Cluster) -> None:
    cluster.apply(stateful_set(2))
    cluster.settled()
    node = cluster.get("pod/db-0")["spec"]["nodeName"]
    uid = uid_of(cluster.get("pod/db-0"))
    cluster.kill(node)
    cluster.clock.advance(900)

    lost = cluster.get("pod/db-0")
    assert uid_of(lost) == uid
    assert "deletionTimestamp" in meta(lost)
