"""Real kubectls, old and new, in a session with the API server alone: all that it answers without controllers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorkube.cli.kubeconfig import kubeconfig
from actors.apiserver.tls import Authority
from tests.apiserver.aggregation.orchard import SERVICES, Orchard, api_service, available
from tests.apiserver.custom.widgets import WIDGETS, definition, widget
from tests.apiserver.rest_client import NOW, Rest, rest
from tests.apiserver.rules.minimal import minimal_of
from tests.apiserver.tls_server import behind_service, serving
from tests.apiserver.world import deployment, service
from tests.effort import QUICK

pytestmark = pytest.mark.kubectl


def kubectls() -> list[Path]:
    found = shutil.which("kubectl")
    if found is None:
        return []
    versions = sorted(Path(found).resolve().parent.glob("kubectl.1.*"), key=lambda path: int(path.suffix[1:]))
    return [versions[0], versions[-1]][QUICK:] if versions else [Path(found)]


def _actions(*actions: str) -> str:
    return json.dumps({"spec": {"validationActions": actions}})


class Kubectl:
    def __init__(self, path: Path, directory: Path, client: Rest) -> None:
        self._path = path
        self._directory = directory
        self.client = client

    async def __call__(self, *arguments: str, stdin: object = None) -> str:
        """What it prints, on both streams; its exit code in front when that is not 0."""
        environment = os.environ | {"KUBECONFIG": str(self._directory / "config"), "HOME": str(self._directory)}
        process = await asyncio.create_subprocess_exec(
            str(self._path),
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate(json.dumps(stdin).encode() if stdin is not None else None)
        text = output.decode().strip()
        return text if process.returncode == 0 else f"{process.returncode}: {text}"


@pytest.fixture(params=kubectls(), ids=lambda path: path.name)
async def kubectl(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with rest(tmp_path) as client:
        authority = Authority(tmp_path / "pki", NOW)
        admin = authority.admin()
        text = kubeconfig([client.base], tmp_path, authority.ca_pem, admin.cert_pem, admin.key_pem)
        (tmp_path / "config").write_text(text)
        yield Kubectl(request.param, tmp_path, client)


async def test_a_deployment_is_applied_changed_scaled_and_deleted(kubectl: Kubectl) -> None:
    manifest = {"apiVersion": "v1", "kind": "List", "items": [deployment("web"), service("web", "NodePort")]}

    assert "deployment.apps/web created" in await kubectl("apply", "-f", "-", stdin=manifest)
    assert "deployment.apps/web unchanged" in await kubectl("apply", "-f", "-", stdin=manifest)
    manifest["items"][0]["spec"]["replicas"] = 4
    assert "deployment.apps/web configured" in await kubectl("apply", "-f", "-", stdin=manifest)
    assert await kubectl("scale", "deploy/web", "--replicas=10") == "deployment.apps/web scaled"
    assert await kubectl("set", "image", "deploy/web", "main=other") == "deployment.apps/web image updated"
    assert await kubectl("set", "env", "deploy/web", "A=b") == "deployment.apps/web env updated"
    assert "0/10" in await kubectl("get", "deploy", "web", "--no-headers")
    stored = (await kubectl.client.get("/apis/apps/v1/namespaces/default/deployments/web")).json
    container = stored["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"]) == ("other", [{"name": "A", "value": "b"}])
    assert "serverside-applied" in await kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest
    )
    assert 'deployment.apps "web" deleted' in await kubectl("delete", "-f", "-", stdin=manifest)
    assert "NotFound" in await kubectl("get", "deploy", "web")


@pytest.mark.slow
async def test_a_deployment_is_autoscaled_whichever_version_kubectl_speaks(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=deployment("web"))

    made = await kubectl("autoscale", "deploy/web", "--min=2", "--max=5", "--cpu-percent=70")
    listed = await kubectl("get", "hpa", "web", "--no-headers")
    old = json.loads(await kubectl("get", "horizontalpodautoscalers.v1.autoscaling", "web", "-o", "json"))
    old["spec"]["maxReplicas"] = 7
    await kubectl("replace", "-f", "-", stdin=old)
    new = (await kubectl.client.get("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/web")).json

    assert made == "horizontalpodautoscaler.autoscaling/web autoscaled"
    assert "Deployment/web" in listed and "70%" in listed
    assert old["spec"]["targetCPUUtilizationPercentage"] == 70
    target = {"type": "Utilization", "averageUtilization": 70}
    assert new["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    assert (new["spec"]["minReplicas"], new["spec"]["maxReplicas"]) == (2, 7)
    assert "targetCPUUtilizationPercentage" in await kubectl("explain", "--api-version=autoscaling/v1", "hpa.spec")


@pytest.mark.slow
async def test_objects_are_labelled_annotated_patched_and_described(kubectl: Kubectl) -> None:
    assert await kubectl("create", "cm", "settings", "--from-literal=a=b") == "configmap/settings created"
    assert await kubectl("label", "cm", "settings", "app=web") == "configmap/settings labeled"
    await kubectl("annotate", "cm", "settings", "note=x")
    patch = '[{"op":"add","path":"/data/z","value":"1"}]'
    assert await kubectl("patch", "cm", "settings", "--type=json", "-p", patch) == "configmap/settings patched"
    described = await kubectl("describe", "cm", "settings")

    assert all(words in described for words in ("app=web", "note: x", "z:"))
    assert await kubectl("get", "cm", "-l", "app=web", "-o", "name") == "configmap/settings"
    assert await kubectl("delete", "cm", "-l", "app=web") == 'configmap "settings" deleted'


@pytest.mark.slow
async def test_pods_wait_to_be_scheduled_and_are_deleted_when_waited_for(kubectl: Kubectl) -> None:
    assert await kubectl("run", "web", "--image=example") == "pod/web created"
    assert "Pending" in await kubectl("get", "pods", "-o", "wide")
    assert await kubectl("delete", "pod", "web", "--wait=true") == 'pod "web" deleted'


@pytest.mark.slow
async def test_mistakes_are_named_in_kubernetes_words(kubectl: Kubectl) -> None:
    wrong_type = {**deployment("web"), "spec": {**deployment("web")["spec"], "replicas": "x"}}
    bad_name = {**deployment("web"), "metadata": {"name": "Not-A-Name"}}
    unknown = {**deployment("web"), "kind": "Deploymant"}

    refusals = [await kubectl("create", "-f", "-", "--validate=false", stdin=obj) for obj in (wrong_type, bad_name)]

    assert (
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32" in refusals[0]
    )
    assert 'The Deployment "Not-A-Name" is invalid: metadata.name: Invalid value: "Not-A-Name"' in refusals[1]
    assert "no matches for kind" in await kubectl("create", "-f", "-", stdin=unknown)
    assert "doesn't have a resource type" in await kubectl("get", "gadgets")
    assert "field label not supported" in await kubectl("get", "pods", "--field-selector", "spec.color=red")
    assert "already exists" in await kubectl("create", "ns", "default")
    assert "forbidden" in (await kubectl("delete", "ns", "kube-system")).lower()


@pytest.mark.slow
async def test_what_may_be_done_and_by_whom(kubectl: Kubectl) -> None:
    assert await kubectl("auth", "can-i", "create", "pods") == "yes"
    assert "v1.3" in await kubectl("version")
    assert "deployments" in await kubectl("api-resources", "--api-group=apps")
    assert "Number of desired pods" in await kubectl("explain", "deploy.spec.replicas")


@pytest.mark.slow
async def test_a_watch_prints_what_happens(kubectl: Kubectl) -> None:
    await kubectl.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})

    watching = asyncio.create_task(kubectl("get", "ns", "-w", "--request-timeout=2s", "--no-headers"))
    await kubectl("label", "ns", "team", "a=b")
    printed = await watching

    assert "team" in printed and "kube-system" in printed


@pytest.mark.slow
async def test_a_namespace_with_a_quota_limits_and_a_level_of_security(kubectl: Kubectl) -> None:
    level = "pod-security.kubernetes.io/enforce=baseline"
    hardened = {"containers": [{"name": "main", "image": "i", "securityContext": {"privileged": True}}]}
    bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": hardened}
    assert (
        await kubectl("create", "quota", "small", "--hard=pods=1,count/configmaps=9") == "resourcequota/small created"
    )
    await kubectl("run", "first", "--image=i")

    refused = await kubectl("run", "second", "--image=i")
    described = await kubectl("describe", "quota", "small")
    await kubectl("delete", "quota", "small")
    await kubectl("apply", "-f", "-", stdin=bad)
    labelled = await kubectl("label", "ns", "default", level)
    forbidden = await kubectl("apply", "-f", "-", stdin={**bad, "metadata": {"name": "worse"}})

    exceeded = "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"
    assert f'pods "second" is forbidden: {exceeded}' in refused
    assert ["pods", "1", "1"] in [line.split() for line in described.splitlines()]
    assert 'Warning: existing pods in namespace "default" violate the new PodSecurity enforce level' in labelled
    assert "Warning: bad: privileged" in labelled
    assert 'violates PodSecurity "baseline:latest": privileged (container "main" must not' in forbidden


@pytest.mark.slow
async def test_a_policy_warns_and_refuses_and_a_rule_of_a_definition_too(kubectl: Kubectl) -> None:
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments"],
    }
    few = {"expression": "object.spec.replicas <= 5", "message": "five are enough"}
    registration = "admissionregistration.k8s.io/v1"
    policy = {
        "apiVersion": registration,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "few"},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [few]},
    }
    binding = {
        "apiVersion": registration,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "few"},
        "spec": {"policyName": "few", "validationActions": ["Deny"]},
    }
    defined = definition()
    schema = defined["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    ruled = {"x-kubernetes-validations": [{"rule": "self.replicas != 7", "message": "not seven"}]}
    schema["properties"] = {**schema["properties"], "spec": {**schema["properties"]["spec"], **ruled}}
    items = {"apiVersion": "v1", "kind": "List", "items": [policy, binding, defined]}

    assert "created" in await kubectl("apply", "-f", "-", stdin=items)
    await kubectl("wait", "--for=condition=Established", f"crd/{WIDGETS}", "--timeout=20s")
    listed = await kubectl("get", "validatingadmissionpolicies")
    refused = await kubectl("create", "deployment", "web", "--image=i", "--replicas=6")
    await kubectl("patch", "validatingadmissionpolicybinding", "few", "--type=merge", "-p", _actions("Warn"))
    warned = await kubectl("create", "deployment", "web", "--image=i", "--replicas=6")
    seven = await kubectl("apply", "-f", "-", stdin=widget(replicas=7))

    assert listed.split()[:4] == ["NAME", "VALIDATIONS", "PARAMKIND", "AGE"]
    assert "ValidatingAdmissionPolicy 'few' with binding 'few' denied request: five are enough" in refused
    assert (
        "Warning: Validation failed for ValidatingAdmissionPolicy 'few' with binding 'few': five are enough" in warned
    )
    assert "deployment.apps/web created" in warned
    assert "spec: Invalid value" in seven and "not seven" in seven


@pytest.mark.slow
async def test_a_kind_that_is_defined_is_served_like_any_other(kubectl: Kubectl) -> None:
    assert "created" in await kubectl("apply", "-f", "-", stdin=definition())
    assert "condition met" in await kubectl("wait", "--for=condition=Established", f"crd/{WIDGETS}", "--timeout=20s")
    assert "widget.shop.example.com/one created" in await kubectl("apply", "-f", "-", stdin=widget())
    assert "configured" in await kubectl("apply", "-f", "-", stdin=widget(replicas=2))
    assert await kubectl("scale", "wd/one", "--replicas=3") == "widget.shop.example.com/one scaled"
    listed = await kubectl("get", "widgets")
    in_all = await kubectl("get", "all")
    explained = await kubectl("explain", "widget.spec.color")
    refused = await kubectl("apply", "-f", "-", stdin=widget(color="blue"))
    unknown = await kubectl("apply", "--validate=strict", "-f", "-", stdin=widget(odd=1))
    applied = await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=widget(replicas=4))
    deleted = await kubectl("delete", "crd", WIDGETS)

    assert listed.split()[:4] == ["NAME", "COLOR", "READY", "AGE"]
    assert "widget.shop.example.com/one" in in_all
    assert "How it looks." in explained
    assert 'spec.color: Unsupported value: "blue"' in refused
    assert 'unknown field "spec.odd"' in unknown
    assert "serverside-applied" in applied
    assert "deleted" in deleted
    assert "NotFound" in await kubectl("get", "widgets")


@pytest.mark.slow
async def test_what_another_server_serves_is_got_like_the_rest(kubectl: Kubectl, tmp_path: Path) -> None:
    orchard, client = Orchard(), kubectl.client
    trusted = client.config.proxy_ca_file
    async with serving(tmp_path / "orchard", orchard.serve, "orchard.default.svc", callers=trusted) as server:
        await behind_service(client, "orchard", server.port)
        await client.create(SERVICES, api_service(server))
        await available(client, "v1.fruit.example.com", "True")

        apples = await kubectl("get", "ap", "--no-headers", "-o", "name")
        kinds = await kubectl("api-resources", "--api-group=fruit.example.com", "--no-headers")
        services = await kubectl("get", "apiservices", "v1.fruit.example.com", "v1.apps", "--no-headers")
        missing = await kubectl("get", "apples", "gala")

    assert apples.splitlines() == ["apple.fruit.example.com/boskoop", "apple.fruit.example.com/elstar"]
    assert kinds.split() == ["apples", "ap", "fruit.example.com/v1", "true", "Apple"]
    rows = [row.split()[:3] for row in services.splitlines()]
    assert rows == [["v1.fruit.example.com", "default/orchard", "True"], ["v1.apps", "Local", "True"]]
    assert missing.startswith("1: ") and "no such fruit" in missing


@pytest.mark.slow
async def test_devices_are_described_claimed_and_shown(kubectl: Kubectl) -> None:
    kinds = ("DeviceClass", "ResourceSlice", "ResourceClaim", "VolumeAttributesClass", "ServiceCIDR", "IPAddress")
    manifest = {"apiVersion": "v1", "kind": "List", "items": [minimal_of(kind) for kind in kinds]}

    applied = await kubectl("apply", "-f", "-", stdin=manifest)
    resources = await kubectl("api-resources", "--api-group=resource.k8s.io", "--no-headers")
    claims = await kubectl("get", "resourceclaims", "--no-headers")
    slices = await kubectl("get", "resourceslices", "--field-selector=spec.nodeName=node-1", "--no-headers")
    classes = await kubectl("get", "vac", "--no-headers")
    addresses = await kubectl("get", "ip", "10.8.0.7", "--no-headers")
    changed = await kubectl("patch", "vac", "a", "--type=merge", "-p", '{"parameters": {"iops": "1"}}')

    assert [line.split()[-1] for line in applied.splitlines()] == ["created"] * len(kinds), applied
    assert [line.split()[-1] for line in resources.splitlines()] == [
        "DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice",
    ]  # fmt: skip
    assert claims.split()[:2] == ["a", "pending"]
    assert slices.split()[:4] == ["a", "node-1", "gpu.example.com", "node-1"]
    assert classes.split()[:2] == ["a", "disk.example.com"]
    assert addresses.split() == ["10.8.0.7", "services/default/a"]
    assert changed.endswith("parameters: Forbidden: updates to parameters are forbidden.")
