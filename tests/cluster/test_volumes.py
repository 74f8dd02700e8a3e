"""Claims on a real cluster, as kubectl sees them: a directory of a node outlives the pods that write there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cluster.live import LiveCluster

CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 0
  restartPolicy: Never
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  containers:
  - name: main
    image: none
    command: [sh, -c, "%s"]
    volumeMounts: [{name: data, mountPath: /data}]
"""


def test_what_a_pod_writes_into_its_claim_the_next_one_finds(start_cluster: Callable[..., LiveCluster]) -> None:
    cluster = start_cluster("--nodes", "2", "--etcd", "1")
    kubectl = cluster.kubectl()
    classes = kubectl("get", "storageclass", "--no-headers").split()
    assert classes[:3] == ["standard", "(default)", "directory.actorkube.dev"]

    kubectl("apply", "-f", "-", stdin=CLAIM)
    kubectl("apply", "-f", "-", stdin=POD % ("writer", "echo kept > data/file; sleep 1000"))
    kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=60s")
    claim = kubectl("get", "pvc", "data", "--no-headers").split()
    volume = claim[2]
    assert claim[1:6] == ["Bound", volume, "1Gi", "RWO", "standard"]
    table = kubectl("get", "pv", volume, "--no-headers").split()
    assert table[1:7] == ["1Gi", "RWO", "Delete", "Bound", "default/data", "standard"]
    node = kubectl("get", "pod", "writer", "-o", "jsonpath={.spec.nodeName}")
    [directory] = Path(cluster.data).rglob(f"volumes/{volume}")
    assert node in str(directory)

    kubectl("delete", "pod", "writer")
    kubectl("apply", "-f", "-", stdin=POD % ("reader", "cat data/file"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=60s")
    assert kubectl("logs", "reader") == "kept\n"
    assert kubectl("get", "pod", "reader", "-o", "jsonpath={.spec.nodeName}") == node

    kubectl("delete", "pvc", "data", "--wait=false")
    assert kubectl("get", "pvc", "data", "--no-headers").split()[1] == "Terminating"  # a pod uses it, though it is over
    kubectl("delete", "pod", "reader")
    kubectl("wait", "--for=delete", "pvc/data", f"pv/{volume}", "--timeout=60s")
    assert not directory.exists()
