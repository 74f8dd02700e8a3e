"""A pod as the scheduler sees it: what it takes of a node (`Footprint`), and all that decides where it may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from protocols.objects import Object, key_of, labels_of, uid_of
from protocols.rules.resources import Amounts, pod_requests, scoring_requests

ANY_IP = "0.0.0.0"
_METADATA = ("name", "namespace", "uid", "resourceVersion", "labels", "deletionTimestamp")
_PLACED_SPEC = ("nodeName", "schedulerName", "priority", "overhead", "resources")
_PLACED_CONTAINER = ("resources", "ports", "restartPolicy")


class HostPort(NamedTuple):
    ip: str
    protocol: str
    port: int

    def conflicts(self, other: HostPort) -> bool:
        """The same port and protocol on the same address; 0.0.0.0 is every address."""
        if (self.port, self.protocol) != (other.port, other.protocol):
            return False
        return self.ip == other.ip or ANY_IP in (self.ip, other.ip)


class Footprint(NamedTuple):
    """What a placed pod occupies. `scoring` counts a container without requests as a small one."""

    uid: str
    priority: int
    requests: Amounts
    scoring: Amounts
    ports: tuple[HostPort, ...]

    @classmethod
    def of(cls, pod: Object) -> Footprint:
        spec = pod.get("spec") or {}
        return cls(uid_of(pod), spec.get("priority") or 0, pod_requests(pod), scoring_requests(pod), host_ports(spec))


class PodDemand:
    """A pod waiting for a node; parsed once, looked at by every plugin."""

    __slots__ = ("footprint", "key", "labels", "pod", "spec", "tolerations", "uid")

    def __init__(self, pod: Object) -> None:
        self.pod = pod
        self.key = key_of(pod)
        self.uid = uid_of(pod)
        self.labels = labels_of(pod)
        self.spec: dict[str, Any] = pod.get("spec") or {}
        self.tolerations: tuple[Mapping[str, Any], ...] = tuple(self.spec.get("tolerations") or ())
        self.footprint = Footprint.of(pod)

    @property
    def priority(self) -> int:
        return self.footprint.priority

    @property
    def requests(self) -> Amounts:
        return self.footprint.requests

    def decides_like(self, other: PodDemand) -> bool:
        """Would the same cluster place both alike? (A changed status or annotation changes nothing.)"""
        return self.uid == other.uid and self.spec == other.spec and self.labels == other.labels

    def __repr__(self) -> str:
        return f"<pod/{self.key}>"


def trim_pod(pod: Object) -> Object:
    """What the scheduler keeps of a pod: who it is and what decides; of a pod with a node, only what it takes there."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    scheduled = [condition for condition in status.get("conditions") or () if condition.get("type") == "PodScheduled"]
    return {
        "metadata": _only(_METADATA, pod.get("metadata") or {}),
        "spec": _trim_placed(spec) if spec.get("nodeName") else spec,
        "status": {**_only(("phase",), status), "conditions": scheduled},
    }


def _trim_placed(spec: Mapping[str, Any]) -> dict[str, Any]:
    trimmed = _only(_PLACED_SPEC, spec)
    for field in ("containers", "initContainers"):
        if spec.get(field):
            trimmed[field] = [_only(_PLACED_CONTAINER, container) for container in spec[field]]
    return trimmed


def _only(fields: tuple[str, ...], value: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value[field] for field in fields if field in value}


def host_ports(spec: Mapping[str, Any]) -> tuple[HostPort, ...]:
    """The node ports that a pod opens: those of its containers and of init containers that keep running."""
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return tuple(
        HostPort(port.get("hostIP") or ANY_IP, port.get("protocol") or "TCP", port["hostPort"])
        for container in [*sidecars, *(spec.get("containers") or ())]
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )
