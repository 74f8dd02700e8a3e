"""What controllers need to know of every pod, computed once when it changes: so passes over many pods are quick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actorkube.kube.alike import BELONGS, MADE, Joined, looks_at
from protocols.objects import Object, labels_of, meta, namespace_of, split_key
from protocols.rules.owners import controller_of, controller_uid, is_deleting
from protocols.rules.pods import is_terminated, node_of, phase_of, pod_ips, ready_since
from protocols.rules.times import seconds_of

POD = "pod"  # the summaries' names in the view of pods
BELONGING = "belonging"
TEMPLATE = (  # what pods of one template have in common, of what controllers look at
    "spec.volumes",
    "spec.containers",
    "spec.initContainers",
    "spec.hostname",
    "spec.subdomain",
)


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


class Belonging(NamedTuple):
    """What says to whom a pod belongs; as good as never does it change. `controlled_by`: kind and name."""

    namespace: str
    labels: dict[str, str]
    controlled_by: tuple[str, str] | None


@looks_at(*BELONGS)
def belonging(pod: Object) -> Belonging:
    controller = controller_of(pod)
    controlled_by = (controller["kind"], controller["name"]) if controller is not None else None
    return Belonging(namespace_of(pod), labels_of(pod), controlled_by)


@looks_at("spec.nodeName")
def placed_on(pod: Object) -> str:
    return node_of(pod)


class _Owned(NamedTuple):
    controller: str
    deleting: bool
    labels: dict[str, str]


@looks_at(*BELONGS)
def _owned(pod: Object) -> _Owned:
    return _Owned(controller_uid(pod), is_deleting(pod), labels_of(pod))


class _State(NamedTuple):
    phase: str
    terminated: bool
    ready_since: float | None
    restarts: int
    ips: tuple[str, ...]


@looks_at("status")
def _state(pod: Object) -> _State:
    return _State(phase_of(pod), is_terminated(pod), ready_since(pod), _restarts(pod), tuple(pod_ips(pod)))


@looks_at(*MADE)
def _created(pod: Object) -> float:
    created = meta(pod).get("creationTimestamp")
    return seconds_of(created) if created else 0.0


@looks_at(*MADE)
def _deletion_cost(pod: Object) -> int:
    try:
        return int((meta(pod).get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost") or 0)
    except ValueError:
        return 0


class _Reached(NamedTuple):
    hostname: str
    ports: tuple[NamedPort, ...]


@looks_at(*TEMPLATE)
def _reached(pod: Object) -> _Reached:
    return _Reached(_hostname(pod), tuple(_named_ports(pod)))


def _summary(
    key: str, uid: str, owned: _Owned, node: str, state: _State, created: float, deletion_cost: int, reached: _Reached
) -> PodSummary:
    controller, deleting, labels = owned
    phase, terminated, ready_since, restarts, ips = state
    hostname, ports = reached
    return PodSummary(  # by position: it is made at each change of a pod, and names would take as long again
        key,
        split_key(key)[1],
        uid,
        controller,
        node,
        phase,
        deleting,
        terminated,
        ready_since,
        created,
        restarts,
        deletion_cost,
        ips,
        hostname,
        labels,
        ports,
    )


summarise_pod = Joined(_summary, _owned, placed_on, _state, _created, _deletion_cost, _reached)


def _restarts(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses")
    return max(int(status.get("restartCount") or 0) for status in statuses) if statuses else 0


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
