"""Pods: the STATUS that kubectl shows is no field, but the most telling thing that the containers have to say.

The phase is where it starts; a failing or waiting init container overrides it (`Init:...`), else a container that waits
or has ended does, the first one in the list with the last word; deletion overrides all that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from actors.apiserver.elapsed import Elapsed
from actors.apiserver.tables.cells import NONE, Columns, age, name_of_row
from protocols.objects import Object
from protocols.rules.conditions import condition_is
from protocols.rules.times import seconds_of

Status = dict[str, Any]

COLUMNS = Columns(
    "Name",
    "Ready",
    "Status",
    "Restarts",
    "Age",
    "+IP",
    "+Node",
    "+Nominated Node",
    "+Readiness Gates",
)


class Summary(NamedTuple):
    """What the containers come to."""

    reason: str
    ready: int
    restarts: int
    restarted_at: float  # of the last one; 0 when there was none


def cells(pod: Object) -> list[Any]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = _sidecars(spec)
    summary = _summary(pod, spec, status, sidecars)
    total = len(spec.get("containers") or ()) + len(sidecars)
    return [
        name_of_row(pod),
        f"{summary.ready}/{total}",
        _deletion_or(summary.reason, pod, status),
        _restarts(summary),
        age(pod),
        _ip(status),
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(pod, spec),
    ]


def _summary(pod: Object, spec: Status, status: Status, sidecars: set[str]) -> Summary:
    reason = status.get("reason") or status.get("phase") or ""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    init = status.get("initContainerStatuses") or ()
    if not init:
        return _of_containers(pod, status, Summary(reason, 0, 0, 0.0))
    blocked = _initializing(spec, init, sidecars)
    seen = init if blocked is None else init[: blocked[0] + 1]
    lasting = [container for container in seen if container.get("name") in sidecars]
    ready = sum(1 for container in lasting if _runs_ready(container))
    if blocked is not None and not condition_is(pod, "Initialized"):
        return Summary(blocked[1], ready, _restart_count(seen), _restarted_at(seen))
    start = blocked[1] if blocked else reason
    return _of_containers(pod, status, Summary(start, ready, _restart_count(lasting), _restarted_at(lasting)))


def _initializing(spec: Status, init: Sequence[Status], sidecars: set[str]) -> tuple[int, str] | None:
    """The init container that the pod waits for, and what it says; None when all are through."""
    for index, container in enumerate(init):
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if container.get("name") in sidecars and container.get("started"):
            continue
        if terminated is not None:
            return index, f"Init:{_ending(terminated)}"
        if waiting.get("reason") not in (None, "", "PodInitializing"):
            return index, f"Init:{waiting['reason']}"
        return index, f"Init:{index}/{len(spec.get('initContainers') or ())}"
    return None


def _of_containers(pod: Object, status: Status, start: Summary) -> Summary:
    containers: Sequence[Status] = status.get("containerStatuses") or ()
    reason, ready, running = start.reason, start.ready, False
    for container in reversed(containers):
        state = container.get("state") or {}
        waiting, terminated = state.get("waiting"), state.get("terminated")
        if waiting is not None and waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = _ending(terminated)
        elif container.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if reason == "Completed" and running:
        reason = "Running" if condition_is(pod, "Ready") else "NotReady"
    restarted_at = max(start.restarted_at, _restarted_at(containers))
    return Summary(reason, ready, start.restarts + _restart_count(containers), restarted_at)


def _ending(terminated: Status) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _deletion_or(reason: str, pod: Object, status: Status) -> str:
    if not (pod.get("metadata") or {}).get("deletionTimestamp"):
        return reason
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return reason if status.get("phase") in ("Succeeded", "Failed") else "Terminating"


def _restarts(summary: Summary) -> Elapsed | str:
    if not summary.restarts or not summary.restarted_at:
        return str(summary.restarts)
    return Elapsed(summary.restarted_at, f"{summary.restarts} (", " ago)")


def _restart_count(containers: Sequence[Status]) -> int:
    return sum(container.get("restartCount") or 0 for container in containers)


def _restarted_at(containers: Sequence[Status]) -> float:
    ends = ((container.get("lastState") or {}).get("terminated") or {} for container in containers)
    return max((seconds_of(end["finishedAt"]) for end in ends if end.get("finishedAt")), default=0.0)


def _runs_ready(container: Status) -> bool:
    terminated = (container.get("state") or {}).get("terminated")
    ended_well = terminated is not None and not terminated.get("exitCode")
    return bool(container.get("started") and container.get("ready")) and not ended_well


def _sidecars(spec: Status) -> set[str]:
    """Init containers that keep running (KEP-753)."""
    return {c.get("name") or "" for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}


def _ip(status: Status) -> str:
    ips = status.get("podIPs")
    return (ips[0].get("ip") if ips else status.get("podIP")) or NONE


def _readiness_gates(pod: Object, spec: Status) -> str:
    gates = spec.get("readinessGates")
    if not gates:
        return NONE
    true = sum(1 for gate in gates if condition_is(pod, gate.get("conditionType") or ""))
    return f"{true}/{len(gates)}"
