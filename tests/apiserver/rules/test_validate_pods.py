"""Pod specs: what is refused, in which words."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.rules.validate.pod_update import pod_update
from tests.apiserver.rules.judged import ABSENT, created, problems, update_problems

C = "spec.containers.0."
MOUNT = {"name": "data", "mountPath": "/data"}
EXEC = {"exec": {"command": ["true"]}}


def test_a_command_needs_no_image_and_nothing_at_all_is_refused_with_advice() -> None:
    assert problems("Pod", {C + "image": ABSENT, C + "command": ["sleep", "1"]}) == []
    assert problems("Pod", {C + "image": ABSENT}) == [
        "spec.containers[0].image: Required value: name an image, or give a command: a command runs without one"
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spec.containers": []}, "spec.containers: Required value"),
        ({C + "name": ABSENT}, "spec.containers[0].name: Required value"),
        ({C + "name": "Web"}, 'spec.containers[0].name: Invalid value: "Web": a lowercase RFC 1123 label'),
        (
            {"spec.containers": [{"name": "a", "image": "x"}, {"name": "a", "image": "y"}]},
            'spec.containers[1].name: Duplicate value: "a"',
        ),
        (
            {"spec.initContainers": [{"name": "web", "image": "x"}]},
            'spec.initContainers[0].name: Duplicate value: "web"',
        ),
        (
            {C + "image": " nginx"},
            'spec.containers[0].image: Invalid value: " nginx": must not have leading or trailing',
        ),
        (
            {C + "imagePullPolicy": "Sometimes"},
            'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", '
            '"IfNotPresent", "Never"',
        ),
        ({"spec.restartPolicy": "Sometimes"}, 'spec.restartPolicy: Unsupported value: "Sometimes": supported values: '),
        (
            {"spec.dnsPolicy": "None"},
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        ({"spec.nodeSelector": {"a": "b c"}}, 'spec.nodeSelector: Invalid value: "b c"'),
        ({"spec.serviceAccountName": "A"}, 'spec.serviceAccountName: Invalid value: "A"'),
        ({"spec.activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and"),
        ({C + "ports": [{}]}, "spec.containers[0].ports[0].containerPort: Required value"),
        (
            {C + "ports": [{"containerPort": 70000}]},
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            {C + "ports": [{"containerPort": 80, "protocol": "ICMP"}]},
            'spec.containers[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
        ),
        (
            {C + "ports": [{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}]},
            'spec.containers[0].ports[1].name: Duplicate value: "a"',
        ),
        (
            {C + "ports": [{"containerPort": 80, "hostPort": 1}, {"containerPort": 81, "hostPort": 1}]},
            'spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//1"',
        ),
        ({C + "env": [{"name": "A=B"}]}, "a valid environment variable name must consist only of printable ASCII"),
        ({C + "env": [{"value": "b"}]}, "spec.containers[0].env[0].name: Required value"),
        (
            {C + "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.secret"}}}]},
            'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.secret": error converting '
            "fieldPath: field label not supported: spec.secret",
        ),
        ({C + "env": [{"name": "A", "valueFrom": {}}]}, "must specify one of: `fieldRef`, `resourceFieldRef`, "),
        (
            {C + "env": [{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            "may not be specified when `value` is not empty",
        ),
        ({C + "envFrom": [{}]}, "must specify one of: `configMapRef` or `secretRef`"),
        ({C + "volumeMounts": [MOUNT]}, 'spec.containers[0].volumeMounts[0].name: Not found: "data"'),
        (
            {"spec.volumes": [{"name": "data"}], C + "volumeMounts": [MOUNT, MOUNT]},
            'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/data": must be unique',
        ),
        ({"spec.volumes": [{"name": "a"}, {"name": "a"}]}, 'spec.volumes[1].name: Duplicate value: "a"'),
        (
            {"spec.volumes": [{"name": "a", "emptyDir": {}, "hostPath": {"path": "/"}}]},
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        ({"spec.volumes": [{"name": "a", "secret": {}}]}, "spec.volumes[0].secret.secretName: Required value"),
        (
            {C + "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}},
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (
            {C + "resources": {"requests": {"cpu": "-1"}}},
            'requests[cpu]: Invalid value: "-1": must be greater than or equal',
        ),
        (
            {C + "resources": {"requests": {"pods": "1"}}},
            'Invalid value: "pods": must be a standard resource for containers',
        ),
        (
            {C + "resources": {"limits": {"a.b/gpu": "2"}, "requests": {"a.b/gpu": "1"}}},
            'requests: Invalid value: "1": must be equal to a.b/gpu limit of 2',
        ),
        ({C + "livenessProbe": {}}, "spec.containers[0].livenessProbe: Required value: must specify a handler type"),
        (
            {C + "livenessProbe": {**EXEC, "successThreshold": 2}},
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            {C + "readinessProbe": {**EXEC, "tcpSocket": {"port": 1}}},
            "spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ),
        (
            {C + "readinessProbe": {"httpGet": {"port": 0}}},
            "readinessProbe.httpGet.port: Invalid value: 0: must be between",
        ),
        (
            {C + "lifecycle": {"preStop": {}}},
            "spec.containers[0].lifecycle.preStop: Required value: must specify a handler",
        ),
        (
            {"spec.initContainers": [{"name": "i", "image": "x", "readinessProbe": EXEC}]},
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without "
            "restartPolicy=Always",
        ),
        (
            {"spec.tolerations": [{"operator": "Equal"}]},
            'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty',
        ),
        (
            {"spec.tolerations": [{"key": "a", "operator": "Exists", "effect": "Never"}]},
            'spec.tolerations[0].effect: Unsupported value: "Never": supported values: "NoSchedule", ',
        ),
        (
            {"spec.tolerations": [{"key": "a", "tolerationSeconds": 1}]},
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
        (
            {
                "spec.topologySpreadConstraints": [
                    {"maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}
                ]
            },
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        ),
    ],
)
def test_a_bad_pod_is_refused(changes: dict[str, Any], message: str) -> None:
    found = problems("Pod", changes)

    assert any(message in problem for problem in found), found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("affinity", "message"),
    [
        (
            {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}},
            "nodeSelectorTerms: Required value: must have at least one node selector term",
        ),
        (
            {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "a", "labelSelector": {
                "matchExpressions": [{"key": "a", "operator": "In"}]}}]}},
            "values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 101, "podAffinityTerm": {"topologyKey": "a"}}]}},
            "weight: Invalid value: 101: must be in the range 1-100",
        ),
    ],
)  # fmt: skip
def test_bad_affinity_is_refused(affinity: dict[str, Any], message: str) -> None:
    (found,) = problems("Pod", {"spec.affinity": affinity})

    assert found.endswith(message)


HAS_A = {"key": "a", "operator": "Exists"}
SAME_A = {"key": "a", "operator": "In", "values": ["1"]}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"matchLabelKeys": ["a"]}, []),
        (
            {"labelSelector": None, "matchLabelKeys": ["a"], "mismatchLabelKeys": ["b"]},
            [
                ".matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
                ".mismatchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
            ],
        ),
        (
            {"labelSelector": {"matchLabels": {"a": "1"}, "matchExpressions": [SAME_A]}, "matchLabelKeys": ["b", "a"]},
            ['[1]: Invalid value: "a": exists in both matchLabelKeys and labelSelector'],
        ),
        (
            {"labelSelector": {"matchExpressions": [HAS_A, SAME_A]}, "matchLabelKeys": ["a"]},
            ['[0]: Invalid value: "a": exists in both matchLabelKeys and labelSelector'],
        ),
        (
            {"matchLabelKeys": ["a"], "mismatchLabelKeys": ["a"]},
            ['.matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and mismatchLabelKeys'],
        ),
        (
            {"mismatchLabelKeys": ["/a"]},
            ['.mismatchLabelKeys[0]: Invalid value: "/a": prefix part must be non-empty'],
        ),
    ],
)  # fmt: skip
def test_label_keys_of_affinity(changes: dict[str, Any], found: list[str]) -> None:
    term = {"topologyKey": "zone", "labelSelector": {}} | changes
    where = "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution"

    assert problems("Pod", {where: [term]}) == [f"{where}[0]{problem}" for problem in found]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"minDomains": 2, "nodeAffinityPolicy": "Ignore", "matchLabelKeys": ["a"]}, []),
        ({"minDomains": 0}, [".minDomains: Invalid value: 0: must be greater than zero"]),
        (
            {"minDomains": 1, "whenUnsatisfiable": "ScheduleAnyway"},
            [".minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule,"
             " not ScheduleAnyway"],
        ),
        ({"nodeTaintsPolicy": "X"}, ['.nodeTaintsPolicy: Unsupported value: "X": supported values: "Honor", "Ignore"']),
        (
            {"labelSelector": None, "matchLabelKeys": ["a"]},
            [".matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"],
        ),
    ],
)  # fmt: skip
def test_details_of_spread_constraints(changes: dict[str, Any], found: list[str]) -> None:
    constraint = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}

    problem = problems("Pod", {"spec.topologySpreadConstraints": [constraint | changes]})

    assert problem == [f"spec.topologySpreadConstraints[0]{each}" for each in found]


def test_sidecars_may_have_probes() -> None:
    sidecar = {"name": "s", "image": "x", "restartPolicy": "Always", "readinessProbe": EXEC}

    assert problems("Pod", {"spec.initContainers": [sidecar]}) == []


# -- updates -----------------------------------------------------------------------------------------------------------

KEY = {"key": "a", "operator": "Exists"}


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ({}, {C + "image": "other"}),
        ({}, {"spec.activeDeadlineSeconds": 10}),
        ({"spec.activeDeadlineSeconds": 10}, {"spec.activeDeadlineSeconds": 5}),
        ({"spec.tolerations": [KEY]}, {"spec.tolerations": [{**KEY, "effect": "NoSchedule"}, KEY]}),
        ({"spec.schedulingGates": [{"name": "a"}]}, {"spec.schedulingGates": []}),
        ({"spec.schedulingGates": [{"name": "a"}]}, {"spec.nodeSelector": {"a": "b"}}),
        ({}, {"metadata.labels": {"a": "b"}}),
        ({}, {"spec.imagePullSecrets": [], "spec.subdomain": ""}),
    ],
)
def test_little_of_a_pod_may_change(before: dict[str, Any], changes: dict[str, Any]) -> None:
    assert update_problems("Pod", changes, before) == []


@pytest.mark.parametrize(
    ("before", "changes", "message"),
    [
        (
            {},
            {C + "args": ["x"]},
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`",
        ),
        ({}, {"spec.containers.0.name": "other"}, "changed: spec.containers"),
        ({}, {"spec.nodeName": "other"}, "changed: spec.nodeName"),
        ({}, {"spec.automountServiceAccountToken": False}, "changed: spec.automountServiceAccountToken"),
        ({}, {"spec.dnsConfig": {}}, "changed: spec.dnsConfig"),
        (
            {},
            {"spec.initContainers": [{"name": "i", "image": "x"}]},
            "pod updates may not add or remove init containers",
        ),
        (
            {"spec.activeDeadlineSeconds": 5},
            {"spec.activeDeadlineSeconds": 6},
            "must be less than or equal to previous value",
        ),
        (
            {"spec.activeDeadlineSeconds": 5},
            {"spec.activeDeadlineSeconds": ABSENT},
            "must not update from a positive integer",
        ),
        ({"spec.tolerations": [KEY]}, {"spec.tolerations": []}, "existing toleration can not be modified"),
        ({}, {"spec.schedulingGates": [{"name": "a"}]}, "only deletion is allowed, but found new scheduling gate 'a'"),
        (
            {"spec.schedulingGates": [{"name": "a"}], "spec.nodeSelector": {"a": "b"}},
            {"spec.nodeSelector": {"a": "c"}},
            "only additions to spec.nodeSelector are allowed",
        ),
    ],
)
def test_the_rest_of_a_pod_is_fixed(before: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    (found,) = update_problems("Pod", changes, before)

    assert message in found


leaves = st.sampled_from(["restartPolicy", "nodeName", "hostNetwork", "priority", "volumes", "dnsConfig", "subdomain"])
changeable = st.sampled_from(["activeDeadlineSeconds", "tolerations", "image"])


@pytest.mark.slow
@settings(deadline=None)
@given(st.sets(leaves, max_size=3), st.sets(changeable, max_size=3))
def test_an_update_is_refused_exactly_when_it_changes_something_fixed(fixed: set[str], free: set[str]) -> None:
    old = created("Pod")["spec"]
    new = copy.deepcopy(old)
    for key in fixed:
        new[key] = "changed"
    if "image" in free:
        new["containers"][0]["image"] = "changed"
    if "tolerations" in free:
        new["tolerations"] = [KEY]
    if "activeDeadlineSeconds" in free:
        new["activeDeadlineSeconds"] = 7

    found = [str(error) for error in pod_update(new, old)]

    assert bool(found) == bool(fixed)
    assert all(f"spec.{key}" in found[0].split("\nchanged: ")[1].split(", ") for key in fixed)


def test_a_status_may_not_revive_a_container_that_must_not_restart() -> None:
    ended = [{"name": "web", "state": {"terminated": {"exitCode": 0}}}]
    old = {**created("Pod", {"spec.restartPolicy": "Never"}), "status": {"containerStatuses": ended}}
    running = {**old, "status": {"containerStatuses": [{"name": "web", "state": {"running": {}}}]}}

    from actors.apiserver.rules.validate.pod_status import pod_status

    assert [str(error) for error in pod_status(running, old)] == [
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    ]
    assert list(pod_status(old, old)) == []
