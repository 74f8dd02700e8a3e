"""What admission makes of new objects, and what it refuses, through the actor door of a server with a real store."""

from __future__ import annotations

from typing import Any

import pytest

from protocols.errors import Forbidden
from protocols.objects import Object
from tests.apiserver.world import World, pod


def limit_range(**item: Any) -> Object:
    head = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits", "namespace": "default"}}
    return {**head, "spec": {"limits": [{"type": "Container", **item}]}}


def asking(name: str, requests: Object | None = None, limits: Object | None = None) -> Object:
    made = pod(name)
    resources = {key: value for key, value in (("requests", requests), ("limits", limits)) if value is not None}
    made["spec"]["containers"][0]["resources"] = resources
    return made


def storage_class(name: str, default: str = "true") -> Object:
    annotations = {"storageclass.kubernetes.io/is-default-class": default}
    head = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.com/none"}
    return {**head, "metadata": {"name": name, "annotations": annotations}}


def claim(name: str, size: str = "1Gi", **spec: Any) -> Object:
    metadata = {"name": name, "namespace": "default"}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def priority_class(name: str, value: int, **more: Any) -> Object:
    head = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    return {**head, "metadata": {"name": name}, "value": value, **more}


# -- limit ranges -----------------------------------------------------------------------------------------------------


async def test_a_limit_range_says_what_containers_do_not(api: World) -> None:
    await api.create(
        "limitranges", limit_range(default={"cpu": "500m"}, defaultRequest={"cpu": "100m", "memory": "1Gi"})
    )

    created = await api.create("pods", asking("web", requests={"memory": "2Gi"}))

    resources = created["spec"]["containers"][0]["resources"]
    assert resources == {"requests": {"memory": "2Gi", "cpu": "100m"}, "limits": {"cpu": "500m"}}
    assert created["metadata"]["annotations"] == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu request for container main; "
        "cpu limit for container main"
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("item", "requests", "limits", "message"),
    [
        (
            {"min": {"cpu": "200m"}},
            {"cpu": "100m"},
            {"cpu": "1"},
            'pods "web" is forbidden: minimum cpu usage per Container is 200m, but request is 100m',
        ),
        (
            {"max": {"memory": "1Gi"}},
            {"memory": "1Gi"},
            {"memory": "2Gi"},
            'pods "web" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"cpu": "100m"},
            {"cpu": "300m"},
            'pods "web" is forbidden: cpu max limit to request ratio per Container is 2, '
            "but provided ratio is 3.000000",
        ),
        (
            {"type": "Pod", "max": {"cpu": "1"}},
            {"cpu": "1"},
            None,
            'pods "web" is forbidden: maximum cpu usage per Pod is 1.  No limit is specified',
        ),
        (
            {"type": "Pod", "max": {"cpu": "1", "memory": "1Mi"}},
            None,
            {"cpu": "2", "memory": "1Gi"},
            'pods "web" is forbidden: [maximum cpu usage per Pod is 1, but limit is 2, '
            "maximum memory usage per Pod is 1Mi, but limit is 1Gi]",
        ),
    ],
)
async def test_a_limit_range_refuses(
    api: World, item: Object, requests: Object | None, limits: Object | None, message: str
) -> None:
    await api.create("limitranges", limit_range(**item))

    with pytest.raises(Forbidden) as refused:
        await api.create("pods", asking("web", requests, limits))

    assert str(refused.value) == message


async def test_a_claim_stays_within_its_limits_when_it_grows(api: World) -> None:
    item = {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}
    await api.create("limitranges", limit_range(**item))

    message = "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"
    with pytest.raises(Forbidden, match=message):
        await api.create("persistentvolumeclaims", claim("data", "1Mi"))
    await api.create("persistentvolumeclaims", claim("data", "2Gi"))


async def test_a_bound_claim_grows_only_where_its_class_says_so(api: World) -> None:
    for name, expands in (("fixed", False), ("growing", True)):
        await api.create("storageclasses.storage.k8s.io", {**storage_class(name), "allowVolumeExpansion": expands})
        await api.create("persistentvolumeclaims", claim(name, storageClassName=name, volumeName=f"volume-{name}"))
        bound = await api.get("persistentvolumeclaims", name)
        await api.update("persistentvolumeclaims", {**bound, "status": {"phase": "Bound"}}, "status")
    larger = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}

    await api.patch("persistentvolumeclaims", "growing", larger)
    with pytest.raises(Forbidden, match="the storageclass that provisions the pvc must support resize"):
        await api.patch("persistentvolumeclaims", "fixed", larger)


# -- classes ----------------------------------------------------------------------------------------------------------


async def test_a_claim_gets_the_default_class_that_is_newest_or_first_by_name(api: World) -> None:
    for name, default in (("slow", "true"), ("fast", "true"), ("any", "false")):
        await api.create("storageclasses.storage.k8s.io", storage_class(name, default))

    silent = await api.create("persistentvolumeclaims", claim("silent"))
    none = await api.create("persistentvolumeclaims", claim("none", storageClassName=""))

    assert silent["spec"]["storageClassName"] == "fast"
    assert none["spec"]["storageClassName"] == ""


async def test_an_ingress_gets_the_default_class(api: World) -> None:
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass"}
    await api.create(
        "ingressclasses.networking.k8s.io",
        {
            **head,
            "metadata": {"name": "front", "annotations": annotations},
            "spec": {"controller": "example.com/front"},
        },
    )
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"defaultBackend": backend}}

    silent = {**ingress, "metadata": {"name": "a", "namespace": "default"}, "spec": {"defaultBackend": backend}}
    old = {"name": "b", "namespace": "default", "annotations": {"kubernetes.io/ingress.class": "other"}}
    created = await api.create("ingresses.networking.k8s.io", silent)
    spoken = await api.create("ingresses.networking.k8s.io", {**ingress, "metadata": old})

    assert created["spec"]["ingressClassName"] == "front"
    assert "ingressClassName" not in spoken["spec"]


async def test_a_runtime_class_adds_its_overhead_and_where_it_is(api: World) -> None:
    scheduling = {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}
    overhead = {"podFixed": {"memory": "120Mi"}}
    head = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "vm"}
    await api.create(
        "runtimeclasses.node.k8s.io",
        {**head, "metadata": {"name": "vm"}, "overhead": overhead, "scheduling": scheduling},
    )
    wanted = pod("web")
    wanted["spec"]["runtimeClassName"] = "vm"
    elsewhere = pod("elsewhere")
    elsewhere["spec"] |= {"runtimeClassName": "vm", "nodeSelector": {"vm": "no"}}
    unknown = pod("unknown")
    unknown["spec"]["runtimeClassName"] = "other"

    created = await api.create("pods", wanted)

    assert created["spec"]["overhead"] == {"memory": "120Mi"}
    assert created["spec"]["nodeSelector"] == {"vm": "yes"}
    assert {"key": "vm", "operator": "Exists"} in created["spec"]["tolerations"]
    with pytest.raises(Forbidden, match=r"nodeSelector\[vm\] = yes; pod.spec.nodeSelector\[vm\] = no"):
        await api.create("pods", elsewhere)
    with pytest.raises(Forbidden, match='pod rejected: RuntimeClass "other" not found'):
        await api.create("pods", unknown)


# -- priorities -------------------------------------------------------------------------------------------------------


async def test_the_systems_priorities_exist(api: World) -> None:
    names = await api.names("priorityclasses.scheduling.k8s.io", "")

    assert names == ["system-cluster-critical", "system-node-critical"]


async def test_a_pod_has_the_priority_of_its_class_or_of_the_default_one(api: World) -> None:
    await api.create("priorityclasses.scheduling.k8s.io", priority_class("high", 1000, preemptionPolicy="Never"))
    await api.create("priorityclasses.scheduling.k8s.io", priority_class("usual", 10, globalDefault=True))
    named = pod("named")
    named["spec"]["priorityClassName"] = "high"

    created, silent = await api.create("pods", named), await api.create("pods", pod("silent"))

    assert (created["spec"]["priority"], created["spec"]["preemptionPolicy"]) == (1000, "Never")
    assert (silent["spec"]["priority"], silent["spec"]["priorityClassName"]) == (10, "usual")


async def test_a_pod_cannot_choose_its_number_itself(api: World) -> None:
    wanted = pod("web")
    wanted["spec"]["priority"] = 7

    with pytest.raises(Forbidden, match=r"the integer value of priority \(7\) must not be provided in pod spec"):
        await api.create("pods", wanted)


async def test_there_is_one_default_priority(api: World) -> None:
    await api.create("priorityclasses.scheduling.k8s.io", priority_class("usual", 10, globalDefault=True))

    with pytest.raises(Forbidden, match="PriorityClass usual is already marked as default"):
        await api.create("priorityclasses.scheduling.k8s.io", priority_class("other", 11, globalDefault=True))


# -- groups of pods ---------------------------------------------------------------------------------------------------


def in_default(kind: str, name: str, spec: Object) -> Object:
    head = {"apiVersion": "scheduling.k8s.io/v1alpha2", "kind": kind}
    return {**head, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def pod_group(name: str, template: str = "", **spec: Any) -> Object:
    reference = {"workload": {"workloadName": "train", "podGroupTemplateName": template}}
    of = {"podGroupTemplateRef": reference} if template else {}
    return in_default("PodGroup", name, {"schedulingPolicy": {"gang": {"minCount": 2}}, **of, **spec})


async def test_a_pod_group_is_made_of_a_template_that_is_there(api: World) -> None:
    with pytest.raises(Forbidden, match='PodGroup rejected: Workload "train" not found'):
        await api.create("podgroups.scheduling.k8s.io", pod_group("g", "workers"))
    templates = [{"name": "workers", "schedulingPolicy": {"gang": {"minCount": 2}}}]
    await api.create("workloads.scheduling.k8s.io", in_default("Workload", "train", {"podGroupTemplates": templates}))

    with pytest.raises(Forbidden, match='PodGroupTemplate "drivers" not found in Workload "train"'):
        await api.create("podgroups.scheduling.k8s.io", pod_group("g", "drivers"))
    created = await api.create("podgroups.scheduling.k8s.io", pod_group("g", "workers"))

    assert created["spec"]["podGroupTemplateRef"]["workload"]["workloadName"] == "train"


async def test_a_group_of_pods_has_the_priority_of_its_class(api: World) -> None:
    await api.create("priorityclasses.scheduling.k8s.io", priority_class("high", 1000))
    await api.create("priorityclasses.scheduling.k8s.io", priority_class("usual", 10, globalDefault=True))

    named = await api.create("podgroups.scheduling.k8s.io", pod_group("named", priorityClassName="high"))
    silent = await api.create("podgroups.scheduling.k8s.io", pod_group("silent"))
    with pytest.raises(Forbidden, match=r"priority \(7\) must not be provided in pod group spec"):
        await api.create("podgroups.scheduling.k8s.io", pod_group("wrong", priority=7))

    assert (named["spec"]["priority"], silent["spec"]["priority"]) == (1000, 10)


# -- updates ----------------------------------------------------------------------------------------------------------


async def test_what_an_update_of_a_pod_leaves_out_of_what_admission_gave_it_is_given_again(api: World) -> None:
    await api.create("priorityclasses.scheduling.k8s.io", priority_class("high", 100, preemptionPolicy="Never"))
    made = await api.create("pods", {**pod("web"), "spec": {**pod("web")["spec"], "priorityClassName": "high"}})
    given = ("priority", "preemptionPolicy", "tolerations")

    left_out = {**made, "spec": {key: value for key, value in made["spec"].items() if key not in given}}
    updated = await api.update("pods", {**left_out, "metadata": {**made["metadata"], "labels": {"a": "b"}}})

    assert updated["spec"] == made["spec"]
    assert updated["metadata"]["generation"] == made["metadata"]["generation"]


# -- nodes ------------------------------------------------------------------------------------------------------------


async def test_a_new_node_is_tainted_until_it_is_ready(api: World) -> None:
    node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}

    made = await api.create("nodes", node)
    registered = await api.create("nodes", {**node, "metadata": {"name": "b"}, **ready})

    assert made["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    assert "taints" not in registered.get("spec", {})
