"""The session that the README promises, typed with every kubectl that is on this machine."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kubectl import Kubectl, kubectl_binaries
from tests.cluster.live import LiveCluster

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "web.yaml")
VERSIONS = list(kubectl_binaries()) or [None]


@pytest.fixture(params=VERSIONS)
def k(request: pytest.FixtureRequest, cluster: LiveCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own."""
    version = request.param
    namespace = f"session-{str(version).replace('.', '-').replace(' ', '-').lower()}"
    cluster.kubectl(version)("create", "namespace", namespace)
    yield cluster.kubectl(version, namespace)
    cluster.kubectl(version)("delete", "namespace", namespace, "--wait=true", "--timeout=60s")


def answers(address: str, times: int) -> list[str]:
    return [urllib.request.urlopen(f"http://{address}/", timeout=10).read().decode() for _ in range(times)]


def test_the_whole_session_of_the_readme(k: Kubectl) -> None:
    nodes = k("get", "nodes", "-o", "wide")
    assert re.findall(r"^node-\d +Ready", nodes, re.M) == [f"node-{n}   Ready" for n in (1, 2, 3)]

    assert "local-a" in k("get", "nodes", "-L", "topology.kubernetes.io/zone")

    assert k("apply", "-f", EXAMPLE).splitlines() == ["deployment.apps/web created", "service/web created"]
    assert "successfully rolled out" in k("rollout", "status", "deploy/web", "--timeout=60s")
    pods = k("get", "pods", "-o", "wide").splitlines()
    assert len(pods) == 4
    assert all(re.search(r"1/1 +Running +0 ", line) for line in pods[1:])

    service = json.loads(k("get", "service", "web", "-o", "json"))
    address = f"{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"
    served_by = {re.search(r"web-[0-9a-z]+-[0-9a-z]+", text)[0] for text in answers(address, 12)}  # type: ignore[index]
    assert served_by == {line.split()[0] for line in pods[1:]}

    assert "GET /" in k("logs", "deploy/web")
    described = k("describe", "pod", pods[1].split()[0])
    assert re.search(r"^Node: +node-\d/127\.", described, re.M)
    assert re.search(r"Normal +Started .* Started container", described)
    assert re.search(r"Normal +Scheduled", k("get", "events"))

    k("scale", "deploy/web", "--replicas=10")
    k("rollout", "status", "deploy/web", "--timeout=60s")
    assert len(k("get", "pods", "--no-headers").splitlines()) >= 10
    k("set", "env", "deploy/web", "GREETING=Servus")
    assert "successfully rolled out" in k("rollout", "status", "deploy/web", "--timeout=60s")
    assert all("Servus" in text for text in answers(address, 5))
    k("set", "image", "deploy/web", "*=web:v2")
    assert "successfully rolled out" in k("rollout", "status", "deploy/web", "--timeout=60s")
    assert k("rollout", "history", "deploy/web").count("\n") >= 4
    k("rollout", "undo", "deploy/web")
    assert "successfully rolled out" in k("rollout", "status", "deploy/web", "--timeout=60s")

    k("delete", "-f", EXAMPLE)
    k("wait", "--for=delete", "pod", "--all", "--timeout=60s")
    assert k("get", "pods", check=False).strip().startswith("No resources found")


def test_a_watch_shows_pods_come(k: Kubectl) -> None:
    k("run", "before", "--image=none", "--restart=Never", "--command", "--", "sleep", "1000")
    watch = k.start("get", "pods", "--watch", "--no-headers")
    assert watch.stdout is not None
    first = watch.stdout.readline()  # the watch has begun: nothing that happens from here on is missed
    k("run", "one", "--image=none", "--restart=Never", "--command", "--", "sleep", "1000")

    seen = []
    for line in watch.stdout:
        if line.startswith("one "):
            seen.append(line.split()[2])
        if seen and seen[-1] == "Running":
            break
    watch.terminate()
    watch.stdout.close()
    watch.wait()

    assert first.startswith("before ")
    assert seen[0] in ("Pending", "ContainerCreating")
    k("delete", "pod", "before", "one", "--grace-period=1")


def test_labels_annotations_patches_and_edits_arrive(k: Kubectl) -> None:
    k("create", "configmap", "settings", "--from-literal=colour=blue")
    k("label", "configmap", "settings", "team=a")
    k("annotate", "configmap", "settings", "why=because")
    k("patch", "configmap", "settings", "--type=merge", "-p", '{"data":{"colour":"red"}}')
    k("patch", "configmap", "settings", "--type=json", "-p", '[{"op":"add","path":"/data/size","value":"9"}]')
    k("patch", "configmap", "settings", "-p", '{"data":{"shape":"round"}}')

    settings = json.loads(k("get", "configmap", "-l", "team=a", "-o", "json"))["items"][0]

    assert settings["data"] == {"colour": "red", "size": "9", "shape": "round"}
    assert settings["metadata"]["annotations"]["why"] == "because"


def test_server_side_apply_reports_conflicts_and_force_resolves_them(k: Kubectl) -> None:
    def manifest(colour: str) -> str:
        return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: owned\ndata:\n  colour: {colour}\n"

    k("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=manifest("blue"))

    refused = k("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=manifest("red"), check=False)
    k("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", stdin=manifest("red"))

    assert 'conflict with "one"' in refused
    assert k("get", "configmap", "owned", "-o", "jsonpath={.data.colour}") == "red"


def test_diff_explain_and_api_resources_work(k: Kubectl) -> None:
    difference = k("diff", "-f", EXAMPLE, check=False)

    assert "+kind: Deployment" in difference
    assert "replicas" in k("explain", "deployment.spec")
    assert re.search(r"^deployments +deploy +apps/v1 +true +Deployment", k("api-resources"), re.M)


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        ("{", "error converting YAML to JSON|error parsing"),
        ("apiVersion: v1\nkind: Gadget\nmetadata: {name: x}", 'no matches for kind "Gadget"'),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}", 'Invalid value: "Not_A_Name"'),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 70000}]}", "between 1 and 65535"),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: -1, selector: {matchLabels:"
            " {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, command: [x]}]}}}",
            "greater than or equal to 0",
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: []}", "spec.containers: Required value"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containerz: []}", 'unknown field "spec.containerz"'),
    ],
)
def test_bad_manifests_are_refused_in_kubernetes_words(cluster: LiveCluster, manifest: str, complaint: str) -> None:
    printed = cluster.kubectl()("apply", "-f", "-", stdin=manifest, check=False)

    assert re.search(complaint, printed), printed


def test_a_stale_update_is_a_conflict(cluster: LiveCluster) -> None:
    k = cluster.kubectl()
    k("create", "configmap", "contested")
    stale = k("get", "configmap", "contested", "-o", "json")
    k("label", "configmap", "contested", "a=b")

    printed = k("replace", "-f", "-", stdin=stale, check=False)

    assert "the object has been modified; please apply your changes to the latest version and try again" in printed
    k("delete", "configmap", "contested")


def test_a_pod_that_fits_nowhere_says_why(cluster: LiveCluster) -> None:
    k = cluster.kubectl()
    k("run", "giant", "--image=none", "--restart=Never", "--overrides", GIANT, "--command", "--", "sleep", "1")

    k("wait", "pod/giant", "--for=jsonpath={.status.conditions[0].reason}=Unschedulable", "--timeout=30s")
    described = k("describe", "pod", "giant")

    assert re.search(r"FailedScheduling .*0/3 nodes are available: 3 Insufficient cpu", described)
    k("delete", "pod", "giant")


GIANT = json.dumps(
    {
        "spec": {
            "containers": [
                {"name": "giant", "command": ["sleep", "1"], "resources": {"requests": {"cpu": "1000"}}},
            ]
        }
    }
)


def test_a_pod_with_neither_command_nor_image_root_says_what_to_do(cluster: LiveCluster) -> None:
    k = cluster.kubectl()
    k("run", "nginx", "--image=nginx", "--restart=Never")

    k(
        "wait",
        "pod/nginx",
        "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull",
        "--timeout=30s",
    )

    assert "command" in k("get", "pod", "nginx", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}")
    k("delete", "pod", "nginx", "--grace-period=1")


def test_clients_without_a_certificate_get_nothing_but_health(cluster: LiveCluster) -> None:
    server = json.loads(cluster.kubectl()("config", "view", "-o", "json"))["clusters"][0]["cluster"]["server"]

    def get(path: str) -> str:
        command = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"{server}{path}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert get("/healthz") == "200"
    assert get("/api/v1/secrets") in ("401", "403")
