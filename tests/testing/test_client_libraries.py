"""The client libraries that people write operators and their tests with, unchanged, against a live cluster.

Each does the same: a typed and a generic object, a watch, a patch, and a deployment whose pods come and go.
"""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from actorkube.testing import LiveCluster

EXAMPLE = Path(__file__).parents[2] / "examples" / "web.yaml"
pytestmark = pytest.mark.actorkube(nodes=1, etcd=1)


def library(name: str) -> Any:
    """The module; where it is not installed, the test is skipped and says so."""
    pytest.importorskip(name.partition(".")[0], reason=f"{name} is not installed (pip install actorkube[dev])")
    return importlib.import_module(name)


def config_map(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": {"app": "notes"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"x": "1"}}


def web() -> dict[str, Any]:
    manifest: dict[str, Any] = next(iter(yaml.safe_load_all(EXAMPLE.read_text())))
    manifest["metadata"]["namespace"] = "default"
    return manifest


@pytest.mark.slow
@pytest.mark.actorkube(leaks=False)  # the library keeps files of certificates open until the process ends
async def test_kubernetes_asyncio(live_cluster: LiveCluster) -> None:
    library("kubernetes_asyncio")
    from kubernetes_asyncio import client, config, dynamic, watch

    configuration = client.Configuration()
    await config.load_kube_config(str(live_cluster.kubeconfig), client_configuration=configuration)
    async with client.ApiClient(configuration) as api:
        core, apps, events = client.CoreV1Api(api), client.AppsV1Api(api), []
        await core.create_namespaced_config_map("default", config_map("typed"))
        maps = await (await dynamic.DynamicClient(api)).resources.get(api_version="v1", kind="ConfigMap")
        await maps.create(body=config_map("generic"), namespace="default")
        listed = await core.list_namespaced_config_map("default", label_selector="app=notes")
        await core.patch_namespaced_config_map("typed", "default", {"data": {"x": "2"}})
        await core.delete_namespaced_config_map("generic", "default")
        version = listed.metadata.resource_version
        async with watch.Watch() as changes:
            words = {"label_selector": "app=notes", "resource_version": version, "timeout_seconds": 60}
            async for event in changes.stream(core.list_namespaced_config_map, "default", **words):
                events.append((event["type"], event["object"].metadata.name, event["object"].data["x"]))
                if len(events) == 2:
                    break
        await apps.create_namespaced_deployment("default", web())
        async with watch.Watch() as changes:
            async for event in changes.stream(apps.list_namespaced_deployment, "default", timeout_seconds=60):
                if event["object"].status.ready_replicas == 3:
                    break
        pods = await core.list_namespaced_pod("default")
        await apps.delete_namespaced_deployment("web", "default")

    assert {item.metadata.name for item in listed.items} == {"typed", "generic"}
    assert events == [("MODIFIED", "typed", "2"), ("DELETED", "generic", "1")]
    assert [pod.status.phase for pod in pods.items] == ["Running"] * 3


@pytest.mark.filterwarnings("ignore:Kubernetes version v1.36:UserWarning")  # kr8s 0.20 knows those up to 1.35
async def test_kr8s(live_cluster: LiveCluster) -> None:
    library("kr8s")
    import kr8s.asyncio
    from kr8s.asyncio.objects import ConfigMap, Deployment, new_class

    api = await kr8s.asyncio.api(kubeconfig=str(live_cluster.kubeconfig), namespace="default")
    typed = await ConfigMap(config_map("typed"), api=api)
    await typed.create()
    generic = await new_class("ConfigMap", "v1", asyncio=True, namespaced=True)(config_map("generic"), api=api)
    await generic.create()
    listed = {found.name async for found in api.get("configmaps", label_selector="app=notes")}
    await typed.patch({"data": {"x": "2"}})
    events = []
    async with contextlib.aclosing(api.watch("configmaps", label_selector="app=notes")) as changes:
        async for kind, found in changes:
            events.append((kind, found.name))
            if kind == "ADDED" and len(events) == 2:
                await generic.delete()
            if kind == "DELETED":
                break
    deployment = await Deployment(web(), api=api)
    await deployment.create()
    await deployment.wait("condition=Available", timeout=60)
    pods = await deployment.pods()
    await deployment.delete()
    await api._session.aclose()  # the library has no public way to end its connections

    assert listed == {"typed", "generic"}
    assert typed.data == {"x": "2"}
    assert events[-1] == ("DELETED", "generic")
    assert [pod.status.phase for pod in pods] == ["Running"] * 3


def test_lightkube(live_cluster: LiveCluster) -> None:
    library("lightkube")
    from lightkube import Client, KubeConfig, codecs
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.resources.apps_v1 import Deployment
    from lightkube.resources.core_v1 import ConfigMap, Pod

    client = Client(KubeConfig.from_file(str(live_cluster.kubeconfig)), namespace="default")
    generic = create_namespaced_resource("", "v1", "ConfigMap", "configmaps")
    client.create(codecs.from_dict(config_map("typed")))
    client.create(generic(config_map("generic")))
    listed = {found.metadata.name for found in client.list(ConfigMap, labels={"app": "notes"})}
    patched = client.patch(ConfigMap, "typed", {"data": {"x": "2"}})
    events = []
    with contextlib.closing(client.watch(ConfigMap, labels={"app": "notes"})) as changes:
        for kind, found in changes:
            events.append((kind, found.metadata.name))
            if kind == "ADDED" and len(events) == 2:
                client.delete(generic, "generic")
            if kind == "DELETED":
                break
    client.create(codecs.from_dict(web()))
    client.wait(Deployment, "web", for_conditions=["Available"])
    live_cluster.eventually(lambda: client.get(Deployment, "web").status.readyReplicas == 3, within="60s")
    pods = list(client.list(Pod))
    client.delete(Deployment, "web")
    client.close()

    assert listed == {"typed", "generic"}
    assert patched.data == {"x": "2"}
    assert events[-1] == ("DELETED", "generic")
    assert [pod.status.phase for pod in pods] == ["Running"] * 3
