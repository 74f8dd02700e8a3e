"""What the server sets, keeps and counts before it stores an object."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.rules.prepare import prepare_create, prepare_update
from actors.apiserver.rules.template_generation import ANNOTATION as GENERATION
from actors.apiserver.schema.resources import Resource, find

NOW = 1767225600.75


SOME = {"cpu": "1", "memory": "1Gi"}


def resource(group_resource: str) -> Resource:
    found = find(group_resource)
    assert found is not None
    return found


PODS, SERVICES = resource("pods"), resource("services")
DAEMON_SETS = resource("daemonsets.apps")
DEPLOYMENTS, SLICES = resource("deployments.apps"), resource("endpointslices.discovery.k8s.io")


def create(obj: dict[str, Any], of: Resource = DEPLOYMENTS) -> dict[str, Any]:
    return prepare_create(of, obj, now=NOW, uid="u-1", suffix="abcde")


def deployment(replicas: int = 1, **rest: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web"}, "spec": {"replicas": replicas}, **rest}


def test_a_new_object_gets_identity_time_generation_and_an_empty_status() -> None:
    sent = deployment(status={"replicas": 9}, metadata={"name": "web", "uid": "mine", "resourceVersion": "7"})

    obj = create(sent)

    assert obj == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "uid": "u-1", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1},
        "spec": {"replicas": 1},
        "status": {},
    }
    assert sent["metadata"]["uid"] == "mine"


def test_changes_of_a_daemon_sets_template_are_counted_whatever_clients_say_of_them() -> None:
    def daemon_set(image: str, said: str = "", seconds: int = 0) -> dict[str, Any]:
        annotations = {GENERATION: said} if said else {}
        template = {"spec": {"containers": [{"image": image}]}}
        return {"metadata": {"annotations": annotations}, "spec": {"template": template, "minReadySeconds": seconds}}

    def counted(obj: dict[str, Any]) -> str:
        return str(obj["metadata"]["annotations"][GENERATION])

    made = create(daemon_set("one"), DAEMON_SETS)
    slower = prepare_update(DAEMON_SETS, made, daemon_set("one", "7", 5), "")
    changed = prepare_update(DAEMON_SETS, slower, daemon_set("two"), "")
    told = prepare_update(DAEMON_SETS, changed, {**changed, "status": {"numberReady": 1}}, "status")

    assert [counted(obj) for obj in (made, slower, changed, told)] == ["1", "1", "2", "2"]
    assert counted(create(daemon_set("one", "7"), DAEMON_SETS)) == "7"
    assert counted(create(daemon_set("one", "many"), DAEMON_SETS)) == "1"


def test_a_generated_name_is_cut_so_that_its_suffix_fits() -> None:
    assert create({"metadata": {"generateName": "web-"}})["metadata"]["name"] == "web-abcde"
    assert len(create({"metadata": {"generateName": "x" * 100}})["metadata"]["name"]) == 63
    assert create({"metadata": {"generateName": "web-", "name": "own"}})["metadata"]["name"] == "own"


def placed_by_labels() -> dict[str, Any]:
    term = {
        "topologyKey": "zone",
        "labelSelector": {"matchLabels": {"app": "web"}},
        "matchLabelKeys": ["hash", "absent"],
        "mismatchLabelKeys": ["tenant"],
    }
    affinity = {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}],
            "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", "matchLabelKeys": ["hash"]}],
        },
    }
    spread = [{"topologyKey": "zone", "labelSelector": {}, "matchLabelKeys": ["hash"]}]
    labels = {"app": "web", "hash": "1", "tenant": "t"}
    spec = {"containers": [{"name": "c"}], "affinity": affinity, "topologySpreadConstraints": spread}
    return {"metadata": {"name": "a", "labels": labels}, "spec": spec}


SAME = {"key": "hash", "operator": "In", "values": ["1"]}
OTHER = {"key": "tenant", "operator": "NotIn", "values": ["t"]}


def test_label_keys_of_a_pod_become_requirements_of_its_selectors() -> None:
    sent = placed_by_labels()

    spec = create(sent, PODS)["spec"]

    towards, away = spec["affinity"]["podAffinity"], spec["affinity"]["podAntiAffinity"]
    (required,) = towards["requiredDuringSchedulingIgnoredDuringExecution"]
    (wish,) = away["preferredDuringSchedulingIgnoredDuringExecution"]
    (without_selector,) = away["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["labelSelector"] == {"matchLabels": {"app": "web"}, "matchExpressions": [SAME, OTHER]}
    assert wish["podAffinityTerm"] == required
    assert without_selector == {"topologyKey": "zone", "matchLabelKeys": ["hash"]}
    assert spec["topologySpreadConstraints"][0]["labelSelector"] == {"matchExpressions": [SAME]}
    assert sent == placed_by_labels()


def test_before_1_34_those_of_spread_constraints_are_left_to_the_scheduler() -> None:
    def spread(version: str) -> Any:
        pod = prepare_create(PODS, placed_by_labels(), now=NOW, uid="u-1", suffix="", version=version)
        return pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]

    assert spread("1.33") == {}
    assert spread("1.34") == {"matchExpressions": [SAME]}


def test_label_keys_of_a_template_stay() -> None:
    template = {"metadata": {"labels": {"hash": "1"}}, "spec": placed_by_labels()["spec"]}

    created = create({"metadata": {"name": "web"}, "spec": {"template": template}})

    assert created["spec"]["template"]["spec"] == placed_by_labels()["spec"]


def test_first_states_are_kubernetes() -> None:
    pod = create({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}, PODS)
    node = create({"metadata": {"name": "a"}, "status": {"capacity": {"cpu": "1"}}}, resource("nodes"))
    namespace = create({"metadata": {"name": "a"}}, resource("namespaces"))

    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert node["status"] == {"capacity": {"cpu": "1"}}
    assert (namespace["status"], namespace["spec"]) == ({"phase": "Active"}, {"finalizers": ["kubernetes"]})


def test_a_pod_with_scheduling_gates_says_from_the_start_that_it_is_held_back() -> None:
    gated = {"schedulingGates": [{"name": "example.com/wait"}], "containers": [{"name": "c"}]}

    (condition,) = create({"metadata": {"name": "a"}, "spec": gated}, PODS)["status"]["conditions"]

    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "SchedulingGated")
    assert condition["message"] == "Scheduling is blocked due to non-empty scheduling gates"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [{"name": "c", "resources": {"limits": SOME, "requests": SOME}}]}, "Guaranteed"),
        ({"containers": [{"name": "c", "resources": {"limits": SOME, "requests": {"cpu": "500m"}}}]}, "Burstable"),
        ({"containers": [{"name": "c", "resources": {"requests": {"cpu": "a lot"}}}]}, "BestEffort"),
        (
            {"initContainers": [{"name": "i", "resources": {"requests": SOME}}], "containers": [{"name": "c"}]},
            "Burstable",
        ),
        ({"resources": {"limits": SOME, "requests": SOME}, "containers": [{"name": "c"}]}, "Guaranteed"),
    ],
)
def test_the_qos_class_follows_from_what_is_asked_for(spec: dict[str, Any], expected: str) -> None:
    classes = [create({"metadata": {"name": name}, "spec": spec}, PODS)["status"]["qosClass"] for name in "ab"]

    assert classes == [expected, expected]


def test_managed_fields_of_an_apply_stay_and_junk_goes() -> None:
    entry = {"manager": "me", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {}}

    kept = create({"metadata": {"name": "a", "managedFields": [entry, {"manager": "junk"}, "junk"]}})
    dropped = create({"metadata": {"name": "a", "managedFields": [{}]}})

    assert kept["metadata"]["managedFields"] == [entry]
    assert "managedFields" not in dropped["metadata"]


def test_a_job_selects_its_own_pods_by_uid() -> None:
    template = {"metadata": {"labels": {"a": "b"}}}

    job = create({"metadata": {"name": "pi"}, "spec": {"template": template}}, resource("jobs.batch"))

    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}
    assert job["spec"]["template"]["metadata"]["labels"] == {
        "a": "b",
        "batch.kubernetes.io/controller-uid": "u-1",
        "batch.kubernetes.io/job-name": "pi",
        "controller-uid": "u-1",
        "job-name": "pi",
    }


def test_a_job_that_has_no_labels_has_those_of_its_pods() -> None:
    jobs, template = resource("jobs.batch"), {"metadata": {"labels": {"a": "b"}}}
    own = {"metadata": {"name": "pi", "labels": {"mine": "yes"}}, "spec": {"template": template}}

    job = create({"metadata": {"name": "pi"}, "spec": {"template": template}}, jobs)

    assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]
    assert create(own, jobs)["metadata"]["labels"] == {"mine": "yes"}
    unlabelled = {**job, "metadata": {**job["metadata"], "labels": {}}}
    assert prepare_update(jobs, job, unlabelled, "")["metadata"]["labels"] == job["metadata"]["labels"]


def test_a_job_that_selects_by_hand_is_left_alone() -> None:
    spec = {"manualSelector": True, "template": {"metadata": {"labels": {"a": "b"}}}}

    job = create({"metadata": {"name": "pi"}, "spec": spec}, resource("jobs.batch"))

    assert job["spec"] == spec


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("replicationcontrollers", {"replicas": 0}),
        ("replicasets.apps", {"replicas": 0}),
        ("statefulsets.apps", {"replicas": 0, "availableReplicas": 0}),
        ("ingresses.networking.k8s.io", {"loadBalancer": {}}),
        ("volumeattachments.storage.k8s.io", {"attached": False}),
        ("persistentvolumes", {"phase": "Pending", "lastPhaseTransitionTime": "2026-01-01T00:00:00Z"}),
        (
            "daemonsets.apps",
            {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0},
        ),
        (
            "poddisruptionbudgets.policy",
            {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0},
        ),
    ],
)
def test_what_counts_something_begins_with_zeros(kind: str, status: dict[str, Any]) -> None:
    assert create({"metadata": {"name": "web"}, "spec": {}}, resource(kind))["status"] == status


@pytest.mark.parametrize(
    ("kind", "field", "generations"),
    [
        ("podtemplates", "template", [1, 2]),
        ("mutatingwebhookconfigurations.admissionregistration.k8s.io", "webhooks", [1, 2]),
        ("validatingwebhookconfigurations.admissionregistration.k8s.io", "webhooks", [1, 2]),
        ("priorityclasses.scheduling.k8s.io", "value", [1, 1]),
        ("csidrivers.storage.k8s.io", "spec", [None, 1]),
        ("apiservices.apiregistration.k8s.io", "spec", [None, 1]),
        ("csinodes.storage.k8s.io", "spec", [None, None]),
        ("deviceclasses.resource.k8s.io", "spec", [1, 2]),
    ],
)
def test_what_a_generation_counts_depends_on_the_kind(kind: str, field: str, generations: list[int | None]) -> None:
    old = create({"metadata": {"name": "web"}, field: {"a": 1}}, resource(kind))
    labelled = prepare_update(resource(kind), old, {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}, "")
    changed = prepare_update(resource(kind), old, {**old, field: {"a": 2}}, "")

    assert [each["metadata"].get("generation") for each in (labelled, changed)] == generations


def test_the_main_endpoint_keeps_the_status_and_counts_changes_of_the_spec() -> None:
    old = {**create(deployment(1)), "status": {"replicas": 1}}

    same = prepare_update(DEPLOYMENTS, old, deployment(1, status={"replicas": 5}), "")
    changed = prepare_update(DEPLOYMENTS, old, deployment(2), "")

    assert same == old
    assert (changed["status"], changed["metadata"]["generation"]) == ({"replicas": 1}, 2)


def test_the_status_endpoint_changes_the_status_alone() -> None:
    old = create(deployment(1))
    new = deployment(7, status={"replicas": 1}, metadata={"name": "web", "labels": {"a": "b"}})

    updated = prepare_update(DEPLOYMENTS, old, new, "status")

    assert updated == {**old, "status": {"replicas": 1}}


ALL_OF_IT = ["annotations", "finalizers", "labels", "ownerReferences"]


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("deployments.apps", ["annotations", "finalizers", "ownerReferences"]),
        ("pods", ["annotations", "finalizers", "labels"]),
        ("replicasets.apps", ALL_OF_IT),
        ("replicationcontrollers", ALL_OF_IT),
        ("statefulsets.apps", ALL_OF_IT),
        ("daemonsets.apps", ALL_OF_IT),
        ("jobs.batch", ALL_OF_IT),
        ("cronjobs.batch", ALL_OF_IT),
        ("horizontalpodautoscalers.autoscaling", ALL_OF_IT),
        ("poddisruptionbudgets.policy", ALL_OF_IT),
        ("services", ALL_OF_IT),
        ("nodes", ALL_OF_IT),
        ("namespaces", ALL_OF_IT),
        ("persistentvolumes", ALL_OF_IT),
        ("persistentvolumeclaims", ALL_OF_IT),
        ("resourcequotas", ALL_OF_IT),
        ("ingresses.networking.k8s.io", ALL_OF_IT),
        ("customresourcedefinitions.apiextensions.k8s.io", ALL_OF_IT),
        ("certificatesigningrequests.certificates.k8s.io", ALL_OF_IT),
        ("servicecidrs.networking.k8s.io", []),
        ("flowschemas.flowcontrol.apiserver.k8s.io", []),
        ("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", []),
        ("apiservices.apiregistration.k8s.io", []),
        ("volumeattachments.storage.k8s.io", []),
        ("resourceclaims.resource.k8s.io", []),
        ("validatingadmissionpolicies.admissionregistration.k8s.io", []),
    ],
)
def test_what_a_write_of_the_status_changes_of_the_metadata(kind: str, changed: list[str]) -> None:
    """As a real kube-apiserver 1.36 answered; none of it counts as a change of the object."""
    old = create({"metadata": {"name": "a", "labels": {"kept": ""}}, "spec": {}}, resource(kind))
    said = {"labels": {"a": ""}, "annotations": {"a": ""}, "finalizers": ["a.io/b"], "ownerReferences": [{"uid": "u"}]}

    updated = prepare_update(resource(kind), old, {**old, "metadata": {**old["metadata"], **said}}, "status")

    now, before = updated["metadata"], old["metadata"]
    assert sorted(field for field in now if now[field] != before.get(field)) == changed


def test_kubelets_may_label_and_annotate_through_the_status_and_need_not_know_the_qos_class() -> None:
    old = create({"metadata": {"name": "a"}, "spec": {"containers": []}}, PODS)
    new = {"metadata": {"name": "a", "annotations": {"a": "b"}}, "status": {"phase": "Running"}}

    updated = prepare_update(PODS, old, new, "status")

    assert updated["metadata"]["annotations"] == {"a": "b"}
    assert updated["status"] == {"qosClass": "BestEffort", "phase": "Running"}
    assert updated["metadata"]["generation"] == 1


def test_a_status_says_of_what_there_is_none_of() -> None:
    sets = resource("replicasets.apps")
    old = create(deployment(), sets)

    updated = prepare_update(sets, old, {"metadata": {"name": "web"}, "status": {"observedGeneration": 1}}, "status")

    assert updated["status"] == {"replicas": 0, "observedGeneration": 1}


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ({"podIPs": [{"ip": "10.0.0.1"}]}, {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}),
        ({"podIP": "10.0.0.1"}, {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}),
        (
            {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.2"}]},
            {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
        ),
    ],
)
def test_a_pod_has_the_first_of_its_addresses_by_itself_too(written: dict[str, Any], stored: dict[str, Any]) -> None:
    old = create({"metadata": {"name": "a"}, "spec": {"containers": []}}, PODS)

    updated = prepare_update(PODS, old, {"metadata": {"name": "a"}, "status": written}, "status")

    assert updated["status"] == {"qosClass": "BestEffort", **stored}


def test_the_servers_metadata_is_put_back() -> None:
    old = create(deployment())
    old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30}
    sent = deployment(metadata={"name": "web", "creationTimestamp": None, "generation": 99})

    assert prepare_update(DEPLOYMENTS, old, sent, "")["metadata"] == old["metadata"]


def test_metadata_that_is_taken_away_to_the_last_is_not_said_any_more() -> None:
    old = create(deployment(metadata={"name": "web", "labels": {"a": "b"}, "ownerReferences": [{"uid": "u"}]}))
    emptied = {"labels": {}, "annotations": {}, "finalizers": [], "ownerReferences": []}

    updated = prepare_update(DEPLOYMENTS, old, deployment(metadata={"name": "web", **emptied}), "")

    assert not emptied.keys() & updated["metadata"].keys()


def test_annotations_of_a_deployment_count_as_instructions_and_labels_do_not() -> None:
    old = create(deployment())

    labelled = prepare_update(DEPLOYMENTS, old, deployment(metadata={"name": "web", "labels": {"a": "b"}}), "")
    annotated = prepare_update(DEPLOYMENTS, old, deployment(metadata={"name": "web", "annotations": {"a": "b"}}), "")

    assert labelled["metadata"]["generation"] == 1
    assert annotated["metadata"]["generation"] == 2


def test_an_endpoint_slice_counts_all_its_changes_and_a_service_none() -> None:
    old = create({"metadata": {"name": "a"}, "endpoints": []}, SLICES)
    service = create({"metadata": {"name": "a"}, "spec": {"ports": []}}, SERVICES)

    changed = prepare_update(SLICES, old, {"metadata": {"name": "a"}, "endpoints": [{"addresses": ["1.2.3.4"]}]}, "")

    assert changed["metadata"]["generation"] == 2
    assert "generation" not in service["metadata"]


def test_a_service_keeps_what_it_was_given_when_an_update_leaves_it_out() -> None:
    spec = {"type": "NodePort", "clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"]}
    ports = [{"port": 80, "protocol": "TCP", "nodePort": 30080}]
    old = create({"metadata": {"name": "a"}, "spec": {**spec, "ports": ports}}, SERVICES)
    sent = {"metadata": {"name": "a"}, "spec": {"type": "NodePort", "ports": [{"port": 81}, {"port": 80}]}}

    updated = prepare_update(SERVICES, old, sent, "")

    assert {key: updated["spec"][key] for key in spec} == spec
    assert updated["spec"]["ports"] == [{"port": 81}, {"port": 80, "nodePort": 30080}]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"clusterIP": "10.0.0.9"}, ["10.0.0.9"]),
        ({"clusterIP": "None"}, ["None"]),
        ({"clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9", "::1"]}, ["10.0.0.9", "::1"]),
    ],
)
def test_cluster_ip_and_cluster_ips_say_the_same(sent: dict[str, Any], stored: list[str]) -> None:
    assert create({"metadata": {"name": "a"}, "spec": sent}, SERVICES)["spec"]["clusterIPs"] == stored


def test_a_namespace_gives_up_its_finalizer_only_through_finalize() -> None:
    namespaces = resource("namespaces")
    old = create({"metadata": {"name": "a"}}, namespaces)
    without = {"metadata": {"name": "a"}, "spec": {"finalizers": []}}

    assert prepare_update(namespaces, old, without, "")["spec"] == {"finalizers": ["kubernetes"]}
    assert prepare_update(namespaces, old, without, "finalize")["spec"] == {"finalizers": []}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["", "status"])), max_size=8),
)
def test_the_generation_counts_the_specs_that_were_and_only_grows(writes: list[tuple[int, int, str]]) -> None:
    obj, generation = create(deployment(0)), 1

    for replicas, ready, endpoint in writes:
        new = copy.deepcopy(obj)
        new["spec"]["replicas"], new["status"]["readyReplicas"] = replicas, ready
        before = obj
        obj = prepare_update(DEPLOYMENTS, obj, new, endpoint)
        generation += endpoint == "" and before["spec"] != new["spec"]
        assert obj["metadata"]["generation"] == generation
        assert obj["spec"]["replicas"] == (replicas if endpoint == "" else before["spec"]["replicas"])
        assert obj["status"] == (new["status"] if endpoint else before["status"])
