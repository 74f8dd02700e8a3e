"""Daemon sets in a whole cluster: scheduler, kubelets, evictions and collectors do with them what they should."""

from __future__ import annotations

from typing import Any

import pytest

from actorkube.testing import Cluster
from protocols.objects import Object, name_of
from protocols.rules.conditions import condition_is
from tests.controllers.daemon_sets import daemon_set

COMMAND = {"containers": [{"name": "c", "image": "none", "command": ["sleep", "1000000"]}]}


def agent(**spec: Any) -> Object:
    return daemon_set("agent", pod=COMMAND, **spec)


def ready_nodes(cluster: Cluster) -> list[str]:
    pods = [pod for pod in cluster.list("pods", labels="app=agent") if condition_is(pod, "Ready")]
    return sorted(pod["spec"]["nodeName"] for pod in pods if "deletionTimestamp" not in pod["metadata"])


def counts(cluster: Cluster) -> tuple[int, int, int]:
    status = cluster.get("ds/agent")["status"]
    fields = ("desiredNumberScheduled", "numberReady", "updatedNumberScheduled")
    return tuple(status.get(field, 0) for field in fields)  # type: ignore[return-value]


def test_each_node_runs_one_through_a_rollout_and_all_go_with_the_set(cluster: Cluster) -> None:
    cluster.apply(agent())
    cluster.settled()
    assert ready_nodes(cluster) == ["node-1", "node-2", "node-3"] and counts(cluster) == (3, 3, 3)

    before = {name_of(pod) for pod in cluster.list("pods")}
    env = [{"op": "add", "path": "/spec/template/spec/containers/0/env", "value": [{"name": "A", "value": "B"}]}]
    cluster.patch("ds/agent", env, type="json")
    cluster.settled()
    assert ready_nodes(cluster) == ["node-1", "node-2", "node-3"] and counts(cluster) == (3, 3, 3)
    assert not before & {name_of(pod) for pod in cluster.list("pods")}
    assert len(cluster.list("controllerrevisions.apps")) == 2

    cluster.delete("ds/agent")
    cluster.settled()
    assert cluster.list("pods") == [] and cluster.list("controllerrevisions.apps") == []


@pytest.mark.slow
def test_a_dead_node_keeps_its_pod_until_it_is_back_or_deleted(cluster: Cluster) -> None:
    cluster.apply(agent())
    cluster.settled()
    (there,) = [pod for pod in cluster.list("pods") if pod["spec"]["nodeName"] == "node-2"]

    cluster.kill("node-2")
    cluster.clock.advance("10m")
    assert ready_nodes(cluster) == ["node-1", "node-3"] and counts(cluster) == (2, 2, 2)
    assert cluster.get("ds/agent")["status"]["numberMisscheduled"] == 1  # its NoSchedule taint is not tolerated
    kept = cluster.get("pod", name_of(there))
    assert "deletionTimestamp" not in kept["metadata"]  # it tolerates what others are evicted for

    cluster.restart("node-2")
    cluster.eventually(lambda: counts(cluster) == (3, 3, 3), within="2m")

    cluster.kill("node-2")
    cluster.delete("node/node-2")
    cluster.eventually(lambda: counts(cluster) == (2, 2, 2) and len(cluster.list("pods")) == 2, within="5m")


@pytest.mark.slow
def test_a_cordoned_node_keeps_and_gets_its_pod_and_one_that_is_shunned_loses_it(cluster: Cluster) -> None:
    cluster.patch("node/node-1", {"spec": {"unschedulable": True}})
    cluster.apply(agent())
    cluster.settled()
    assert ready_nodes(cluster) == ["node-1", "node-2", "node-3"]

    taints = [{"key": "mine", "value": "yes", "effect": "NoExecute"}]
    cluster.patch("node/node-3", {"spec": {"taints": taints}})
    cluster.settled()
    assert ready_nodes(cluster) == ["node-1", "node-2"] and counts(cluster) == (2, 2, 2)


@pytest.mark.slow
def test_a_node_without_room_waits_for_it(cluster: Cluster) -> None:
    """Whether there is room is the scheduler's business: the pod is there, and pending."""
    large = {"containers": [{**COMMAND["containers"][0], "resources": {"requests": {"cpu": "100"}}}]}
    cluster.apply(daemon_set("agent", pod=large))
    cluster.settled()

    assert len(cluster.list("pods")) == 3 and ready_nodes(cluster) == []
    assert counts(cluster) == (3, 0, 3)
