"""Kinds other than pods: what is refused, in which words."""

from typing import Any

import pytest

from tests.apiserver.rules.judged import ABSENT, created, problems, update_problems

PORTS = [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]
POLICY = {"type": "Pods", "value": 4, "periodSeconds": 60}
SCALING_RULES = [
    (
        {"stabilizationWindowSeconds": -1},
        "stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal",
    ),
    (
        {"stabilizationWindowSeconds": 3601},
        "stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal",
    ),
    ({"selectPolicy": "All"}, 'selectPolicy: Unsupported value: "All"'),
    ({"policies": []}, "policies: Required value: must specify at least one Policy"),
    ({"policies": [{**POLICY, "type": "Nodes"}]}, 'policies[0].type: Unsupported value: "Nodes"'),
    ({"policies": [{**POLICY, "value": 0}]}, "policies[0].value: Invalid value: 0: must be greater than zero"),
    ({"policies": [{"type": "Pods", "value": 1}]}, "policies[0].periodSeconds: Invalid value: 0: must be greater than"),
    ({"policies": [{**POLICY, "periodSeconds": 1801}]}, "policies[0].periodSeconds: Invalid value: 1801: must be less"),
    ({"tolerance": "-1"}, "tolerance: Invalid value"),
]
METRIC = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": -1}}}


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("Deployment", {"spec.replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ("Deployment", {"spec.selector": ABSENT}, "spec.selector: Required value"),
        (
            "Deployment",
            {"spec.selector": {"matchLabels": {}}},
            'spec.selector: Invalid value: {"matchLabels":{}}: empty selector is invalid for deployment',
        ),
        (
            "Deployment",
            {"spec.selector": {"matchLabels": {"app": "b"}}},
            'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`',
        ),
        (
            "Deployment",
            {"spec.selector": {"matchExpressions": [{"key": "app", "operator": "Is"}]}},
            'spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator',
        ),
        (
            "Deployment",
            {"spec.strategy": {"type": "Slow"}},
            'spec.strategy: Unsupported value: {"Type":"Slow","RollingUpdate":null}: supported values: "Recreate"',
        ),
        (
            "Deployment",
            {"spec.strategy": {"type": "Recreate", "rollingUpdate": {}}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            "Deployment",
            {"spec.strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}},
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
        ),
        (
            "Deployment",
            {"spec.strategy": {"rollingUpdate": {"maxUnavailable": "101%"}}},
            'rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
        ),
        (
            "Deployment",
            {"spec.strategy": {"rollingUpdate": {"maxSurge": "a lot"}}},
            "a valid percent string must be a numeric string followed by an ending '%'",
        ),
        (
            "Deployment",
            {"spec.progressDeadlineSeconds": 5, "spec.minReadySeconds": 5},
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ),
        (
            "Deployment",
            {"spec.template.spec.restartPolicy": "Never"},
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        ("Deployment", {"spec.template.spec.containers": []}, "spec.template.spec.containers: Required value"),
        ("StatefulSet", {"spec.updateStrategy": {"type": "Slow"}}, "must be 'RollingUpdate' or 'OnDelete'"),
        ("StatefulSet", {"spec.updateStrategy.rollingUpdate": {"maxUnavailable": "0%"}}, '"0%": cannot be 0'),
        ("StatefulSet", {"spec.updateStrategy.rollingUpdate": {"maxUnavailable": "101%"}}, "be greater than 100%"),
        (
            "Job",
            {"spec.template.spec.restartPolicy": ABSENT},
            'restartPolicy: Required value: valid values: "OnFailure"',
        ),
        ("Job", {"spec.completionMode": "Indexed", "spec.parallelism": 2}, "when completion mode is Indexed"),
        ("Job", {"spec.backoffLimit": -1}, "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
        ("CronJob", {"spec.schedule": "* * * *"}, "expected exactly 5 fields, found 4"),
        ("CronJob", {"spec.schedule": "61 * * * *"}, "end of range (61) above maximum (59): 61"),
        ("CronJob", {"spec.schedule": "* * * * 5-1"}, "beginning of range (5) beyond end of range (1): 5-1"),
        ("CronJob", {"spec.schedule": "TZ=UTC * * * * *"}, "cannot use TZ or CRON_TZ in schedule"),
        ("CronJob", {"spec.timeZone": "Mars/Olympus"}, "spec.timeZone: Invalid value"),
        ("CronJob", {"spec.timeZone": "Local"}, "timeZone must be an explicit time zone as defined in"),
        ("CronJob", {"spec.concurrencyPolicy": "Maybe"}, 'Unsupported value: "Maybe": supported values: "Allow", '),
        ("Service", {"spec.ports": []}, "spec.ports: Required value"),
        ("Service", {"spec.ports": [{"port": 80}, {"port": 81}]}, "spec.ports[0].name: Required value"),
        ("Service", {"spec.ports": PORTS}, 'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP",'),
        ("Service", {"spec.type": "Magic"}, 'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", '),
        (
            "Service",
            {"spec.ports": [{"port": 80, "nodePort": 30000}]},
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            "Service",
            {"spec.type": "NodePort", "spec.clusterIP": "None"},
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
        (
            "Service",
            {"spec.clusterIP": "10.0.0"},
            'spec.clusterIPs[0]: Invalid value: "10.0.0": must be a valid IP address',
        ),
        ("Service", {"spec.type": "ExternalName"}, "spec.externalName: Required value"),
        ("Service", {"spec.externalTrafficPolicy": "Local"}, "may only be set for externally-accessible services"),
        ("EndpointSlice", {"addressType": "IPv5"}, 'addressType: Unsupported value: "IPv5"'),
        (
            "EndpointSlice",
            {"endpoints": [{"addresses": []}]},
            "endpoints[0].addresses: Required value: must contain at",
        ),
        ("ConfigMap", {"data": {"a b": ""}}, 'data[a b]: Invalid value: "a b": a valid config key must consist of'),
        ("ConfigMap", {"data": {"a": "x" * 1048577}}, "Too long: may not be more than 1048576 bytes"),
        ("Secret", {"type": "kubernetes.io/tls"}, "data[tls.crt]: Required value"),
        ("Node", {"spec.podCIDRs": ["10.0.0.0"]}, 'spec.podCIDRs[0]: Invalid value: "10.0.0.0": must be a valid CIDR'),
        (
            "Node",
            {"spec.taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]},
            "taints must be unique by key and effect pair",
        ),
        (
            "Lease",
            {"spec.leaseDurationSeconds": 0},
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        ("PriorityClass", {"value": 2000000000}, "maximum allowed value of a user defined priority is 1000000000"),
        (
            "PriorityClass",
            {"metadata.name": "system-a"},
            "names with 'system-' prefix are reserved for system use only",
        ),
        ("Role", {"rules": [{"apiGroups": [""], "resources": ["pods"]}]}, "verbs must contain at least one value"),
        (
            "RoleBinding",
            {"roleRef.kind": "Rule"},
            'roleRef.kind: Unsupported value: "Rule": supported values: "Role", ',
        ),
        ("ClusterRoleBinding", {"subjects": [{"kind": "ServiceAccount", "name": "a"}]}, "namespace: Required value"),
        ("PersistentVolumeClaim", {"spec.accessModes": []}, "at least 1 access mode is required"),
        ("PersistentVolumeClaim", {"spec.resources": {}}, "spec.resources[storage]: Required value"),
        ("PersistentVolume", {"spec.hostPath": ABSENT}, "spec: Required value: must specify a volume type"),
        ("StorageClass", {"volumeBindingMode": "Later"}, 'volumeBindingMode: Unsupported value: "Later"'),
        ("HorizontalPodAutoscaler", {"spec.minReplicas": 5}, "must be greater than or equal to `minReplicas`"),
        ("HorizontalPodAutoscaler", {"spec.metrics": [METRIC]}, "averageUtilization: Invalid value: -1"),
        *(
            ("HorizontalPodAutoscaler", {"spec.behavior": {"scaleUp": rules}}, f"spec.behavior.scaleUp.{message}")
            for rules, message in SCALING_RULES
        ),
        ("PodDisruptionBudget", {"spec.maxUnavailable": 1}, "minAvailable and maxUnavailable cannot be both set"),
        ("Ingress", {"spec": {}}, "either `defaultBackend` or `rules` must be specified"),
        ("Ingress", {"spec.rules.0.http.paths.0.path": "a"}, 'path: Invalid value: "a": must be an absolute path'),
        (
            "NetworkPolicy",
            {"spec.ingress.0.from": [{}]},
            "spec.ingress[0].from[0]: Required value: must specify a peer",
        ),
    ],
)
def test_a_bad_object_is_refused(kind: str, changes: dict[str, Any], message: str) -> None:
    found = problems(kind, changes)

    assert any(message in problem for problem in found), found


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            "Deployment",
            {"spec.selector": {"matchLabels": {"app": "b"}}, "spec.template.metadata.labels": {"app": "b"}},
            'spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable',
        ),
        ("StatefulSet", {"spec.serviceName": "other"}, "spec: Forbidden: updates to statefulset spec for fields other"),
        ("Job", {"spec.completions": 5}, "spec.completions: Invalid value: 5: field is immutable"),
        ("Job", {"spec.template.spec.schedulerName": "x"}, "spec.template: Invalid value"),
        ("EndpointSlice", {"addressType": "IPv6", "endpoints": []}, "field is immutable"),
        ("VolumeAttachment", {"spec.nodeName": "b"}, "field is immutable"),
        (
            "CSIDriver",
            {"spec.attachRequired": False},
            "spec.attachedRequired: Invalid value: false: field is immutable",
        ),
        ("CSIDriver", {"spec.volumeLifecycleModes": ["Ephemeral"]}, "spec.volumeLifecycleModes: Invalid value"),
        ("RoleBinding", {"roleRef.name": "b"}, "cannot change roleRef"),
        ("PriorityClass", {"value": 11}, "value: Forbidden: may not be changed in an update."),
        (
            "StorageClass",
            {"provisioner": "b.example.com"},
            'provisioner: Invalid value: "b.example.com": field is immutable',
        ),
        ("Secret", {"type": "example.com/other"}, "type: Invalid value: "),
        (
            "PersistentVolumeClaim",
            {"spec.volumeMode": "Block"},
            "spec: Forbidden: spec is immutable after creation except",
        ),
        ("PersistentVolume", {"spec.hostPath.path": "/b"}, "spec.persistentvolumesource is immutable after creation"),
    ],
)
def test_some_things_are_said_once(kind: str, changes: dict[str, Any], message: str) -> None:
    found = update_problems(kind, changes)

    assert any(message in problem for problem in found), found


def test_workloads_scale_and_roll() -> None:
    template = {"spec.replicas": 9, "spec.template.spec.containers.0.image": "other"}

    assert update_problems("Deployment", template) == []
    assert update_problems("StatefulSet", template) == []
    assert update_problems("DaemonSet", {"spec.template.spec.containers.0.image": "other"}) == []


def test_a_cluster_ip_stays_unless_the_service_moves_outside() -> None:
    before = {"spec.clusterIP": "10.0.0.1"}

    (found,) = update_problems("Service", {"spec.clusterIP": "10.0.0.2", "spec.clusterIPs": ["10.0.0.2"]}, before)
    outside = {
        "spec.type": "ExternalName",
        "spec.externalName": "a.b",
        **{f"spec.{key}": ABSENT for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")},
    }

    assert "may not change once set" in found
    assert update_problems("Service", {"spec.clusterIP": ABSENT, "spec.clusterIPs": ABSENT}, before) == []
    assert update_problems("Service", outside, before) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"spec.ipFamilyPolicy": "RequireDualStack"},
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": '
            "this cluster is not configured for dual-stack services",
        ),
        (
            {"spec.ipFamilyPolicy": "PreferDualStack", "spec.ipFamilies": ["IPv6"]},
            'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
        ),
        (
            {"spec.ipFamilyPolicy": "SingleStack", "spec.ipFamilies": ["IPv4", "IPv6"], "spec.clusterIP": "None"},
            'spec.ipFamilyPolicy: Invalid value: "SingleStack": must be '
            "'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
        ),
    ],
)
def test_a_service_has_addresses_of_the_family_that_the_cluster_has(spec: dict[str, Any], message: str) -> None:
    assert problems("Service", {**spec, "spec.selector": ABSENT}) == [message]


def test_a_headless_service_that_selects_nothing_may_have_both_families_and_others_may_wish_for_them() -> None:
    both = {"spec.ipFamilyPolicy": "RequireDualStack", "spec.ipFamilies": ["IPv4", "IPv6"]}

    assert problems("Service", {**both, "spec.clusterIP": "None", "spec.selector": ABSENT}) == []
    assert problems("Service", {"spec.ipFamilyPolicy": "PreferDualStack", "spec.ipFamilies": ["IPv4"]}) == []


def test_immutable_data_does_not_change() -> None:
    before = {"immutable": True}

    assert update_problems("ConfigMap", {"data": {"key": "other"}}, before) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]
    assert update_problems("ConfigMap", {"immutable": ABSENT}, before) == [
        "immutable: Forbidden: field is immutable when `immutable` is set"
    ]
    assert update_problems("ConfigMap", {"data": {"key": "other"}}) == []


def test_a_node_is_given_its_addresses_once() -> None:
    cidrs = {"spec.podCIDR": "10.0.0.0/24", "spec.podCIDRs": ["10.0.0.0/24"]}

    assert update_problems("Node", cidrs) == []
    assert update_problems("Node", {"spec.podCIDRs": ["10.1.0.0/24"]}, cidrs) == [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'
    ]


def test_a_suspended_job_may_still_be_placed() -> None:
    place = {"spec.template.spec.nodeSelector": {"a": "b"}}

    assert update_problems("Job", place, {"spec.suspend": True}) == []
    assert update_problems("Job", place) != []


def test_a_bound_claim_grows_and_does_not_shrink() -> None:
    from actors.apiserver.rules.validate.storage import persistent_volume_claim
    from tests.apiserver.rules.judged import changed

    status = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
    old = {**created("PersistentVolumeClaim"), **status}
    size = "spec.resources.requests.storage"

    assert list(persistent_volume_claim(changed(old, {size: "2Gi"}), old)) == []
    (error,) = persistent_volume_claim(changed(old, {size: "1Mi"}), old)
    assert str(error) == f"{size}: Forbidden: field can not be less than status.capacity"


@pytest.mark.parametrize("schedule", ["@daily", "@every 5m", "0 */2 * * MON-FRI", "0 0 1 1,jul *", "5/15 * * * 6"])
def test_schedules_are_cron(schedule: str) -> None:
    assert problems("CronJob", {"spec.schedule": schedule}) == []


def test_a_claim_of_a_stateful_set_is_a_volume_of_its_pods() -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    mount = {"spec.template.spec.containers.0.volumeMounts": [{"name": "data", "mountPath": "/data"}]}

    with_claim = problems("StatefulSet", {**mount, "spec.volumeClaimTemplates": [claim]})

    assert with_claim == []
    assert problems("StatefulSet", {**mount, "spec.volumeClaimTemplates": []}) == [
        'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"'
    ]
