"""`why` and `whatif` on a running cluster, beside kubectl: what they say is what the scheduler did and would do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster

EXAMPLES = Path(__file__).parents[2] / "examples"
HUGE = """
apiVersion: v1
kind: Pod
metadata: {name: huge}
spec:
  containers: [{name: main, image: none, resources: {requests: {cpu: "1000"}}}]
"""


def actorkube(cluster: LiveCluster, *words: str, kubeconfig: Path | None = None) -> str:
    command = [sys.executable, "-m", "actorkube", *words, "--kubeconfig", str(kubeconfig or cluster.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=EXAMPLES.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused_message(kubectl: Kubectl, pod: str) -> str:
    """Of the event, as soon as there is one."""
    kubectl("wait", "--for=condition=PodScheduled=false", f"pod/{pod}", "--timeout=60s")
    watching = kubectl.start(
        "get", "events", "--watch", f"--field-selector=involvedObject.name={pod},reason=FailedScheduling",
        "-o", "jsonpath={.message}{'\\n'}",
    )  # fmt: skip
    try:
        assert watching.stdout is not None
        return watching.stdout.readline().strip()
    finally:
        watching.terminate()
        watching.communicate()


def test_a_waiting_and_a_placed_pod_are_explained_as_the_scheduler_decided(
    start_cluster: Callable[..., LiveCluster], tmp_path: Path
) -> None:
    config = str(EXAMPLES / "scheduler.yaml")
    cluster = start_cluster("--nodes", "3", "--etcd", "1", "--runtime", "sim", "--scheduler-config", config)
    kubectl = cluster.kubectl()
    kubectl("taint", "nodes", "node-1", "gpu=a100:NoSchedule")
    kubectl("label", "nodes", "node-2", "example.com/noise=11")
    kubectl("apply", "-f", str(EXAMPLES / "web.yaml"))
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    kubectl("apply", "-f", "-", stdin=HUGE)
    event = refused_message(kubectl, "huge")

    waits = actorkube(cluster, "why", "pod/huge").splitlines()
    found = json.loads(actorkube(cluster, "why", "huge", "-o", "json"))
    pod = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    placed = actorkube(cluster, "why", f"pod/{pod}", "--score-table").splitlines()

    assert event.startswith(
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. no new claims"
    )
    assert event == found["message"] == found["said"]
    assert event in kubectl("describe", "pod", "huge")
    assert waits[0] == "pod default/huge waits: 0 of 3 nodes will do"
    assert {each["plugin"]: each["nodes"] for each in found["refused"]} == {"TaintToleration": 1, "NodeResourcesFit": 2}
    assert found["nearest"][0]["node"] == "node-3" and found["nearest"][0]["tried"]
    assert "that QuietNodes accepts it (node(s) were too noisy)" in "\n".join(waits)
    assert any("QuietNodes" in line and "node(s) were too noisy" in line for line in placed)
    assert placed[0] == f"pod default/{pod} is on node-3, the only one of 3 nodes that will do"
    assert [line.split()[0] for line in placed[-2:]] == ["NODE", "node-3"] and "QuietNodes" in placed[-2]

    would = json.loads(actorkube(cluster, "whatif", "--pending", "-f", str(EXAMPLES / "web.yaml"), "-o", "json"))
    record = tmp_path / "state.json.gz"
    actorkube(cluster, "whatif", "--record", str(record))
    words = ["whatif", "--pending", "--add-nodes", "1", "--node-size", "cpu=2000", "--state", str(record)]
    more = actorkube(cluster, *words)

    assert {each["node"] for each in would["placed"]} == {"node-3"} and len(would["placed"]) == 3
    assert [each["pod"] for each in would["unplaced"]] == ["default/huge"]
    assert more.startswith("1 of 1 pod would find a node") and "added-1" in more


def test_any_way_that_kubectl_reaches_a_cluster_will_do(cluster: LiveCluster, tmp_path: Path) -> None:
    kubectl = cluster.kubectl()
    proxy = kubectl.start("proxy", "--port=0")
    try:
        assert proxy.stdout is not None
        address = proxy.stdout.readline().split()[-1]
        config = {
            "current-context": "proxied",
            "contexts": [{"name": "proxied", "context": {"cluster": "proxied"}}],
            "clusters": [{"name": "proxied", "cluster": {"server": f"http://{address}"}}],
        }
        (tmp_path / "proxied").write_text(json.dumps(config))

        text = actorkube(cluster, "whatif", "-f", str(EXAMPLES / "web.yaml"), kubeconfig=tmp_path / "proxied")
    finally:
        proxy.terminate()
        proxy.communicate()

    assert text.startswith("3 of 3 pods would find a node")
    assert [line.split()[0] for line in text.splitlines()[-4:]] == ["node-1", "node-2", "node-3", "all"]
