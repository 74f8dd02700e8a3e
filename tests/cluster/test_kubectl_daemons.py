"""Daemon sets by kubectl: rolled out, changed and put back by every version of it, and drained around."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kubectl import Kubectl, kubectl_binaries
from tests.cluster.live import LiveCluster

VERSIONS = list(kubectl_binaries())
AGENT = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, annotations: {kubernetes.io/change-cause: first}}
spec:
  selector: {matchLabels: {app: agent}}
  updateStrategy: {rollingUpdate: {maxUnavailable: 2}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: agent, image: none, command: [sleep, "1000"], env: [{name: A, value: one}]}]
"""
ROLLED = ("rollout", "status", "ds/agent", "--timeout=60s")


@pytest.fixture(params=VERSIONS[-1:] or [None])
def agent(request: pytest.FixtureRequest, cluster: LiveCluster) -> Iterator[Kubectl]:
    """A daemon set that has come up, in a namespace of its own."""
    admin = cluster.kubectl(request.param)
    namespace = f"daemons-{(request.param or 'any').replace('.', '-')}"
    admin("create", "namespace", namespace)
    k = cluster.kubectl(request.param, namespace)
    k("apply", "-f", "-", stdin=AGENT)
    k(*ROLLED)
    yield k
    admin("delete", "namespace", namespace, "--wait=true", timeout_s=120)


def numbers(k: Kubectl) -> list[str]:
    """Desired, current, ready, up to date, available: as `kubectl get` prints them."""
    return k("get", "ds", "agent", "--no-headers").split()[1:6]


def nodes(k: Kubectl) -> list[str]:
    return sorted(k("get", "pods", "-l", "app=agent", "-o", "jsonpath={.items[*].spec.nodeName}").split())


@pytest.mark.parametrize("agent", VERSIONS or [None], indirect=True)
def test_a_daemon_set_is_changed_and_put_back(agent: Kubectl) -> None:
    k = agent
    assert (numbers(k), nodes(k)) == (["3"] * 5, ["node-1", "node-2", "node-3"])

    k("set", "env", "ds/agent", "A=two")
    k("annotate", "ds/agent", "kubernetes.io/change-cause=second", "--overwrite")
    k(*ROLLED)
    history = k("rollout", "history", "ds/agent")
    first = k("rollout", "history", "ds/agent", "--revision=1")
    k("rollout", "undo", "ds/agent")
    status = k(*ROLLED)
    after = k("rollout", "history", "ds/agent")

    assert [line.split()[0] for line in history.splitlines() if line[:1].isdigit()] == ["1", "2"]
    assert [line.split()[0] for line in after.splitlines() if line[:1].isdigit()] == ["2", "3"]
    assert "one" in first and 'daemon set "agent" successfully rolled out' in status
    assert k("get", "ds", "agent", "-o", "jsonpath={.spec.template.spec.containers[0].env[0].value}") == "one"
    values = k("get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].env[0].value}").split()
    assert (values, numbers(k), nodes(k)) == (["one"] * 3, ["3"] * 5, ["node-1", "node-2", "node-3"])
    assert "Created pod: agent-" in k("describe", "ds", "agent")


def test_a_restart_with_surge_replaces_every_pod(agent: Kubectl) -> None:
    k = agent
    surge = {"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "100%"}}}}
    before = set(k("get", "pods", "-o", "name").split())
    k("patch", "ds", "agent", "-p", json.dumps(surge))
    k("rollout", "restart", "ds/agent")
    k(*ROLLED)
    k("wait", *before, "--for=delete", "--timeout=30s")

    assert not before & set(k("get", "pods", "-o", "name").split())
    assert nodes(k) == ["node-1", "node-2", "node-3"]


def test_a_drain_leaves_daemons_where_they_are(agent: Kubectl) -> None:
    k = agent
    words = ("drain", "node-2", "--pod-selector=app=agent", "--timeout=30s")
    refused = k(*words, check=False)
    drained = k(*words, "--ignore-daemonsets")
    there = nodes(k)
    k("uncordon", "node-2")

    assert "cannot delete DaemonSet-managed Pods" in refused
    assert "ignoring DaemonSet-managed Pods" in drained or "drained" in drained
    assert (there, numbers(k)) == (["node-1", "node-2", "node-3"], ["3"] * 5)


def test_a_label_brings_a_daemon_and_takes_it_away(agent: Kubectl) -> None:
    k = agent
    k("patch", "ds", "agent", "-p", '{"spec": {"template": {"spec": {"nodeSelector": {"daemons": "here"}}}}}')
    k("wait", "pod", "-l", "app=agent", "--for=delete", "--timeout=30s")
    k("label", "node", "node-3", "daemons=here")
    k("wait", "ds/agent", "--for=jsonpath={.status.numberAvailable}=1", "--timeout=30s")
    there = nodes(k)
    k("label", "node", "node-3", "daemons-")
    k("wait", "pod", "-l", "app=agent", "--for=delete", "--timeout=30s")

    assert there == ["node-3"] and numbers(k)[0] == "0"


def test_a_node_that_joins_gets_its_daemon_and_one_that_is_deleted_takes_it_along(
    cluster: LiveCluster, tmp_path: Path
) -> None:
    k = cluster.kubectl()
    k("apply", "-f", "-", stdin=AGENT)
    k(*ROLLED)
    join = str(cluster.data / "join.json")
    command = [sys.executable, "-m", "actorkube", "run", "node", "--name", "node-9", "--join", join]
    node = subprocess.Popen([*command, "--data", str(tmp_path / "node")], stdout=subprocess.DEVNULL)
    try:
        k("wait", "ds/agent", "--for=jsonpath={.status.numberAvailable}=4", "--timeout=60s")
        there = nodes(k)
    finally:
        node.terminate()
        node.communicate(timeout=30)
        k("delete", "node", "node-9", check=False)
    k("wait", "ds/agent", "--for=jsonpath={.status.desiredNumberScheduled}=3", "--timeout=60s")
    after = numbers(k)
    k("delete", "ds", "agent", "--timeout=60s")

    assert there == ["node-1", "node-2", "node-3", "node-9"] and after[0] == "3"
