"""A pod's status, made from what its worker knows. Phases and conditions as the kubelet of Kubernetes gives them.

Only what the kubelet owns is decided here; conditions of other owners, and times of what has not changed, are kept
from the status that is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from actors.kubelet.container_worker import ContainerWorker, Waiting
from actors.kubelet.facts import LOST
from actors.kubelet.pod_worker import PodWorker
from protocols.cri import ContainerStatus, LinuxContainerUser
from protocols.objects import Object, meta
from protocols.rules.conditions import condition_is, with_condition
from protocols.rules.owners import is_deleting
from protocols.rules.resources import qos_class
from protocols.rules.times import time_of

_TELLS_MOUNTS, _TELLS_AMOUNTS, _TELLS_USERS, _OBSERVES = 31, 33, 33, 34  # the minor versions that do so by default
_UNSEEN_END = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": LOST}


class Node(NamedTuple):
    """What of the node shows in its pods' status."""

    ip: str
    runtime: str
    minor: int = 36  # of the version of Kubernetes that it is


def pod_status(worker: PodWorker, node: Node, now: float) -> dict[str, Any]:
    """The whole new status; equal to the present one when nothing has changed."""
    old = worker.pod.get("status") or {}
    status = {**old}
    status |= {"hostIP": node.ip, "hostIPs": [{"ip": node.ip}], "startTime": time_of(worker.start_time)}
    status.setdefault("qosClass", qos_class(worker.pod))
    generation = meta(worker.pod).get("generation")
    if generation and node.minor >= _OBSERVES and not is_deleting(worker.pod):
        status["observedGeneration"] = generation
    if worker.refused is not None:
        return {**status, "phase": "Failed", "reason": worker.refused.reason, "message": worker.refused.message}
    status |= _addresses(worker, node, old)
    status["phase"] = phase(worker)
    if worker.failure is not None and old.get("phase") not in ("Succeeded", "Failed"):
        status |= {"reason": worker.failure.reason, "message": worker.failure.message}
    for key, workers in (
        ("initContainerStatuses", worker.inits),
        ("containerStatuses", worker.mains),
        ("ephemeralContainerStatuses", worker.ephemerals),
    ):
        if workers:
            known = {entry["name"]: entry for entry in old.get(key) or ()}
            status[key] = [_container_status(worker, each, node, known.get(each.name)) for each in workers]
    status["conditions"] = _conditions(worker, old, status["phase"], now)
    return status


def phase(worker: PodWorker) -> str:
    """Once it is Succeeded or Failed it stays so."""
    before = (worker.pod.get("status") or {}).get("phase")
    if before in ("Succeeded", "Failed"):
        return str(before)
    if worker.is_over:
        failed = worker.failure is not None or worker.failed_to_initialize
        return "Failed" if failed or not all(_succeeded(main) for main in worker.mains) else "Succeeded"
    return "Running" if all(main.began for main in worker.mains) else "Pending"


def _succeeded(worker: ContainerWorker) -> bool:
    newest = worker.newest
    return newest is not None and newest.state == "CONTAINER_EXITED" and newest.exit_code == 0


# -- addresses ------------------------------------------------------------------------------------------------------


def _addresses(worker: PodWorker, node: Node, old: dict[str, Any]) -> dict[str, Any]:
    """Those of the sandbox; a pod that is over keeps showing the last."""
    sandbox = worker.facts.sandbox
    ip = sandbox.ip if sandbox is not None and sandbox.state == "SANDBOX_READY" else ""
    if (worker.pod.get("spec") or {}).get("hostNetwork"):
        ip = node.ip
    ip = ip or (old.get("podIP", "") if worker.stopping else "")
    return {"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {}


# -- conditions -----------------------------------------------------------------------------------------------------


def _conditions(worker: PodWorker, old: dict[str, Any], phase: str, now: float) -> list[dict[str, Any]]:
    conditions = list(old.get("conditions") or ())
    if not condition_is({"status": {"conditions": conditions}}, "PodScheduled"):
        conditions = with_condition(conditions, "PodScheduled", "True", "", "", now)
    sandbox = worker.facts.sandbox
    has_sandbox = sandbox is not None and sandbox.state == "SANDBOX_READY"
    for type, is_true, reason, message in (
        ("PodReadyToStartContainers", has_sandbox, "", ""),
        ("Initialized", *_initialized(worker, phase)),
        ("ContainersReady", *(containers_ready := _containers_ready(worker, phase))),
        ("Ready", *_ready(worker, conditions, containers_ready)),
    ):
        conditions = with_condition(conditions, type, "True" if is_true else "False", reason, message, now)
    conditions = worker.resize.conditions(conditions, now)
    return [_trimmed(condition) for condition in conditions]


def _initialized(worker: PodWorker, phase: str) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    incomplete = [init.name for init in worker.inits if not worker.is_through(init)]
    if not incomplete or any(main.newest is not None for main in worker.mains):
        return True, "", ""
    return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(incomplete)}]"


def _containers_ready(worker: PodWorker, phase: str) -> tuple[bool, str, str]:
    if phase in ("Succeeded", "Failed"):
        return False, f"Pod{'Completed' if phase == 'Succeeded' else 'Failed'}", ""
    unready = [each.name for each in [*_sidecars(worker), *worker.mains] if not each.ready]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _ready(
    worker: PodWorker, conditions: Sequence[dict[str, Any]], containers_ready: tuple[bool, str, str]
) -> tuple[bool, str, str]:
    """The containers are, and every condition that the pod's readiness gates name is true."""
    if not containers_ready[0]:
        return containers_ready
    gates = [gate["conditionType"] for gate in (worker.pod.get("spec") or {}).get("readinessGates") or ()]
    shut = [gate for gate in gates if not condition_is({"status": {"conditions": conditions}}, gate)]
    if shut:
        text = "".join(f'the status of pod readiness gate "{gate}" is not "True"' for gate in shut)
        return False, "ReadinessGatesNotReady", text
    return True, "", ""


def _sidecars(worker: PodWorker) -> list[ContainerWorker]:
    return [init for init in worker.inits if init.kind == "sidecar"]


def _trimmed(condition: dict[str, Any]) -> dict[str, Any]:
    """Without empty texts, as Kubernetes writes them."""
    return {key: value for key, value in condition.items() if value != "" or key not in ("reason", "message")}


# -- containers -----------------------------------------------------------------------------------------------------


def _container_status(
    pod: PodWorker, worker: ContainerWorker, node: Node, known: dict[str, Any] | None
) -> dict[str, Any]:
    newest = worker.newest
    if newest is None and known is not None and known.get("containerID"):
        return _forgotten(pod, worker, known)
    state, last = _states(pod, worker, node)
    status = {
        "name": worker.name,
        "state": state,
        "lastState": last,
        "ready": _is_ready(pod, worker, newest),
        "restartCount": max(worker.attempt, 0),
        "image": str(worker.spec.get("image") or "") if newest is None else newest.image,
        "imageID": worker.image_ref if newest is None else newest.image_ref,
        "started": worker.started,
    }
    if node.minor >= _TELLS_MOUNTS and (mounts := worker.spec.get("volumeMounts")):
        status["volumeMounts"] = list(map(_mount, mounts))
    if newest is not None:
        status["containerID"] = f"{node.runtime}://{newest.id}"
        if node.minor >= _TELLS_USERS and newest.user is not None:
            status["user"] = _user(newest.user)
        if node.minor >= _TELLS_AMOUNTS and worker.kind in ("main", "sidecar") and pod.has_amounts:
            status |= _amounts(worker)
    return status


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    """What is mounted there; no runtime here makes what lies below a read-only mount read-only, too."""
    where = {"name": mount["name"], "mountPath": mount["mountPath"]}
    return {**where, "readOnly": True, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else where


def _user(user: LinuxContainerUser) -> dict[str, Any]:
    groups = {"supplementalGroups": list(user.supplemental_groups)} if user.supplemental_groups else {}
    return {"linux": {"uid": user.uid, "gid": user.gid, **groups}}


def _amounts(worker: ContainerWorker) -> dict[str, Any]:
    """What it was given, and what is in force of that."""
    requests = worker.resources.get("requests")
    allocated = {"allocatedResources": requests} if requests else {}
    return {**allocated, "resources": worker.in_force}


def _forgotten(pod: PodWorker, worker: ContainerWorker, known: dict[str, Any]) -> dict[str, Any]:
    """The runtime does not know it any more. What the API knows stays; what ran there has ended unseen."""
    ended = known["state"] if known["state"].get("terminated") else {"terminated": {**_UNSEEN_END}}
    if known["state"].get("waiting") and known.get("lastState"):
        ended = known["lastState"]
    state, last = (ended, known.get("lastState") or {}) if pod.stopping else (_waiting(pod, worker), ended)
    return {**known, "state": state, "lastState": last, "ready": False, "started": False}


def _is_ready(pod: PodWorker, worker: ContainerWorker, newest: ContainerStatus | None) -> bool:
    """An init container is ready when it has succeeded, an ephemeral one never."""
    if worker.kind == "ephemeral":
        return False
    return pod.is_through(worker) if worker.kind == "init" else worker.ready


def _states(pod: PodWorker, worker: ContainerWorker, node: Node) -> tuple[dict[str, Any], dict[str, Any]]:
    """`state` and `lastState`. One that ended and will be started again is waiting, its end is the last state."""
    attempts = worker.facts.attempts(worker.name)
    if not attempts:
        return _waiting(pod, worker), {}
    newest, previous = attempts[0], (_terminated(attempts[1], node) if len(attempts) > 1 else {})
    match newest.state:
        case "CONTAINER_RUNNING":
            return {"running": {"startedAt": time_of(newest.started_at)}}, previous
        case "CONTAINER_EXITED" if pod.will_run_again(worker):
            return _waiting(pod, worker), _terminated(newest, node)
        case "CONTAINER_EXITED":
            return _terminated(newest, node), previous
    return _waiting(pod, worker), previous


def _waiting(pod: PodWorker, worker: ContainerWorker) -> dict[str, Any]:
    waiting = worker.waiting
    if waiting is None:
        held_up = worker.kind == "main" and pod.inits and not pod.initialized
        waiting = Waiting("PodInitializing" if held_up else "ContainerCreating")
    if waiting.reason == "CrashLoopBackOff":
        waiting = Waiting(waiting.reason, f"{waiting.message} pod={pod_name(pod.pod)}")
    message = {"message": waiting.message} if waiting.message else {}
    return {"waiting": {"reason": waiting.reason, **message}}


def _terminated(status: ContainerStatus, node: Node) -> dict[str, Any]:
    terminated: dict[str, Any] = {
        "exitCode": status.exit_code,
        "reason": status.reason,
        "finishedAt": time_of(status.finished_at),
        "containerID": f"{node.runtime}://{status.id}",
    }
    if status.started_at:
        terminated["startedAt"] = time_of(status.started_at)
    if status.message:
        terminated["message"] = status.message
    return {"terminated": terminated}


def pod_name(pod: Object) -> str:
    """As it stands in Kubernetes' messages: name_namespace(uid)."""
    metadata = meta(pod)
    return f"{metadata.get('name')}_{metadata.get('namespace')}({metadata.get('uid')})"


def is_urgent(status: Object) -> bool:
    """Worth writing at once: somebody waits for it. A pod that has just begun is written when it has run a moment."""
    return condition_is({"status": status}, "Ready") or status.get("phase") in ("Succeeded", "Failed")


def may_be_urgent(worker: PodWorker) -> bool:
    """Whether its status can be urgent, seen without making it."""
    return worker.refused is not None or worker.terminal or worker.is_over or all(each.ready for each in worker.mains)
