"""What kubectl makes, changes and takes away by itself: its generators, `set`, pruning, cascades, kustomizations."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cluster.kubectl import Kubectl, kubectl_binaries
from tests.cluster.live import LiveCluster

VERSIONS = list(kubectl_binaries())[::3]  # neighbours send the same for these
GENERATED = [
    *("role reader --verb=get --resource=pods,deployments.apps/scale", "rolebinding reads --role=reader --user=jane"),
    *("configmap settings --from-literal=a=b --append-hash", "secret generic word --from-literal=a=b"),
    "secret docker-registry login --docker-username=u --docker-password=p --docker-server=example.com",
    *("cronjob nightly --image=none --schedule=0~3~*~*~* -- true", "job once --image=none -- true"),
    *("job by-hand --from=cronjob/nightly", "deployment front --image=none --replicas=0 --port=80"),
    "ingress front --rule=example.com/*=front:80,tls=word --class=any --annotation=a=b",
    *("pdb front --selector=app=front --min-available=50%", "quota small --hard=configmaps=20,services.nodeports=3"),
    *("service clusterip inner --tcp=80:8080", "service clusterip headless --clusterip=None --tcp=80"),
    *("service externalname far --external-name=example.com", "service loadbalancer outer --tcp=80"),
    *("service nodeport node --tcp=80", "serviceaccount robot"),
]
FILES = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: {first}, labels: {{app: shop}}}}
data: {{a: b}}
---
apiVersion: v1
kind: Secret
metadata: {{name: word, labels: {{app: shop}}}}
stringData: {{a: b}}
"""


@pytest.fixture(params=VERSIONS or [None])
def k(request: pytest.FixtureRequest, cluster: LiveCluster) -> Iterator[Kubectl]:
    """In a namespace of its own."""
    admin = cluster.kubectl(request.param)
    namespace = f"making-{(request.param or 'any').replace('.', '-')}"
    admin("create", "namespace", namespace)
    yield cluster.kubectl(request.param, namespace)
    admin("delete", "namespace", namespace, "--wait=true", timeout_s=120)


def names(k: Kubectl, kinds: str, *options: str) -> set[str]:
    return {line.rpartition("/")[2] for line in k("get", kinds, "-o", "name", *options).split()}


def test_every_generator_makes_what_it_says(k: Kubectl) -> None:
    for command in GENERATED:
        said = k("create", *(word.replace("~", " ") for word in command.split()))
        assert said.endswith(" created\n"), (command, said)

    assert names(k, "services") == {"inner", "headless", "far", "outer", "node"}
    assert names(k, "jobs") == {"once", "by-hand"} and names(k, "secrets") == {"word", "login"}
    assert k("create", "token", "robot", "--duration=1h").count(".") == 2
    assert "may not specify a duration less than 10 minutes" in k(
        "create", "token", "robot", "--duration=1s", check=False
    )
    assert "settings-" in k("get", "configmaps", "-o", "name")


def test_cluster_wide_generators(cluster: LiveCluster) -> None:
    for version in VERSIONS or [None]:
        k = cluster.kubectl(version)
        made = ("clusterrole/generated", "clusterrolebinding/generated", "priorityclass/generated")
        try:
            k("create", "clusterrole", "generated", "--verb=get", "--non-resource-url=/logs/*")
            k("create", "clusterrolebinding", "generated", "--clusterrole=generated", "--group=g")
            k("create", "priorityclass", "generated", "--value=100", "--description=d")
        finally:
            assert k("delete", *made, "--ignore-not-found").count("deleted") == 3


def test_set_changes_each_part_that_it_knows(k: Kubectl) -> None:
    k("create", "deployment", "web", "--image=one", "--image=two", "--replicas=0")
    k("create", "configmap", "settings", "--from-literal=mode=fast")
    k("create", "service", "clusterip", "web", "--tcp=80")
    k("create", "serviceaccount", "robot")
    k("create", "role", "reader", "--verb=get", "--resource=pods")
    k("create", "rolebinding", "reads", "--role=reader", "--user=jane")

    k("set", "image", "deploy/web", "one=three")
    k("set", "env", "deploy/web", "--from=configmap/settings", "--prefix=APP_")
    k("set", "resources", "deploy/web", "-c=one", "--limits=cpu=1", "--requests=cpu=500m")
    k("set", "serviceaccount", "deploy/web", "robot")
    k("set", "selector", "service/web", "tier=front")
    k("set", "subject", "rolebinding/reads", "--user=joe")
    wrong = k("set", "image", "deploy/web", "nobody=1", check=False)

    spec = json.loads(k("get", "deploy", "web", "-o", "json"))["spec"]["template"]["spec"]
    first = spec["containers"][0]
    assert (first["image"], spec["serviceAccountName"]) == ("three", "robot")
    assert first["env"][0]["valueFrom"]["configMapKeyRef"] == {"name": "settings", "key": "mode"}
    assert first["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}}
    assert k("get", "service", "web", "-o", "jsonpath={.spec.selector}") == '{"tier":"front"}'
    assert {each["name"] for each in json.loads(k("get", "rolebinding", "reads", "-o", "json"))["subjects"]} == {
        *("jane", "joe"),
    }
    assert 'unable to find container named "nobody"' in wrong


def test_what_is_applied_no_more_is_pruned(k: Kubectl) -> None:
    apply = ("apply", "--prune", "-l", "app=shop", "--prune-allowlist=core/v1/ConfigMap", "-f", "-")
    k(*apply, stdin=FILES.format(first="old"))

    said = k(*apply, stdin=FILES.format(first="new"))

    assert "configmap/old pruned" in said
    assert names(k, "configmaps,secrets", "-l", "app=shop") == {"new", "word"}


def test_a_set_of_applied_objects_is_kept_by_its_parent(k: Kubectl) -> None:
    k._environment["KUBECTL_APPLYSET"] = "true"
    apply = ("apply", "--prune", "--applyset=shop", "-f", "-")
    k(*apply, stdin=FILES.format(first="old"))

    said = k(*apply, stdin=FILES.format(first="new"))

    parent = json.loads(k("get", "secret", "shop", "-o", "json"))["metadata"]
    assert "configmap/old pruned" in said and names(k, "configmaps", "-l", "app=shop") == {"new"}
    assert any(key.startswith("applyset.kubernetes.io/contains-group-") for key in parent["annotations"])


def test_replace_may_delete_first_and_needs_something_to_replace(k: Kubectl) -> None:
    k("create", "-f", "-", stdin=FILES.format(first="a"))
    before = k("get", "cm", "a", "-o", "jsonpath={.metadata.uid}")

    k("replace", "-f", "-", stdin=FILES.format(first="a"))
    same = k("get", "cm", "a", "-o", "jsonpath={.metadata.uid}")
    k("replace", "--force", "-f", "-", stdin=FILES.format(first="a"))
    other = k("get", "cm", "a", "-o", "jsonpath={.metadata.uid}")
    missing = k("replace", "-f", "-", stdin=FILES.format(first="b"), check=False)

    assert before == same != other and "(NotFound)" in missing and 'configmaps "b" not found' in missing


def test_a_cascade_takes_or_leaves_what_is_owned(k: Kubectl) -> None:
    k("create", "deployment", "web", "--image=none", "--", "sleep", "1000")
    k("rollout", "status", "deploy/web", "--timeout=60s")

    k("delete", "deploy", "web", "--cascade=orphan")
    orphans = names(k, "replicasets")
    k("delete", "replicasets", "--all", "--cascade=foreground", "--timeout=60s", timeout_s=90)

    assert len(orphans) == 1 and names(k, "replicasets,pods") == set()


def test_a_kustomization_is_applied_compared_and_deleted(k: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "objects.yaml").write_text(FILES.format(first="a"))
    (tmp_path / "kustomization.yaml").write_text(
        "namePrefix: my-\nresources: [objects.yaml]\nconfigMapGenerator: [{name: made, literals: [a=b]}]\n"
    )
    k("apply", "-k", str(tmp_path))
    made = names(k, "configmaps")

    assert {"my-a"} < made and any(name.startswith("my-made-") for name in made)
    assert k("diff", "-k", str(tmp_path)) == ""
    assert k("delete", "-k", str(tmp_path)).count(" deleted") == 3


def test_subresources_are_patched_and_read_on_their_own(k: Kubectl) -> None:
    k("create", "deployment", "web", "--image=none", "--replicas=0")

    k("patch", "deploy", "web", "--subresource=scale", "--type=merge", "-p", '{"spec": {"replicas": 1}}')
    status = {"status": {"conditions": [{"type": "Tested", "status": "True"}]}, "spec": {"replicas": 9}}
    k("patch", "deploy", "web", "--subresource=status", "--type=strategic", "-p", json.dumps(status))

    assert k("get", "deploy", "web", "--subresource=scale", "-o", "jsonpath={.kind} {.spec.replicas}") == "Scale 1"
    assert "Tested" in k("get", "deploy", "web", "--subresource=status", "-o", "json")


def test_roles_are_reconciled_and_asked_about(k: Kubectl) -> None:
    namespace = k._command[-1]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
    }
    k("create", "role", "r", "--verb=get", "--resource=pods")
    k("create", "rolebinding", "r", "--role=r", "--user=jane")

    said = k("auth", "reconcile", "--remove-extra-permissions", "-f", "-", stdin=json.dumps(role), check=False)
    listed = k("auth", "can-i", "--list", "--as=jane")

    assert "missing rules added" in said and "extra rules removed" in said
    assert "secrets" in listed and "pods" not in listed
    assert k("auth", "can-i", "get", "pods", "--as=jane", check=False).startswith("no")


def test_a_certificate_is_asked_for_approved_and_issued(k: Kubectl) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bob")])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    name = f"bob-{k._command[-1]}"
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(asked.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    }
    k("create", "-f", "-", stdin=json.dumps(request))
    try:
        pending = k("get", "csr", name, "--no-headers")
        k("certificate", "approve", name)
        k("wait", f"csr/{name}", "--for=jsonpath={.status.conditions[0].type}=Approved", "--timeout=30s")
        late = k("certificate", "deny", name, check=False)
    finally:
        k("delete", "csr", name)

    assert "Pending" in pending and "is already Approved" in late


def test_pods_and_nodes_are_debugged_in_copies(k: Kubectl) -> None:
    k("run", "web", "--image=none", "--command", "--", "sleep", "1000")
    k("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")

    k("debug", "web", "--image=none", "--copy-to=copy", "--share-processes", "--", "sleep", "1000")
    k("debug", "web", "--copy-to=changed", "--set-image=*=other")
    k("debug", "node/node-1", "--image=none", "--", "sleep", "1000")
    k("wait", "pod/copy", "--for=condition=Ready", "--timeout=60s")

    pods = {each["metadata"]["name"]: each["spec"] for each in json.loads(k("get", "pods", "-o", "json"))["items"]}
    (of_node,) = (spec for name, spec in pods.items() if name.startswith("node-debugger-node-1-"))
    assert len(pods["copy"]["containers"]) == 2 and pods["copy"]["shareProcessNamespace"]
    assert [each["image"] for each in pods["changed"]["containers"]] == ["other"]
    assert (of_node["nodeName"], of_node["hostPID"]) == ("node-1", True)


def test_objects_are_explained_sorted_and_waited_for(k: Kubectl) -> None:
    k("create", "configmap", "b", "--from-literal=a=b")
    k("create", "configmap", "a", "--from-literal=a=b")

    by_age = k("get", "configmaps", "-o", "name", "--sort-by=.metadata.creationTimestamp")
    wrong = k("get", "configmaps", "-o", "name", "--sort-by=.metadata.nothing", check=False)

    assert set(by_age.split()) >= {"configmap/a", "configmap/b"}
    assert "couldn't find any field with path" in wrong
    assert "tolerationSeconds" in k("explain", "pods", "--recursive")
    assert "FIELDS:" in k("explain", "pod.spec.containers", "--output=plaintext-openapiv2")
    k("delete", "configmap", "a", "--wait=false")
    k("wait", "configmap/a", "--for=delete", "--timeout=30s")
