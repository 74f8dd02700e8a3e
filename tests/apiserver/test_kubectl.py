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
from tests.apiserver.custom.widgets import WIDGETS, definition, widget
from tests.apiserver.rest_client import NOW, Rest, rest
from tests.apiserver.world import deployment, service

pytestmark = pytest.mark.kubectl


def kubectls() -> list[Path]:
    found = shutil.which("kubectl")
    if found is None:
        return []
    versions = sorted(Path(found).resolve().parent.glob("kubectl.1.*"), key=lambda path: int(path.suffix[1:]))
    return [versions[0], versions[-1]] if versions else [Path(found)]


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
        text = kubeconfig(client.base, tmp_path, authority.ca_pem, admin.cert_pem, admin.key_pem)
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


async def test_pods_wait_to_be_scheduled_and_are_deleted_when_waited_for(kubectl: Kubectl) -> None:
    assert await kubectl("run", "web", "--image=example") == "pod/web created"
    assert "Pending" in await kubectl("get", "pods", "-o", "wide")
    assert await kubectl("delete", "pod", "web", "--wait=true") == 'pod "web" deleted'


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


async def test_what_may_be_done_and_by_whom(kubectl: Kubectl) -> None:
    assert await kubectl("auth", "can-i", "create", "pods") == "yes"
    assert "v1.3" in await kubectl("version")
    assert "deployments" in await kubectl("api-resources", "--api-group=apps")
    assert "Number of desired pods" in await kubectl("explain", "deploy.spec.replicas")


async def test_a_watch_prints_what_happens(kubectl: Kubectl) -> None:
    await kubectl.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})

    watching = asyncio.create_task(kubectl("get", "ns", "-w", "--request-timeout=2s", "--no-headers"))
    await kubectl("label", "ns", "team", "a=b")
    printed = await watching

    assert "team" in printed and "kube-system" in printed


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
