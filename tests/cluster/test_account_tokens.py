"""A container reads the token of its service account from a projected volume, and the cluster knows it by it."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.cluster.live import LiveCluster

VOLUME = {
    "name": "identity",
    "projected": {
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]
    },
}
MOUNT = {"name": "identity", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}


def test_a_container_has_the_token_of_its_account(cluster: LiveCluster) -> None:
    k = cluster.kubectl()
    k("create", "serviceaccount", "robot")
    script = "cd var/run/secrets/kubernetes.io/serviceaccount; cat token; echo; cat namespace; echo; cat ca.crt"
    container = {
        "name": "main",
        "image": "none",
        "command": ["sh", "-c", f"{script}; sleep 1000"],
        "volumeMounts": [MOUNT],
    }
    spec = {"serviceAccountName": "robot", "containers": [container], "volumes": [VOLUME]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "with-token"}, "spec": spec}
    k("apply", "-f", "-", stdin=json.dumps(pod))
    k("wait", "pod/with-token", "--for=condition=Ready", "--timeout=60s")

    token, namespace, *certificate = k("logs", "with-token").splitlines()
    alive = review(cluster, token)
    k("delete", "pod", "with-token", "--grace-period=1", "--wait=true")
    dead = review(cluster, token)

    assert (namespace, certificate[0]) == ("default", "-----BEGIN CERTIFICATE-----")
    assert alive["user"]["username"] == "system:serviceaccount:default:robot"
    assert alive["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["with-token"]
    assert alive["user"]["extra"]["authentication.kubernetes.io/node-name"][0].startswith("node-")
    assert not dead.get("authenticated")


def review(cluster: LiveCluster, token: str) -> Any:
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    return json.loads(cluster.kubectl()("create", "-o", "json", "-f", "-", stdin=json.dumps(asked)))["status"]


def test_clients_in_a_pod_know_the_cluster_and_may_what_their_account_may(cluster: LiveCluster) -> None:
    """Nothing is asked for in the pod: its volume, the variables, and the kubeconfig in its home are just there."""
    k = cluster.kubectl()
    k("create", "namespace", "inside")
    k("create", "rolebinding", "viewer", "-n", "inside", "--clusterrole=view", "--serviceaccount=inside:default")
    python = (
        "import os; from kubernetes import client, config; config.load_config(); core = client.CoreV1Api();"
        " print([pod.metadata.name for pod in core.list_namespaced_pod('inside').items]);"
        " from kubernetes.config.incluster_config import InClusterConfigLoader as Loader;"
        f" at = os.environ['HOME'] + '{MOUNT['mountPath']}';"
        " Loader(at + '/token', at + '/ca.crt').load_and_set();"
        " print([pod.metadata.name for pod in client.CoreV1Api().list_namespaced_pod('inside').items])"
    )
    kubectl = "kubectl get pods -o name; kubectl auth whoami -o jsonpath='{.status.userInfo.username}'; echo"
    command = ["sh", "-c", f'"$PYTHON" -c "$SCRIPT" && {kubectl}']
    env = [{"name": "PYTHON", "value": sys.executable}, {"name": "SCRIPT", "value": python}]
    container = {"name": "main", "image": "none", "command": command, "env": env}
    pod: Any = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}}
    pod["spec"] = {"containers": [container], "restartPolicy": "Never"}

    k("apply", "-n", "inside", "-f", "-", stdin=json.dumps(pod))
    k("wait", "-n", "inside", "pod/client", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")

    assert k("logs", "-n", "inside", "client").splitlines() == [
        "['client']",
        "['client']",
        "pod/client",
        "system:serviceaccount:inside:default",
    ]
