"""Looking into a real cluster of many processes, and asking why, with the commands that users type."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cluster.live import LiveCluster

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "web.yaml")


def actorkube(cluster: LiveCluster, *words: str) -> str:
    command = [sys.executable, "-m", "actorkube", *words, "--kubeconfig", str(cluster.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_why_a_pod_is_there_and_what_every_actor_does(
    start_cluster: Callable[..., LiveCluster], tmp_path: Path
) -> None:
    cluster = start_cluster("--nodes", "1", "--etcd", "1", "--trace")
    kubectl = cluster.kubectl()
    kubectl("apply", "-f", EXAMPLE)
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    pod = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")

    why = actorkube(cluster, "trace", "why", f"pod/{pod}").splitlines()
    top = actorkube(cluster, "top", "--once").splitlines()
    got = actorkube(cluster, "trace", "get", "pods").splitlines()
    file = tmp_path / "spans.json"
    actorkube(cluster, "trace", "export", str(file))

    assert why[0].startswith(f"pods default/{pod} was written as revision")
    assert [line.split()[1] for line in why[1:]] == [
        "apiserver/api",
        "controller-manager/controllers",
        "apiserver/api",
        "controller-manager/controllers",
        "apiserver/api",
    ]
    assert "deployments.apps default/web" in why[-1]
    assert "kubectl" in why[-1].split()[-1]
    actors = {line.split()[0] for line in top[3:] if line}
    everybody = ["apiserver/api", "etcd-0/etcd", "scheduler/scheduler", "controller-manager/controllers"]
    everybody += ["node-1-kubelet/kubelet", "node-1-runtime/runtime", "node-1-proxy/proxy"]
    assert actors.issuperset(everybody)
    assert "GET /api/v1/namespaces/default/pods" in got[1]
    assert len(got) == 2  # who alone writes to the store asks it nothing
    assert json.loads(file.read_text())["resourceSpans"]


def test_a_read_that_has_to_ask_the_store_is_followed_there(start_cluster: Callable[..., LiveCluster]) -> None:
    cluster = start_cluster("--nodes", "0", "--etcd", "1", "--apiservers", "2")

    got = actorkube(cluster, "trace", "get", "pods").splitlines()

    assert "GET /api/v1/namespaces/default/pods" in got[1]
    assert any("etcd-0/etcd  Range" in line for line in got)


def test_a_cluster_in_one_process_is_looked_into_as_well(start_cluster: Callable[..., LiveCluster]) -> None:
    cluster = start_cluster("--nodes", "1", "--etcd", "1", "--processes", "one", "--runtime", "sim")

    before = actorkube(cluster, "trace", "on")
    top = actorkube(cluster, "top", "--once")
    off = actorkube(cluster, "trace", "off")

    assert before.startswith("8 systems begin a trace")
    assert "8 systems in 1 process, " in top
    assert off.startswith("8 systems begin no traces")
