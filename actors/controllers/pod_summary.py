"""What controllers need to know of every pod, computed once when it changes: so passes over many pods are quick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from protocols.objects import Object, key_of, labels_of, meta, name_of, uid_of
from protocols.rules.owners import controller_of, is_deleting
from protocols.rules.pods import is_terminated, node_of, phase_of, pod_ips, ready_since
from protocols.rules.times import seconds_of

POD = "pod"  # the summary's name in the view of pods


class NamedPort(NamedTuple):
    name: str
    protocol: str
    number: int


class PodSummary(NamedTuple):
    key: str
    name: str
    uid: str
    controller: str  # uid of the controller, "" for a pod that nobody controls
    node: str
    phase: str
    deleting: bool
    terminated: bool
    ready_since: float | None
    created: float
    restarts: int
    deletion_cost: int
    ips: tuple[str, ...]
    hostname: str
    labels: dict[str, str]
    ports: tuple[NamedPort, ...]

    @property
    def active(self) -> bool:
        return not self.deleting and not self.terminated

    @property
    def claimable(self) -> bool:
        return self.active

    @property
    def ready(self) -> bool:
        return self.ready_since is not None

    @property
    def namespace(self) -> str:
        return self.key.partition("/")[0]

    def available(self, min_ready_s: float, now: float) -> bool:
        return self.ready_since is not None and (not min_ready_s or self.ready_since + min_ready_s <= now)


def summarise_pod(pod: Object) -> PodSummary:
    controller = controller_of(pod)
    created = meta(pod).get("creationTimestamp")
    return PodSummary(
        key=key_of(pod),
        name=name_of(pod),
        uid=uid_of(pod),
        controller=controller["uid"] if controller else "",
        node=node_of(pod),
        phase=phase_of(pod),
        deleting=is_deleting(pod),
        terminated=is_terminated(pod),
        ready_since=ready_since(pod),
        created=seconds_of(created) if created else 0.0,
        restarts=_restarts(pod),
        deletion_cost=_deletion_cost(pod),
        ips=tuple(pod_ips(pod)),
        hostname=_hostname(pod),
        labels=labels_of(pod),
        ports=tuple(_named_ports(pod)),
    )


def _restarts(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((int(status.get("restartCount") or 0) for status in statuses), default=0)


def _deletion_cost(pod: Object) -> int:
    try:
        return int((meta(pod).get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost") or 0)
    except ValueError:
        return 0


def _hostname(pod: Object) -> str:
    """`hostname.subdomain` of a pod that a headless service of that subdomain's name should publish by name."""
    spec = pod.get("spec") or {}
    return f"{spec['hostname']}.{spec['subdomain']}" if spec.get("hostname") and spec.get("subdomain") else ""


def _named_ports(pod: Object) -> Iterator[NamedPort]:
    spec = pod.get("spec") or {}
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or ()), *sidecars]:
        for port in container.get("ports") or ():
            if port.get("name"):
                yield NamedPort(port["name"], port.get("protocol") or "TCP", int(port["containerPort"]))
