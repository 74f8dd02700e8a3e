"""Pods as `kubectl get pods -o wide` shows them."""

from typing import Any

import pytest

from actors.apiserver.schema.resources import find
from actors.apiserver.tables import table

NOW = 1767225600.0  # 2026-01-01T00:00:00Z
PODS = find("pods")
RUNNING = {"running": {}}


def row(pod: dict[str, Any]) -> dict[str, Any]:
    """The cells by column name."""
    assert PODS is not None
    pod = {"metadata": {"name": "web", "creationTimestamp": "2025-12-31T23:55:00Z"}, **pod}
    shown = table(PODS, [pod], now=NOW)
    names = [column["name"] for column in shown["columnDefinitions"]]
    return dict(zip(names, shown["rows"][0]["cells"], strict=True))


def container(name: str = "web", ready: bool = False, restarts: int = 0, **state: Any) -> dict[str, Any]:
    return {"name": name, "ready": ready, "restartCount": restarts, "state": state}


def pod(*statuses: dict[str, Any], phase: str = "Running", spec: Any = None, **status: Any) -> dict[str, Any]:
    containers = [{"name": entry["name"]} for entry in statuses] or [{"name": "web"}]
    return {
        "spec": {"containers": containers, **(spec or {})},
        "status": {"phase": phase, "containerStatuses": list(statuses), **status},
    }


def test_a_running_pod() -> None:
    shown = row(
        pod(
            container(ready=True, running={}),
            spec={"nodeName": "node-1"},
            podIPs=[{"ip": "10.0.0.1"}],
            podIP="10.0.0.1",
        )
    )

    assert shown == {
        "Name": "web",
        "Ready": "1/1",
        "Status": "Running",
        "Restarts": "0",
        "Age": "5m",
        "IP": "10.0.0.1",
        "Node": "node-1",
        "Nominated Node": "<none>",
        "Readiness Gates": "<none>",
    }


@pytest.mark.parametrize(
    ("obj", "status", "ready"),
    [
        (pod(phase="Pending"), "Pending", "0/1"),
        (pod(container(waiting={"reason": "ContainerCreating"}), phase="Pending"), "ContainerCreating", "0/1"),
        (pod(container(waiting={"reason": "CrashLoopBackOff"})), "CrashLoopBackOff", "0/1"),
        (pod(container(waiting={"reason": "ImagePullBackOff"}), phase="Pending"), "ImagePullBackOff", "0/1"),
        (pod(container(terminated={"reason": "Completed"}), phase="Succeeded"), "Completed", "0/1"),
        (pod(container(terminated={"reason": "Error", "exitCode": 1}), phase="Failed"), "Error", "0/1"),
        (pod(container(terminated={"exitCode": 3}), phase="Failed"), "ExitCode:3", "0/1"),
        (pod(container(terminated={"signal": 9, "exitCode": 137}), phase="Failed"), "Signal:9", "0/1"),
        (pod(phase="Failed", reason="Evicted"), "Evicted", "0/1"),
        (
            pod(container("a", waiting={"reason": "First"}), container("b", waiting={"reason": "Last"})),
            "First",
            "0/2",
        ),
        (
            pod(
                container("a", ready=True, running={}),
                container("b", terminated={"reason": "Completed"}),
                conditions=[{"type": "Ready", "status": "True"}],
            ),
            "Running",
            "1/2",
        ),
        (
            pod(container("a", ready=True, running={}), container("b", terminated={"reason": "Completed"})),
            "NotReady",
            "1/2",
        ),
        (
            pod(
                phase="Pending",
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
            ),
            "SchedulingGated",
            "0/1",
        ),
        (
            {**pod(container(running={})), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
            "Terminating",
            "0/1",
        ),
        (
            {**pod(phase="Running", reason="NodeLost"), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
            "Unknown",
            "0/1",
        ),
        (
            {
                **pod(container(terminated={"reason": "Completed"}), phase="Succeeded"),
                "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            },
            "Completed",
            "0/1",
        ),
    ],
)
def test_the_status_is_what_the_containers_say(obj: dict[str, Any], status: str, ready: str) -> None:
    shown = row(obj)

    assert (shown["Status"], shown["Ready"]) == (status, ready)


INIT = {"initContainers": [{"name": "one"}, {"name": "two"}]}
SIDECAR = {"initContainers": [{"name": "side", "restartPolicy": "Always"}, {"name": "two"}]}
DONE = {"terminated": {"exitCode": 0}}


@pytest.mark.parametrize(
    ("spec", "init", "status", "ready"),
    [
        (INIT, [container("one", waiting={})], "Init:0/2", "0/1"),
        (INIT, [container("one", **DONE), container("two", waiting={"reason": "PodInitializing"})], "Init:1/2", "0/1"),
        (INIT, [container("one", waiting={"reason": "CrashLoopBackOff"})], "Init:CrashLoopBackOff", "0/1"),
        (INIT, [container("one", terminated={"exitCode": 2})], "Init:ExitCode:2", "0/1"),
        (INIT, [container("one", terminated={"exitCode": 1, "reason": "Error"})], "Init:Error", "0/1"),
        (INIT, [container("one", **DONE), container("two", **DONE)], "PodInitializing", "0/1"),
        (
            SIDECAR,
            [{**container("side", ready=True, running={}), "started": True}, container("two", waiting={})],
            "Init:1/2",
            "1/2",
        ),
        (
            SIDECAR,
            [{**container("side", ready=True, running={}), "started": True}, container("two", **DONE)],
            "PodInitializing",
            "1/2",
        ),
    ],
)
def test_init_containers_come_first(spec: Any, init: list[dict[str, Any]], status: str, ready: str) -> None:
    waiting = container(waiting={"reason": "PodInitializing"})

    shown = row(pod(waiting, phase="Pending", spec=spec, initContainerStatuses=init))

    assert (shown["Status"], shown["Ready"]) == (status, ready)


def test_restarts_are_summed_with_the_time_of_the_last() -> None:
    ended = {"terminated": {"finishedAt": "2025-12-31T23:55:00Z"}}
    earlier = {"terminated": {"finishedAt": "2025-12-31T22:00:00Z"}}
    one = {**container("a", restarts=2, ready=True, running={}), "lastState": earlier}
    two = {**container("b", restarts=1, ready=True, running={}), "lastState": ended}

    assert row(pod(one, two))["Restarts"] == "3 (5m ago)"
    assert row(pod(container(restarts=3)))["Restarts"] == "3"


def test_restarts_of_init_containers_count_only_while_they_matter() -> None:
    init = [container("one", restarts=4, waiting={"reason": "CrashLoopBackOff"})]
    finished = [container("one", restarts=4, **DONE), container("two", **DONE)]

    assert row(pod(phase="Pending", spec=INIT, initContainerStatuses=init))["Restarts"] == "4"
    running = pod(container(ready=True, running={}, restarts=1), spec=INIT, initContainerStatuses=finished)
    assert row(running)["Restarts"] == "1"


def test_readiness_gates_and_nominations_are_shown() -> None:
    spec = {"readinessGates": [{"conditionType": "a/b"}, {"conditionType": "a/c"}]}
    shown = row(pod(spec=spec, conditions=[{"type": "a/b", "status": "True"}], nominatedNodeName="node-2"))

    assert (shown["Readiness Gates"], shown["Nominated Node"]) == ("1/2", "node-2")


def test_pods_that_are_over_are_marked_for_clients_that_hide_them() -> None:
    assert PODS is not None

    rows = table(PODS, [pod(phase="Failed"), pod(phase="Running")], now=NOW)["rows"]

    assert rows[0]["conditions"][0] == {
        "type": "Completed",
        "status": "True",
        "reason": "Failed",
        "message": "The pod failed.",
    }
    assert "conditions" not in rows[1]
