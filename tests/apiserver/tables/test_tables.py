"""Tables of all kinds: what `kubectl get` makes of them."""

import re
from typing import Any, get_args

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actors.apiserver.elapsed import Elapsed, human_duration
from actors.apiserver.scale import scale_of
from actors.apiserver.schema.resources import RESOURCES, by_kind, find
from actors.apiserver.schema.types import Types
from actors.apiserver.tables import Include, table
from actors.apiserver.tables import row as kept_row
from tests.apiserver.rules.judged import created
from tests.apiserver.rules.of_type import objects_of
from tests.effort import examples

NOW = 1767229200.0  # an hour after the objects were created
TYPES = Types.load()


def row(obj: dict[str, Any]) -> dict[str, Any]:
    resource = by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    shown = table(resource, [obj], now=NOW)
    names = [column["name"] for column in shown["columnDefinitions"]]
    return dict(zip(names, shown["rows"][0]["cells"], strict=True))


def shown(kind: str, changes: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    return row({**created(kind, changes), **rest})


ENDING = {**created("ResourceClaim"), "status": {"allocation": {}, "reservedFor": [{}]}}
ENDING["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
# Up to which age a duration is exact to which unit.
EXACT_TO = {600: "s", 8 * 3600: "m", 8 * 86400: "h", 8 * 365 * 86400: "d", 10**12: "y"}


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.integers(0, 20 * 365 * 86400) | st.integers(0, 200_000))
def test_a_duration_is_cut_and_never_rounded(seconds: int) -> None:
    said = sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)([smhdy])", human_duration(seconds)))

    exact_to = next(unit for limit, unit in EXACT_TO.items() if seconds < limit)
    assert said <= seconds < said + UNITS[exact_to]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9, "0s"),
        (119, "119s"),
        (120, "2m"),
        (312, "5m12s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (12000, "3h20m"),
        (28800, "8h"),
        (47 * 3600, "47h"),
        (76 * 3600, "3d4h"),
        (8 * 86400, "8d"),
        (740 * 86400, "2y10d"),
        (9 * 365 * 86400, "9y"),
        (-1.5, "0s"),
        (-2, "<invalid>"),
    ],
)
def test_ages_have_kubectls_form(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@settings(max_examples=200, deadline=None)
@given(st.integers(-5, 1000) | st.integers(0, 200_000) | st.integers(0, 20 * 365 * 86400), st.floats(0, 1))
@example(-3, 0.9)
def test_the_text_of_an_age_stays_until_it_is_said_to_change(seconds: int, share: float) -> None:
    age = Elapsed(NOW, "3 (", " ago)")
    now = NOW + seconds + 0.5

    until = age.changes_at(now)

    assert now < until <= now + 86400
    assert age.text(now) == age.text(now + share * (until - 0.001 - now))
    assert seconds < 0 or seconds > 8 * 86400 or age.text(now) != age.text(until)


def test_a_row_is_kept_and_only_its_ages_are_of_now() -> None:
    pods, pod = find("pods"), created("Pod")
    assert pods is not None
    ended = {"terminated": {"finishedAt": "2026-01-01T00:59:00Z", "exitCode": 1}}
    pod["status"] = {"containerStatuses": [{"name": "a", "restartCount": 3, "lastState": ended}]}
    made = kept_row(pods, pod, "None")

    then, later = (orjson.loads(b"".join(made.parts(now)))["cells"] for now in (NOW, NOW + 3600))

    assert (then[3], then[4]) == ("3 (60s ago)", "60m")
    assert (later[3], later[4]) == ("3 (61m ago)", "120m")


def test_a_table_carries_as_much_of_each_object_as_was_asked_for() -> None:
    obj, namespaces = created("Namespace"), find("namespaces")
    assert namespaces is not None

    metadata = table(namespaces, [obj], now=NOW, revision="42")
    whole = table(namespaces, [obj], now=NOW, include="Object")
    none = table(namespaces, [obj], now=NOW, include="None")

    assert (metadata["kind"], metadata["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert metadata["metadata"] == {"resourceVersion": "42"}
    assert metadata["rows"][0]["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }
    assert whole["rows"][0]["object"] == obj
    assert none["rows"][0]["object"] is None
    assert metadata["columnDefinitions"][0] == {
        "name": "Name",
        "type": "string",
        "format": "name",
        "description": "Name must be unique within a namespace.",
        "priority": 0,
    }


def test_wide_columns_have_priority_one() -> None:
    nodes = find("nodes")
    assert nodes is not None

    columns = table(nodes, [], now=NOW)["columnDefinitions"]

    assert [column["name"] for column in columns if not column["priority"]] == [
        "Name",
        "Status",
        "Roles",
        "Age",
        "Version",
    ]
    assert len([column for column in columns if column["priority"] == 1]) == 5


@pytest.mark.slow
@settings(
    max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.data())
def test_any_object_has_a_row_of_the_right_width_that_is_json(data: st.DataObject) -> None:
    resource = data.draw(
        st.sampled_from([resource for resource in RESOURCES if resource.stored and TYPES.has(resource)])
    )
    obj = data.draw(objects_of(TYPES, resource))

    shown = table(resource, [obj], now=NOW)

    assert len(shown["rows"][0]["cells"]) == len(shown["columnDefinitions"])
    for include in get_args(Include):
        (made,) = table(resource, [obj], now=NOW, include=include)["rows"]
        assert b"".join(kept_row(resource, obj, include).parts(NOW)) == orjson.dumps(made)


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (
            shown("Deployment", {"spec.replicas": 3}, status={"readyReplicas": 2, "updatedReplicas": 1}),
            ["a", "2/3", 1, 0, "60m", "web", "nginx", "app=a"],
        ),
        (
            shown("ReplicaSet", {"spec.replicas": 3}, status={"replicas": 2}),
            ["a", 3, 2, 0, "60m", "web", "nginx", "app=a"],
        ),
        (shown("ServiceCIDR", {"spec.cidrs": ["10.8.0.0/16", "fd00::/64"]}), ["a", "10.8.0.0/16,fd00::/64", "60m"]),
        (shown("IPAddress"), ["10.8.0.7", "services/default/a"]),
        (
            shown("IPAddress", {"spec.parentRef": {"group": "a.b", "resource": "pools", "name": "p"}}),
            ["10.8.0.7", "pools.a.b/p"],
        ),
        (shown("VolumeAttributesClass"), ["a", "disk.example.com", "60m"]),
        (shown("DeviceClass"), ["a", "60m"]),
        (shown("ResourceClaim"), ["a", "pending", "60m"]),
        (shown("ResourceClaim", status={"allocation": {}}), ["a", "allocated", "60m"]),
        (
            row(ENDING),
            ["a", "deleted,allocated,reserved", "60m"],
        ),
        (shown("ResourceClaimTemplate"), ["a", "60m"]),
        (shown("ResourceSlice"), ["a", "node-1", "gpu.example.com", "node-1", "60m"]),
        (shown("StatefulSet", status={"readyReplicas": 1}), ["a", "1/1", "60m", "web", "nginx"]),
        (
            shown("DaemonSet", status={"desiredNumberScheduled": 3, "numberReady": 2}),
            ["a", 3, 0, 2, 0, 0, "<none>", "60m", "web", "nginx", "app=a"],
        ),
        (
            shown(
                "Job",
                status={
                    "succeeded": 1,
                    "startTime": "2026-01-01T00:00:00Z",
                    "completionTime": "2026-01-01T00:01:05Z",
                    "conditions": [{"type": "Complete", "status": "True"}],
                },
            ),
            ["a", "Complete", "1/1", "65s", "60m", "web", "nginx", "batch.kubernetes.io/controller-uid=u"],
        ),
        (
            shown("CronJob", status={"lastScheduleTime": "2026-01-01T00:58:00Z", "active": [{}]}),
            ["a", "*/5 0-12 1,15 JAN-mar ?", "<none>", "False", 1, "2m", "60m", "web", "nginx", "<none>"],
        ),
        (
            shown("Service", {"spec.type": "NodePort", "spec.clusterIP": "10.0.0.1", "spec.ports.0.nodePort": 30080}),
            ["a", "NodePort", "10.0.0.1", "<none>", "80:30080/TCP", "60m", "app=a"],
        ),
        (
            shown("Service", {"spec.type": "LoadBalancer"}),
            ["a", "LoadBalancer", "<none>", "<pending>", "80/TCP", "60m", "app=a"],
        ),
        (
            shown(
                "Endpoints",
                {"subsets.0.addresses": [{"ip": f"10.0.0.{last}"} for last in range(1, 6)]},
            ),
            ["a", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...", "60m"],
        ),
        (shown("EndpointSlice"), ["a", "IPv4", "80", "10.0.0.1", "60m"]),
        (shown("Namespace"), ["a", "Active", "60m"]),
        (shown("ConfigMap", {"binaryData": {"b": ""}}), ["a", 2, "60m"]),
        (shown("Secret"), ["a", "Opaque", 1, "60m"]),
        (shown("ServiceAccount"), ["a", "60m"]),
        (shown("Lease"), ["a", "a", "60m"]),
        (shown("ClusterRole"), ["system:a", "2026-01-01T00:00:00Z"]),
        (shown("RoleBinding"), ["a", "Role/a", "60m", "", "a", ""]),
        (shown("ClusterRoleBinding"), ["system:a", "ClusterRole/system:a", "60m", "a", "", "default/a"]),
        (shown("Ingress"), ["a", "<none>", "*.example.com", "", "80", "60m"]),
        (shown("PodDisruptionBudget"), ["a", "50%", "N/A", 0, "60m"]),
        (shown("PriorityClass"), ["a", 10, False, "60m", "PreemptLowerPriority"]),
        (
            shown("HorizontalPodAutoscaler", status={"currentReplicas": 2}),
            ["a", "Deployment/a", "cpu: <unknown>/80%", "1", 3, 2, "60m"],
        ),
        (
            shown("StorageClass", {"metadata.annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}),
            ["a (default)", "example.com/a", "Delete", "Immediate", False, "60m"],
        ),
        (
            shown("PersistentVolume"),
            ["a", "1Gi", "RWO", "Retain", "Pending", "", "", "<unset>", "", "60m", "Filesystem"],
        ),
        (
            shown("PersistentVolumeClaim"),
            ["a", "Pending", "", "", "", "", "<unset>", "60m", "Filesystem"],
        ),
        (
            shown("ResourceQuota", status={"hard": {"pods": "10", "limits.cpu": "2"}, "used": {"pods": "1"}}),
            ["a", "pods: 1/10", "limits.cpu: 0/2", "60m"],
        ),
    ],
)  # fmt: skip
def test_each_kind_has_its_columns(row: dict[str, Any], cells: list[Any]) -> None:
    assert list(row.values()) == cells


def test_a_scale_shows_what_is_wanted_and_what_there_is() -> None:
    deployments = find("deployments.apps")
    assert deployments is not None
    obj = scale_of(deployments, {**created("Deployment", {"spec.replicas": 3}), "status": {"replicas": 2}})

    shown = table(deployments, [obj], now=NOW)

    assert [column["name"] for column in shown["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert shown["rows"][0]["cells"] == ["a", 3, 2, "60m"]


def test_nodes_show_their_readiness_roles_and_addresses() -> None:
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": "127.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Debian"},
    }
    roles = {"metadata.labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge"}}

    node = shown("Node", {**roles, "spec.unschedulable": True}, status=status)
    lost = shown("Node", status={"conditions": [{"type": "Ready", "status": "Unknown"}]})

    assert list(node.values()) == [
        "a", "Ready,SchedulingDisabled", "edge,worker", "60m", "v1.36.0", "127.0.0.1", "<none>", "Debian",
        "<unknown>", "<unknown>",
    ]  # fmt: skip
    assert (lost["Status"], lost["Roles"]) == ("NotReady", "<none>")
    assert shown("Node", status={})["Status"] == "Unknown"


def test_events_of_both_apis_show_when_what_and_about_whom() -> None:
    core = shown(
        "Event",
        {
            "message": " Started container web\n",
            "lastTimestamp": "2026-01-01T00:55:00Z",
            "firstTimestamp": "2026-01-01T00:50:00Z",
            "count": 3,
            "source": {"component": "kubelet", "host": "node-1"},
        },
    )
    series = {"count": 7, "lastObservedTime": "2026-01-01T00:59:00.000000Z"}
    newer = row(
        {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": "b"},
            "eventTime": "2026-01-01T00:50:00.000000Z",
            "series": series,
            "regarding": {"kind": "Node"},
            "note": "x",
            "reportingController": "scheduler",
        }
    )

    assert list(core.values()) == [
        "5m", "Normal", "Started", "pod/a", "", "kubelet, node-1", "Started container web", "10m", 3, "a",
    ]  # fmt: skip
    assert list(newer.values()) == ["60s", "", "", "node", "", "scheduler", "x", "10m", 7, "b"]
