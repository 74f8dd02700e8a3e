"""A stateful set on a real cluster, from its first pod to the claims that it leaves, as kubectl sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.cluster.kubectl import Kubectl, kubectl_binaries
from tests.cluster.live import LiveCluster

BINARIES = list(kubectl_binaries())
VERSIONS = list(dict.fromkeys([*BINARIES[:1], *BINARIES[-1:]])) or [None]  # the oldest and the newest
MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: none
        command: [sh, -c, "echo $COLOUR >> data/colours; exec sleep 1000"]
        env: [{name: COLOUR, value: red}]
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
CLAIMS = ["data-db-0", "data-db-1", "data-db-2"]


@pytest.fixture(params=VERSIONS)
def k(request: pytest.FixtureRequest, cluster: LiveCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own."""
    version = request.param
    namespace = f"stateful-{str(version).replace('.', '-').replace(' ', '-').lower()}"
    cluster.kubectl(version)("create", "namespace", namespace)
    yield cluster.kubectl(version, namespace)
    cluster.kubectl(version)("delete", "namespace", namespace, "--wait=true", "--timeout=60s")


def rolled_out(k: Kubectl) -> str:
    return k("rollout", "status", "sts/db", "--timeout=60s")


def names(k: Kubectl, resource: str) -> list[str]:
    return k("get", resource, "-o", "jsonpath={.items[*].metadata.name}").split()


def colours(k: Kubectl) -> dict[str, str]:
    """What each pod's container was told."""
    pods = json.loads(k("get", "pods", "-l", "app=db", "-o", "json"))["items"]
    return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["env"][0]["value"] for pod in pods}


def roll_from(k: Kubectl, partition: int) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
    k("patch", "sts/db", "-p", json.dumps({"spec": {"updateStrategy": strategy}}))


def test_a_stateful_set_lives_as_its_documentation_says(k: Kubectl) -> None:
    k("apply", "-f", "-", stdin=MANIFEST)
    assert "complete" in rolled_out(k)
    assert names(k, "pods") == ["db-0", "db-1"]
    assert re.search(r"^db +2/2 ", k("get", "sts"), re.M)
    described = k("describe", "sts", "db")
    assert "Create Claim data-db-0 Pod db-0 in StatefulSet db success" in described
    assert "Create Pod db-1 in StatefulSet db successful" in described

    k("scale", "sts/db", "--replicas=3")
    rolled_out(k)
    assert names(k, "pvc") == CLAIMS
    assert {line.split()[1] for line in k("get", "pvc", "--no-headers").splitlines()} == {"Bound"}

    roll_from(k, 2)
    k("set", "env", "sts/db", "COLOUR=blue")
    assert "partitioned roll out complete: 1 new pods have been updated" in rolled_out(k)
    assert colours(k) == {"db-0": "red", "db-1": "red", "db-2": "blue"}
    roll_from(k, 0)
    assert "roll out complete: 3 new pods" in rolled_out(k)
    assert set(colours(k).values()) == {"blue"}
    assert k("exec", "db-2", "--", "cat", "data/colours").split() == ["red", "blue"]

    assert k("rollout", "history", "sts/db").count("\n") >= 4
    k("rollout", "undo", "sts/db")
    assert "roll out complete: 3 new pods" in rolled_out(k)
    assert set(colours(k).values()) == {"red"}
    assert sorted(revision_numbers(k)) == [2, 3]

    k("scale", "sts/db", "--replicas=1")
    k("wait", "--for=delete", "pod/db-1", "pod/db-2", "--timeout=60s")
    k("delete", "-f", "-", stdin=MANIFEST)
    k("wait", "--for=delete", "pod", "--all", "--timeout=60s")
    assert names(k, "pvc") == CLAIMS
    assert names(k, "controllerrevisions") == []


def revision_numbers(k: Kubectl) -> list[int]:
    return [int(n) for n in k("get", "controllerrevisions", "-o", "jsonpath={.items[*].revision}").split()]
