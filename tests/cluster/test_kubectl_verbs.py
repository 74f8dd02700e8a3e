"""What people do with kubectl, by every version of it: verbs, output forms, and manifests as operators ship them."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.kubectl import Kubectl, KubectlError, kubectl_binaries
from tests.cluster.live import LiveCluster

VERSIONS = list(kubectl_binaries())
MANIFESTS = Path(__file__).parent / "manifests"
MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{mode: "{}"}}
"""


@pytest.fixture(params=VERSIONS or [None])
def k(request: pytest.FixtureRequest, cluster: LiveCluster) -> Iterator[Kubectl]:
    """In a namespace of its own."""
    admin = cluster.kubectl(request.param)
    namespace = f"verbs-{(request.param or 'any').replace('.', '-')}"
    admin("create", "namespace", namespace)
    yield cluster.kubectl(request.param, namespace)
    admin("delete", "namespace", namespace, "--wait=true", timeout_s=120)


@pytest.fixture
def web(k: Kubectl) -> Kubectl:
    """Two pods of a deployment that sleep."""
    k("create", "deployment", "web", "--image=none", "--replicas=2", "--", "sleep", "1000")
    k("rollout", "status", "deploy/web", "--timeout=60s")
    return k


def test_a_deployment_is_set_rolled_and_scaled(web: Kubectl) -> None:
    k = web
    k("set", "image", "deploy/web", "*=other")
    k("set", "resources", "deploy/web", "--limits=cpu=100m,memory=64Mi")
    k("set", "env", "deploy/web", "A=B")
    k("rollout", "restart", "deploy/web")
    k("rollout", "pause", "deploy/web")
    k("rollout", "resume", "deploy/web")
    k("scale", "deploy/web", "--replicas=3")
    k("rollout", "status", "deploy/web", "--timeout=60s")
    before = k("rollout", "history", "deploy/web").strip().splitlines()
    k("rollout", "undo", "deploy/web")
    k("rollout", "status", "deploy/web", "--timeout=60s")

    container = json.loads(k("get", "deploy", "web", "-o", "json"))["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"]) == ("other", [{"name": "A", "value": "B"}])
    assert len(before) > 3 and k("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}") == "3"


def test_what_is_exposed_autoscaled_labelled_and_annotated_says_so(web: Kubectl) -> None:
    k = web
    k("expose", "deploy/web", "--port=80", "--target-port=8080")
    k("autoscale", "deploy/web", "--min=1", "--max=3", "--cpu-percent=50")
    k("label", "deploy/web", "tier=front")
    k("annotate", "deploy/web", "note=a b")
    refused = k("label", "deploy/web", "tier=back", check=False)

    assert k("get", "service", "web", "-o", "jsonpath={.spec.ports[0].targetPort}") == "8080"
    assert "Deployment/web" in k("get", "hpa", "web")
    assert "--overwrite is false" in refused
    assert k("get", "deploy", "-l", "tier=front", "-o", "name") == "deployment.apps/web\n"
    assert k("get", "deploy", "web", "-o", "jsonpath={.metadata.annotations.note}") == "a b"


@pytest.mark.parametrize(
    "form",
    [
        *("wide", "name", "json", "yaml", "jsonpath={.items[*].metadata.name}", "go-template={{len .items}}"),
        *("custom-columns=NAME:.metadata.name", "jsonpath-as-json={.items[0].kind}"),
    ],
)
def test_every_form_of_output(cluster: LiveCluster, form: str) -> None:
    for version in VERSIONS or [None]:
        assert cluster.kubectl(version)("get", "nodes", "-o", form).strip()
        assert cluster.kubectl(version)("get", "nodes", "-o", form, "--show-labels", check=False).strip()


def test_server_side_apply_says_who_owns_a_field_and_can_take_it(k: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    k(*apply, stdin=MAP.format("one"))

    with pytest.raises(KubectlError, match=r"conflict with .kubectl.: \.data\.mode"):
        k(*apply, "--field-manager=other", stdin=MAP.format("two"))
    k(*apply, "--field-manager=other", "--force-conflicts", stdin=MAP.format("two"))

    owners = json.loads(k("get", "cm", "settings", "-o", "json", "--show-managed-fields"))["metadata"]["managedFields"]
    assert [each["manager"] for each in owners if "f:data" in each["fieldsV1"]] == ["other"]
    assert k("get", "cm", "settings", "-o", "jsonpath={.data.mode}") == "two"


def test_diff_says_what_apply_would_change_and_changes_nothing(k: Kubectl) -> None:
    k("apply", "-f", "-", stdin=MAP.format("one"))
    command = [*k._command, "diff", "-f", "-"]

    same, other = (
        subprocess.run(command, input=MAP.format(mode), text=True, capture_output=True, env=k._environment, check=False)
        for mode in ("one", "two")
    )

    assert (same.returncode, same.stdout) == (0, "")
    assert other.returncode == 1 and "-  mode: one" in other.stdout and "+  mode: two" in other.stdout
    assert k("get", "cm", "settings", "-o", "jsonpath={.data.mode}") == "one"


def test_an_editor_edits(k: Kubectl, tmp_path: Path) -> None:
    k("create", "configmap", "settings", "--from-literal=mode=one")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/mode: one/mode: edited/' \"$1\"\n")
    editor.chmod(0o755)
    k._environment["EDITOR"] = str(editor)

    assert "edited" in k("edit", "configmap", "settings")
    assert k("get", "cm", "settings", "-o", "jsonpath={.data.mode}") == "edited"
    assert "no changes made" in k("edit", "configmap", "settings", check=False)


def test_explain_events_wait_and_api_resources(web: Kubectl) -> None:
    k = web
    k("wait", "deploy/web", "--for=condition=Available", "--timeout=30s")
    k("wait", "deploy/web", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=30s")
    impatient = k("wait", "deploy/web", "--for=condition=Impossible", "--timeout=1s", check=False)

    assert "Toleration" in k("explain", "pod.spec.tolerations")
    assert "ScalingReplicaSet" in k("events", "--for", "deploy/web")
    assert "ScalingReplicaSet" in k("get", "events", "--field-selector", "involvedObject.name=web")
    assert "deployments" in k("api-resources", "--api-group=apps", "-o", "wide", "--verbs=list")
    assert "metrics.k8s.io/v1beta1" in k("api-versions")
    assert "timed out waiting" in impatient


def test_top_shows_what_processes_use(web: Kubectl) -> None:
    k = web

    lines = k("top", "pods", "--containers", "--no-headers").splitlines()

    assert len(lines) == 2 and all(line.startswith("web-") and "Mi" in line for line in lines)
    assert len(k("top", "nodes", "--no-headers").splitlines()) == 3


def test_a_drain_keeps_to_the_disruption_budget(cluster: LiveCluster, web: Kubectl) -> None:
    """With one pod that may be missing a drain goes through, one after another; with none it does not."""
    k = web
    k("create", "pdb", "web", "--selector=app=web", "--min-available=1")
    k("wait", "pdb/web", "--for=jsonpath={.status.disruptionsAllowed}=1", "--timeout=30s")
    node = k("get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}")
    others = ("--pod-selector=app=web", "--ignore-daemonsets", "--delete-emptydir-data")
    try:
        drained = k("drain", node, *others, "--timeout=60s", timeout_s=90)
        k("rollout", "status", "deploy/web", "--timeout=60s")
        k("patch", "pdb", "web", "--type=merge", "-p", '{"spec": {"minAvailable": 2}}')
        k("wait", "pdb/web", "--for=jsonpath={.status.desiredHealthy}=2", "--timeout=30s")
        next_node = k("get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}")
        refused = k("drain", next_node, *others, "--timeout=3s", check=False)
        k("uncordon", next_node)
    finally:
        k("uncordon", node)

    assert "evicted" in drained and "violate the pod's disruption budget" in refused
    assert k("get", "pods", "--no-headers").count("Running") == 2


def test_taints_are_set_and_taken_away(cluster: LiveCluster) -> None:
    for version in VERSIONS or [None]:
        k = cluster.kubectl(version)
        k("taint", "node", "node-3", "test=yes:PreferNoSchedule")
        tainted = k("get", "node", "node-3", "-o", "jsonpath={.spec.taints[*].key}")
        k("taint", "node", "node-3", "test-")

        assert "test" in tainted.split()
        assert "test" not in k("get", "node", "node-3", "-o", "jsonpath={.spec.taints[*].key}").split()


def test_kubectl_proxy_opens_the_api_to_plain_http(k: Kubectl) -> None:
    running = k.start("proxy", "--port=0")
    assert running.stdout is not None
    address = running.stdout.readline().split()[-1]
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/nodes/node-1/proxy/stats/summary", timeout=30) as answer:
            summary = json.load(answer)
    finally:
        running.terminate()
        running.communicate(timeout=30)

    assert summary["node"]["nodeName"] == "node-1"


@pytest.mark.parametrize("name", sorted(path.name for path in MANIFESTS.glob("*.yaml")))
@pytest.mark.parametrize("version", VERSIONS or [None])
def test_manifests_as_people_ship_them_are_applied_changed_and_deleted(
    cluster: LiveCluster, version: str | None, name: str
) -> None:
    k = cluster.kubectl(version)
    k._command = k._command[:-2]  # they say themselves into which namespace they go
    file = str(MANIFESTS / name)
    objects = [each for each in yaml.safe_load_all(Path(file).read_text()) if each]
    kinds = {each["kind"] for each in objects}

    _until_known(k, "apply", "-f", file, "--server-side")
    k("apply", "-f", file, "--server-side", "--force-conflicts")
    again = k("apply", "-f", file)
    same = k("apply", "-f", file)

    # kubectl itself says "configured" each time for what it replaces whole: stringData, claim templates, selectors.
    assert again.count("\n") == same.count("\n") == len(objects) and same.count("unchanged") >= len(objects) - 3
    assert len(k("get", "-f", file, "-o", "name").split()) == len(objects) and len(kinds) > 4
    k("delete", "-f", file, "--ignore-not-found", timeout_s=120)


def _until_known(k: Kubectl, *arguments: str) -> None:
    """A custom resource beside its definition may be too early for kubectl's discovery: people apply again."""
    for _ in range(10):
        said = k(*arguments, check=False)
        if "no matches for kind" not in said:
            break
        time.sleep(0.2)
    k(*arguments)
