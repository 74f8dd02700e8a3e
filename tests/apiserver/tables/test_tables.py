"""Tables of all kinds: what `kubectl get` makes of them."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.apiserver.schema.resources import RESOURCES, by_kind, find
from actors.apiserver.schema.types import Types
from actors.apiserver.tables import table
from actors.apiserver.tables.cells import human_duration
from tests.apiserver.rules.judged import created
from tests.apiserver.rules.of_type import objects_of

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


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
# Up to which age a duration is exact to which unit.
EXACT_TO = {600: "s", 8 * 3600: "m", 8 * 86400: "h", 8 * 365 * 86400: "d", 10**12: "y"}


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


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_any_object_has_a_row_of_the_right_width_that_is_json(data: st.DataObject) -> None:
    resource = data.draw(st.sampled_from([resource for resource in RESOURCES if resource.stored]))
    obj = data.draw(objects_of(TYPES, resource))

    shown = table(resource, [obj], now=NOW)

    assert len(shown["rows"][0]["cells"]) == len(shown["columnDefinitions"])
    orjson.dumps(shown)


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
        (shown("ServiceAccount"), ["a", 0, "60m"]),
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


def test_nodes_show_their_readiness_roles_and_addresses() -> None:
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": "127.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.35.0", "osImage": "Debian"},
    }
    roles = {"metadata.labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge"}}

    node = shown("Node", {**roles, "spec.unschedulable": True}, status=status)
    lost = shown("Node", status={"conditions": [{"type": "Ready", "status": "Unknown"}]})

    assert list(node.values()) == [
        "a", "Ready,SchedulingDisabled", "edge,worker", "60m", "v1.35.0", "127.0.0.1", "<none>", "Debian",
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
