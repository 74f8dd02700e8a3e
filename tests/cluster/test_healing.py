"""What breaks comes back: containers, replicas of the store, components, nodes, the whole cluster."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "web.yaml")
Start = Callable[..., LiveCluster]


def deploy(k: Kubectl) -> list[str]:
    """The names of the example's three pods, once they serve."""
    k("apply", "-f", EXAMPLE)
    k("rollout", "status", "deploy/web", "--timeout=60s")
    return k("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}").split()


def test_a_killed_container_is_restarted_and_counted(start_cluster: Start) -> None:
    cluster = start_cluster()
    k = cluster.kubectl()
    pod = deploy(k)[0]

    for process in cluster.container_processes(pod):
        process.kill()

    k("wait", f"pod/{pod}", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=60s")
    k("wait", f"pod/{pod}", "--for=condition=Ready", "--timeout=60s")
    status = json.loads(k("get", "pod", pod, "-o", "json"))["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 137
    assert len(re.findall(r"Started", k("describe", "pod", pod))) >= 1


@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_writes_go_on_when_a_replica_of_the_store_is_killed(start_cluster: Start, victim: str) -> None:
    cluster = start_cluster()
    k = cluster.kubectl()
    leader = re.search(r"leader (etcd-\d)", "\n".join(cluster.output))
    assert leader is not None
    name = leader[1] if victim == "leader" else next(n for n in ("etcd-0", "etcd-1") if n != leader[1])
    k("create", "configmap", "before", "--from-literal=a=1")

    cluster.kill(name)
    k("create", "configmap", "after", "--from-literal=a=2")

    assert k("get", "configmap", "before", "after", "-o", "jsonpath={.items[*].data.a}") == "1 2"


@pytest.mark.parametrize("component", ["apiserver", "scheduler", "controller-manager", "cloud-controller-manager"])
def test_a_killed_component_comes_back_and_the_cluster_converges(start_cluster: Start, component: str) -> None:
    cluster = start_cluster()
    k = cluster.kubectl()
    deploy(k)
    pid = cluster.pids()[component]

    cluster.kill(component)
    k("scale", "deploy/web", "--replicas=5")
    k("rollout", "status", "deploy/web", "--timeout=60s")

    assert cluster.pids()[component] != pid
    assert len(k("get", "pods", "-l", "app=web", "--no-headers").splitlines()) == 5


def test_a_killed_kubelet_comes_back_and_leaves_its_containers_running(start_cluster: Start) -> None:
    cluster = start_cluster()
    k = cluster.kubectl()
    pod = deploy(k)[0]
    node = k("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
    before = [p.pid for p in cluster.container_processes(pod)]

    cluster.kill(f"{node}-kubelet")
    k(
        "run",
        "after",
        "--image=none",
        "--restart=Never",
        f"--overrides={pinned(node)}",
        "--command",
        "--",
        "sleep",
        "100",
    )
    k("wait", "pod/after", "--for=condition=Ready", "--timeout=60s")

    assert [p.pid for p in cluster.container_processes(pod)] == before
    assert k("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"


def pinned(node: str) -> str:
    return json.dumps({"spec": {"nodeName": node}})


def test_the_pods_of_a_dead_node_are_replaced_elsewhere(start_cluster: Start) -> None:
    cluster = start_cluster("--node-monitor-grace-period", "2s", "--pod-eviction-timeout", "1s")
    k = cluster.kubectl()
    pod = deploy(k)[0]
    node = k("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
    processes = cluster.container_processes(pod)

    cluster.kill(node)

    k("wait", f"node/{node}", "--for=condition=Ready=Unknown", "--timeout=60s")
    k("wait", f"pod/{pod}", "--for=jsonpath={.metadata.deletionTimestamp}", "--timeout=60s", check=False)
    k("rollout", "status", "deploy/web", "--timeout=60s")
    taints = k("get", "node", node, "-o", "jsonpath={.spec.taints[*].key}")
    running = json.loads(k("get", "pods", "-l", "app=web", "-o", "json"))["items"]
    healthy = [p for p in running if p["spec"]["nodeName"] != node and p["status"]["phase"] == "Running"]
    assert "node.kubernetes.io/unreachable" in taints
    assert len(healthy) == 3
    assert not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_second_start_continues_from_the_data_directory(start_cluster: Start) -> None:
    cluster = start_cluster()
    k = cluster.kubectl()
    pods = deploy(k)
    k("create", "configmap", "kept", "--from-literal=a=1")
    uid = k("get", "configmap", "kept", "-o", "jsonpath={.metadata.uid}")

    assert cluster.stop() == 0
    cluster.start()

    assert k("get", "configmap", "kept", "-o", "jsonpath={.metadata.uid}") == uid
    k("wait", "pod", "-l", "app=web", "--for=condition=Ready", "--timeout=60s")
    assert set(k("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}").split()) == set(pods)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("processes", ["many", "one"])
def test_stopping_leaves_no_process_behind(start_cluster: Start, number: signal.Signals, processes: str) -> None:
    cluster = start_cluster("--processes", processes)
    deploy(cluster.kubectl())
    family = cluster.family()
    assert len(family) >= 4

    code = cluster.stop(number)

    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert code == (-signal.SIGKILL if number is signal.SIGKILL else 0)


def test_garbage_on_the_actor_port_is_logged_and_harms_nobody(start_cluster: Start) -> None:
    cluster = start_cluster()
    host, port = json.loads((cluster.data / "join.json").read_text())["apiserver"]

    with socket.create_connection((host, port)) as stranger:
        stranger.sendall(os.urandom(4096))
        stranger.settimeout(10)
        while stranger.recv(4096):
            pass

    assert "connection closed" in (cluster.data / "logs" / "apiserver.log").read_text()
    assert "node-1" in cluster.kubectl()("get", "nodes")
