"""A cluster whose time is the user's, through the real kubectl: minutes pass for it while the test waits a moment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "web.yaml")
DAY_S = 86_400
Start = Callable[..., LiveCluster]
Told = Callable[..., str]


def tell(cluster: LiveCluster, *words: str) -> str:
    """What `python -m actorkube ...` prints, told which cluster by the KUBECONFIG alone."""
    command = [sys.executable, "-m", "actorkube", *words]
    environment = {"KUBECONFIG": str(cluster.kubeconfig), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def virtual(start_cluster: Start) -> LiveCluster:
    return start_cluster("--time", "virtual", "--runtime", "sim")


def pods(k: Kubectl, selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(k("get", "pods", "-l", selector, "-o", "json"))["items"]
    return found


def test_the_pods_of_a_dead_node_are_replaced_six_minutes_later(virtual: LiveCluster) -> None:
    k = virtual.kubectl()
    k("apply", "-f", EXAMPLE)
    k("rollout", "status", "deploy/web", "--timeout=60s")
    node = pods(k, "app=web")[0]["spec"]["nodeName"]

    tell(virtual, "time", "pause")
    tell(virtual, "host", "kill", node)
    tell(virtual, "time", "advance", "4m")
    assert k("get", "node", node, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}") == "Unknown"
    assert [pod for pod in pods(k, "app=web") if pod["metadata"].get("deletionTimestamp")] == []
    moved = tell(virtual, "time", "advance", "2m")
    tell(virtual, "time", "settle")

    healthy = [pod for pod in pods(k, "app=web") if pod["spec"]["nodeName"] != node]
    assert "+2m0s" in moved
    assert [pod["status"]["phase"] for pod in healthy] == ["Running"] * 3
    assert all(pod["metadata"].get("deletionTimestamp") for pod in pods(k, "app=web") if pod not in healthy)


def test_a_container_that_keeps_failing_is_restarted_ever_later(virtual: LiveCluster) -> None:
    k = virtual.kubectl()
    tell(virtual, "time", "pause")
    script = {"exit-after": "1", "exit-code": "7"}
    notes = [f"--annotations=actorkube.dev/sim-{name}={value}" for name, value in script.items()]
    k("run", "failing", "--image=none", *notes)

    restarts = []
    for _ in range(6):
        tell(virtual, "time", "advance", "100s")
        restarts.append(int(k("get", "pod", "failing", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")))

    # At once, then after 10, 20, 40, 80, 160 and always 300 s; with a second of work: at 1, 12, 33, 74, 155, 316 s.
    assert restarts == [4, 5, 5, 6, 6, 6]
    reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
    assert k("get", "pod", "failing", "-o", reason) == "CrashLoopBackOff"


def test_kubectl_waits_for_what_takes_longer_than_its_watch(virtual: LiveCluster) -> None:
    """It asks for watches of 5 to 10 minutes, and begins new ones where the old ones ended."""
    k = virtual.kubectl()
    tell(virtual, "time", "pause")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "late", "annotations": {"actorkube.dev/sim-ready-after": "900"}},
        "spec": {"containers": [{"name": "late", "image": "none", "readinessProbe": {"tcpSocket": {"port": 80}}}]},
    }
    k("apply", "-f", "-", stdin=json.dumps(pod))
    waiting = k.start("wait", "pod/late", "--for=condition=Ready", "--timeout=100s")

    tell(virtual, "time", "advance", "14m")
    assert waiting.poll() is None
    tell(virtual, "time", "advance", "2m")

    out, _ = waiting.communicate(timeout=100)
    assert (waiting.returncode, out) == (0, "pod/late condition met\n")


def test_a_cluster_a_year_ahead_is_still_trusted_and_time_does_not_go_back(start_cluster: Start) -> None:
    cluster = start_cluster("--time", "virtual", "--runtime", "sim", "--nodes", "0", "--etcd", "1")
    assert tell(cluster, "time", "advance", "1h").split("  ")[2].startswith("+1h0m0s")
    assert cluster.stop() == 0
    ahead = cluster.data / "clock"
    assert 3000 < float(ahead.read_text()) < 3700  # the hour, but for the moment that it took

    ahead.write_text(f"{400 * DAY_S}\n")
    cluster.start()

    k = cluster.kubectl()
    k("create", "configmap", "late")
    created = k("get", "configmap", "late", "-o", "jsonpath={.metadata.creationTimestamp}")
    assert created[:10] == tell(cluster, "time", "show")[:10]
    assert k("get", "configmap", "late", "--no-headers").split()[-1] in {f"{n}s" for n in range(30)}


def test_real_processes_are_given_real_time_to_answer_and_to_end(start_cluster: Start) -> None:
    """Each container is probed some 600 times in ten minutes; the first unanswered probe would be its end."""
    cluster = start_cluster("--time", "virtual", "--nodes", "1", "--etcd", "1")
    k = cluster.kubectl()
    k("apply", "-f", EXAMPLE)
    probe = {"httpGet": {"path": "/", "port": 8080}, "failureThreshold": 1, "timeoutSeconds": 5}
    alive, ready = {**probe, "initialDelaySeconds": 100}, {**probe, "periodSeconds": 1}
    container = {"name": "web", "livenessProbe": alive, "readinessProbe": ready}
    k("patch", "deploy/web", "-p", json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}}))
    k("rollout", "status", "deploy/web", "--timeout=60s")

    tell(cluster, "time", "pause")
    tell(cluster, "time", "advance", "10m")

    served = pods(k, "app=web")
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in served] == [0, 0, 0]
    assert all(pod["status"]["containerStatuses"][0]["ready"] for pod in served)

    k("delete", "pod", served[0]["metadata"]["name"], "--wait=false")
    tell(cluster, "time", "advance", "10s")
    assert served[0]["metadata"]["name"] not in {pod["metadata"]["name"] for pod in pods(k, "app=web")}
    assert len(pods(k, "app=web")) == 3
