"""Defaults that people and controllers rely on."""

import copy
from typing import Any

import pytest

from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.schema.resources import by_kind
from tests.apiserver.rules.judged import ABSENT, created
from tests.apiserver.rules.minimal import minimal_of


def defaulted(kind: str, spec: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    obj = {**minimal_of(kind), **rest}
    obj["spec"] = {**obj.get("spec", {}), **(spec or {})}
    resource = by_kind(obj["apiVersion"], kind)
    assert resource is not None
    apply_defaults(resource, obj)
    return obj


def container(**fields: Any) -> dict[str, Any]:
    pod = defaulted("Pod", {"containers": [{"name": "web", **fields}]})
    found: dict[str, Any] = pod["spec"]["containers"][0]
    return found


def test_a_pod_says_everything_that_it_means() -> None:
    spec = defaulted("Pod")["spec"]

    assert spec.pop("containers") == [
        {
            "name": "web",
            "image": "nginx",
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "Always",
        }
    ]
    assert spec == {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1.27", "IfNotPresent"),
        ("nginx@sha256:" + "0" * 64, "IfNotPresent"),
        ("", "IfNotPresent"),
    ],
)
def test_an_image_that_may_move_is_pulled_every_time(image: str, policy: str) -> None:
    assert container(image=image)["imagePullPolicy"] == policy


def test_requests_follow_limits_in_pods_but_not_in_templates() -> None:
    limited = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    spec = {"containers": [{"name": "web", "resources": limited}]}

    pod = defaulted("Pod", copy.deepcopy(spec))
    template = defaulted("Deployment", {"template": {"spec": copy.deepcopy(spec)}})["spec"]["template"]

    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert template["spec"]["containers"][0]["resources"] == limited


def test_probes_get_their_numbers_and_http_its_scheme() -> None:
    probe = container(livenessProbe={"httpGet": {"port": 80}, "periodSeconds": 0})["livenessProbe"]

    assert probe == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def test_ports_environment_and_volumes_are_completed() -> None:
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    volumes = [{"name": "a"}, {"name": "b", "configMap": {"name": "b"}}, {"name": "c", "hostPath": {"path": "/"}}]
    web = {"name": "web", "ports": [{"containerPort": 80}], "env": env}

    spec = defaulted("Pod", {"containers": [web], "volumes": volumes, "hostNetwork": True})["spec"]

    assert spec["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP", "hostPort": 80}]
    assert spec["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert spec["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "b", "defaultMode": 420}},
        {"name": "c", "hostPath": {"path": "/", "type": ""}},
    ]


def test_a_deployment_rolls_a_quarter_at_a_time() -> None:
    spec = defaulted("Deployment")["spec"]

    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
    assert defaulted("Deployment", {"strategy": {"type": "Recreate"}})["spec"]["strategy"] == {"type": "Recreate"}
    assert defaulted("Deployment", {"replicas": 0})["spec"]["replicas"] == 0


def test_other_workloads_have_their_own() -> None:
    stateful, daemon = defaulted("StatefulSet")["spec"], defaulted("DaemonSet")["spec"]
    job, queue = defaulted("Job")["spec"], defaulted("Job", {"parallelism": 3})["spec"]

    assert stateful["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert stateful["volumeClaimTemplates"][0]["spec"]["volumeMode"] == "Filesystem"
    assert daemon["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert (job["completions"], job["parallelism"], job["backoffLimit"]) == (1, 1, 6)
    assert (queue.get("completions"), queue["parallelism"]) == (None, 3)
    assert defaulted("CronJob")["spec"]["concurrencyPolicy"] == "Allow"


def test_a_service_says_how_it_is_reached() -> None:
    assert defaulted("Service")["spec"] == {
        "selector": {"app": "a"},
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
    }
    node_port = defaulted("Service", {"type": "NodePort"})["spec"]
    external = defaulted("Service", {"type": "ExternalName", "externalName": "a.b"})["spec"]
    headless = defaulted("Service", {"clusterIP": "None", "selector": None})["spec"]
    sticky = defaulted("Service", {"sessionAffinity": "ClientIP"})["spec"]
    assert node_port["externalTrafficPolicy"] == "Cluster"
    assert "ipFamilies" not in external
    assert headless["ipFamilyPolicy"] == "RequireDualStack"
    assert sticky["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_small_kinds_are_completed() -> None:
    secret, namespace = defaulted("Secret"), defaulted("Namespace")
    binding, autoscaler = defaulted("ClusterRoleBinding"), defaulted("HorizontalPodAutoscaler")

    assert (secret["type"], secret["data"], "stringData" in secret) == ("Opaque", {"password": "c2VjcmV0"}, False)
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}
    assert binding["roleRef"]["apiGroup"] == "rbac.authorization.k8s.io"
    assert [subject.get("apiGroup") for subject in binding["subjects"]] == ["rbac.authorization.k8s.io", None]
    assert autoscaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 80
    given = {"behavior": {"scaleUp": {"selectPolicy": "Min"}}}
    up, down = defaulted("HorizontalPodAutoscaler", given)["spec"]["behavior"].values()
    assert up["policies"][0] == {"type": "Pods", "value": 4, "periodSeconds": 15}
    assert (up["selectPolicy"], up["stabilizationWindowSeconds"]) == ("Min", 0)
    assert (down["selectPolicy"], "stabilizationWindowSeconds" in down) == ("Max", False)
    assert defaulted("PriorityClass")["preemptionPolicy"] == "PreemptLowerPriority"
    assert defaulted("NetworkPolicy", {"egress": [{}]})["spec"]["policyTypes"] == ["Ingress", "Egress"]
    limits = defaulted("LimitRange")["spec"]["limits"][0]
    assert (limits["default"], limits["defaultRequest"]) == ({"cpu": "1"}, {"cpu": "1"})


def test_what_is_always_there_is_there_though_nothing_is_said() -> None:
    assert created("PriorityClass", {"value": ABSENT})["value"] == 0
    assert created("Lease", {"spec": ABSENT})["spec"] == {}
    assert created("ResourceQuota", {"spec": ABSENT})["spec"] == {}
    assert created("ResourceClaimTemplate")["spec"]["metadata"] == {}
    assert created("EndpointSlice")["endpoints"][0]["conditions"] == {}


def test_a_pod_with_limits_of_its_own_asks_for_what_its_containers_do() -> None:
    asked = {"requests": {"cpu": "100m", "memory": "1Mi"}, "limits": {"cpu": "200m"}}

    pod = created("Pod", {"spec.resources": {"limits": {"cpu": "1"}}, "spec.containers.0.resources": asked})
    alone = created("Pod", {"spec.resources": {"limits": {"cpu": "1", "memory": "1Gi"}}})

    assert pod["spec"]["resources"]["requests"] == {"cpu": "100m", "memory": "1Mi"}
    assert alone["spec"]["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}


def test_a_pod_that_may_not_take_any_time_has_a_second() -> None:
    assert created("Pod", {"spec.terminationGracePeriodSeconds": -1})["spec"]["terminationGracePeriodSeconds"] == 1
    assert created("Pod", {"spec.terminationGracePeriodSeconds": 0})["spec"]["terminationGracePeriodSeconds"] == 0


def test_a_volume_of_an_image_is_pulled_as_a_container_is() -> None:
    volumes = [{"name": "a", "image": {"reference": "a"}}, {"name": "b", "image": {"reference": "a:1"}}]

    pod = created("Pod", {"spec.volumes": volumes})

    assert [volume["image"]["pullPolicy"] for volume in pod["spec"]["volumes"]] == ["Always", "IfNotPresent"]


def test_what_a_claim_begins_with_is_said_in_both_fields() -> None:
    volume = {"kind": "PersistentVolumeClaim", "name": "a"}
    other = {"apiGroup": "a.example.com", "kind": "Backup", "name": "a"}

    for field in ("dataSource", "dataSourceRef"):
        spec = created("PersistentVolumeClaim", {f"spec.{field}": volume})["spec"]
        assert (spec["dataSource"], spec["dataSourceRef"]) == (volume, volume)
    assert "dataSource" not in created("PersistentVolumeClaim", {"spec.dataSource": other})["spec"]
    elsewhere = created("PersistentVolumeClaim", {"spec.dataSourceRef": {**volume, "namespace": "b"}})["spec"]
    assert "dataSource" not in elsewhere
