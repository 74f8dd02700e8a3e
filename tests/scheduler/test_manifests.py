"""Manifests become the pods that the API server and the controllers would make of them, or are refused as there."""

from __future__ import annotations

from typing import Any

import pytest

from actors.manifests import BadManifest, read
from protocols.objects import name_of, namespace_of
from tests.scheduler.worlds import make_node

TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "image": "web", "resources": {"limits": {"cpu": "100m"}}}]},
}

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_NOT_OFF = {"matchExpressions": [{"key": "gpu", "operator": "NotIn", "values": ["no"]}]}
NOT_OFF = {REQUIRED: {"nodeSelectorTerms": [_NOT_OFF]}}


def workload(kind: str, **spec: Any) -> dict[str, Any]:
    version = "batch/v1" if kind == "Job" else "apps/v1"
    template = TEMPLATE if kind != "Job" else {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    selector = {} if kind == "Job" else {"selector": {"matchLabels": {"app": "web"}}}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {**selector, "template": template, **spec},
    }


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {**TEMPLATE["spec"], **spec}}


@pytest.mark.parametrize(
    ("kind", "spec", "pods"),
    [
        ("Deployment", {"replicas": 3}, 3),
        ("Deployment", {}, 1),
        ("Deployment", {"replicas": 0}, 0),
        ("ReplicaSet", {"replicas": 2}, 2),
        ("StatefulSet", {"replicas": 2, "serviceName": "web"}, 2),
        ("Job", {}, 1),
        ("Job", {"parallelism": 3, "completions": 2}, 2),
        ("Job", {"parallelism": 3}, 3),
    ],
)
def test_a_workload_is_as_many_pods_as_run_at_a_time(kind: str, spec: dict[str, Any], pods: int) -> None:
    found = read([workload(kind, **spec)], "shop", [])

    assert len({name_of(each.pod) for each in found.pods}) == pods
    assert {namespace_of(each.pod) for each in found.pods} <= {"shop"}
    assert {each.origin for each in found.pods} <= {f"{kind}/web"}


def cron_job(**spec: Any) -> dict[str, Any]:
    template = {"spec": workload("Job", parallelism=2)["spec"]}
    wanted = {"schedule": "*/5 * * * *", "jobTemplate": template, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tidy"}, "spec": wanted}


def test_a_cron_job_is_the_pods_of_one_job() -> None:
    found = read([cron_job()], "shop", [])

    assert len({name_of(each.pod) for each in found.pods}) == 2
    assert {each.origin for each in found.pods} == {"CronJob/tidy"}
    assert {each.pod["metadata"]["ownerReferences"][0]["kind"] for each in found.pods} == {"Job"}
    assert read([cron_job(suspend=True)], "shop", []).pods == []


def test_a_daemon_set_has_a_pod_for_each_node_that_it_may_run_on() -> None:
    nodes = [
        make_node("plain"),
        make_node("off", labels={"gpu": "no"}),
        make_node("tainted", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]),
        make_node("soft", taints=[{"key": "k", "value": "v", "effect": "PreferNoSchedule"}]),
        make_node("full", cpu="0"),
        make_node("cordoned", taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]),
    ]
    template = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "affinity": {"nodeAffinity": NOT_OFF}}}

    found = read([workload("DaemonSet", template=template)], "shop", [], nodes)

    terms = [each.pod["spec"]["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] for each in found.pods]
    assert [[field["values"] for field in term["matchFields"]] for (term,) in terms] == [
        [["plain"]],
        [["soft"]],
        [["full"]],
        [["cordoned"]],
    ]
    assert not any("matchExpressions" in term for (term,) in terms)  # its name is all that the pod asks for
    assert len({name_of(each.pod) for each in found.pods}) == 4


def test_a_daemon_set_runs_on_nodes_of_the_same_file_wherever_they_stand() -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n9"}, "status": {"allocatable": {"cpu": "1"}}}

    assert len(read([workload("DaemonSet"), node], "shop", []).pods) == 1
    assert read([workload("DaemonSet")], "shop", []).pods == []


def test_pods_are_as_they_would_be_stored() -> None:
    (made,) = read([workload("Deployment")], "shop", []).pods

    spec = made.pod["spec"]
    assert spec["schedulerName"] == "default-scheduler"
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "100m"}
    assert spec["priority"] == 0
    assert made.pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"


@pytest.mark.parametrize("kind", ["Pod", "Deployment"])
def test_label_keys_of_a_spread_become_requirements_once(kind: str) -> None:
    by_app = {"labelSelector": {"matchLabels": {"app": "web"}}, "matchLabelKeys": ["app"]}
    by_tier = {"labelSelector": {"matchLabels": {"app": "web"}}, "matchLabelKeys": ["tier"]}
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    template = {
        "metadata": {"labels": {"app": "web", "tier": "front"}},
        "spec": {**TEMPLATE["spec"], "topologySpreadConstraints": [spread | by_tier]},
    }
    given = {**pod(), **template} if kind == "Pod" else workload(kind, template=template)
    given["metadata"] = {"name": "web", **given["metadata"]}

    (found,) = read([given], "default", []).pods

    (constraint,) = found.pod["spec"]["topologySpreadConstraints"]
    assert constraint["labelSelector"]["matchExpressions"] == [{"key": "tier", "operator": "In", "values": ["front"]}]
    with pytest.raises(BadManifest, match="exists in both matchLabelKeys and labelSelector"):
        template["spec"]["topologySpreadConstraints"] = [spread | by_app]
        read([given], "default", [])


def test_the_set_that_a_deployment_makes_is_known_for_it_spreads_its_pods() -> None:
    found = read([workload("Deployment")], "shop", [])

    (replica_set,) = found.others
    owner = found.pods[0].pod["metadata"]["ownerReferences"][0]
    assert (replica_set["kind"], name_of(replica_set)) == (owner["kind"], owner["name"])


def test_pods_of_a_stateful_set_are_numbered_from_where_it_says() -> None:
    found = read([workload("StatefulSet", serviceName="web", replicas=2, ordinals={"start": 5})], "shop", [])

    assert [name_of(each.pod) for each in found.pods] == ["web-5", "web-6"]


def test_priority_classes_count_from_the_file_and_from_the_cluster() -> None:
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 7}
    usual = {**high, "metadata": {"name": "usual"}, "value": 3, "globalDefault": True}

    by_name = read([pod(priorityClassName="high"), high], "shop", [])
    by_default = read([pod()], "shop", [usual])

    assert by_name.pods[0].pod["spec"]["priority"] == 7
    assert by_default.pods[0].pod["spec"]["priority"] == 3


def test_what_makes_no_pods_is_named_and_what_the_scheduler_looks_at_is_kept() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    unknown = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}

    found = read([config, service, unknown], "shop", [])

    assert found.left_out == ["ConfigMap/c", "Widget/w"]
    assert [each["kind"] for each in found.others] == ["Service"]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (pod(containers=[]), 'Pod/p: Pod "p" is invalid: spec.containers: Required value'),
        (pod(nodeSelektor={}), 'Pod/p: strict decoding error: unknown field "spec.nodeSelektor"'),
        (pod(priorityClassName="none"), "Pod/p: .*no PriorityClass with name none was found"),
        (workload("Deployment", replicas=10**6), "Deployment/web: these are more than 200,000 pods"),
        (workload("Deployment", replicas=-1), "Deployment/web: .*must be greater than or equal to 0"),
        (workload("Deployment", replicas="many"), "Deployment/web: "),
    ],
)
def test_what_the_api_server_would_refuse_is_refused_in_its_words(manifest: dict[str, Any], message: str) -> None:
    with pytest.raises(BadManifest, match=message):
        read([manifest], "shop", [])


def test_what_was_given_is_not_changed() -> None:
    given = workload("Deployment")
    before = repr(given)

    read([given], "shop", [])

    assert repr(given) == before
