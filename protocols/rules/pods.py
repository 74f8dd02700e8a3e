"""Pods: whether one is active, ready, available or over, as every component must agree on it."""

from __future__ import annotations

from typing import Any

from protocols.errors import BadRequest
from protocols.objects import Object, meta, name_of
from protocols.rules.conditions import find_condition
from protocols.rules.owners import is_deleting
from protocols.rules.times import seconds_of

MIRROR = "kubernetes.io/config.mirror"  # the annotation of a pod that only shows what a kubelet runs by itself
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def phase_of(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def node_of(pod: Object) -> str:
    """The node it is bound to, "" while it is not."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def only_container(pod: Object) -> str:
    """Whose log is meant when none is named: the only one, or the default. Raises BadRequest in Kubernetes' words."""
    spec = pod.get("spec") or {}
    names, inits = [
        [str(container["name"]) for container in spec.get(field) or ()] for field in ("containers", "initContainers")
    ]
    default = (meta(pod).get("annotations") or {}).get(_DEFAULT_CONTAINER)
    if default in names or len(names) == 1:
        return str(default or names[0])
    more = f" or one of the init containers: [{' '.join(inits)}]" if inits else ""
    choices = f"[{' '.join(names)}]{more}"
    raise BadRequest(f"a container name must be specified for pod {name_of(pod)}, choose one of: {choices}")


def is_terminated(pod: Object) -> bool:
    """It ran and will not run again."""
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """It counts as a replica: it is neither over nor being deleted."""
    return not is_terminated(pod) and not is_deleting(pod)


def ready_condition(pod: Object) -> dict[str, Any] | None:
    return find_condition((pod.get("status") or {}).get("conditions"), "Ready")


def is_ready(pod: Object) -> bool:
    condition = ready_condition(pod)
    return condition is not None and condition.get("status") == "True"


def ready_since(pod: Object) -> float | None:
    """When it last became ready (seconds since the epoch); None while it is not."""
    condition = ready_condition(pod)
    if condition is None or condition.get("status") != "True":
        return None
    return seconds_of(condition["lastTransitionTime"]) if condition.get("lastTransitionTime") else 0.0


def available_at(since: float | None, min_ready_s: float) -> float | None:
    """When a pod that is ready since then counts as available; None for one that is not ready."""
    return None if since is None else since + min_ready_s


def pod_ips(pod: Object) -> list[str]:
    status = pod.get("status") or {}
    ips = [entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")]
    return ips or ([status["podIP"]] if status.get("podIP") else [])


def find_port(pod: Object, port: int | str, protocol: str = "TCP") -> int | None:
    """The number of a Service's targetPort in this pod: itself, or the container port of that name."""
    if isinstance(port, int):
        return port
    if port.isdigit():
        return int(port)
    spec = pod.get("spec") or {}
    for container in [*(spec.get("containers") or ()), *_sidecars(spec)]:
        for candidate in container.get("ports") or ():
            if candidate.get("name") == port and (candidate.get("protocol") or "TCP") == protocol:
                return int(candidate["containerPort"])
    return None


def _sidecars(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Init containers that keep running beside the others (KEP-753)."""
    return [container for container in spec.get("initContainers") or () if container.get("restartPolicy") == "Always"]
