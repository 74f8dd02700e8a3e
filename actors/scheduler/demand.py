"""A pod as the scheduler sees it: its `Shape`, which decides where it may go, and its `Footprint`, what it takes there.

Pods of one controller are alike: they share one Shape, parsed once, and whatever was worked out for it. What decides
is written out as bytes, and equal bytes are equal shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from actors.scheduler import disks
from actors.scheduler.disks import Disk, disks_of
from actors.scheduler.gangs import gang_of
from actors.scheduler.pod_terms import PodTerms, pod_terms
from protocols.objects import Object, key_of, labels_of, meta, namespace_of, uid_of
from protocols.rules.device_claims import WantedClaim, claims_wanted
from protocols.rules.owners import is_deleting
from protocols.rules.resources import Amounts, pod_requests, resizes, scoring_requests
from protocols.rules.volumes import claim_names, ephemeral_volumes

ANY_IP = "0.0.0.0"
DEFAULT_SCHEDULER = "default-scheduler"
_SHAPES_MAX = 4096
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_METADATA = ("name", "namespace", "uid", "resourceVersion", "labels", "deletionTimestamp")
_WAITING_METADATA = (*_METADATA, "annotations", "ownerReferences", "generation")
_PLACED_SPEC = ("nodeName", "schedulerName", "priority", "overhead", "resources", "workloadRef", "schedulingGroup")
_STATUS = ("phase", "nominatedNodeName", "startTime", "resourceClaimStatuses")
_STATUS_OF_RESIZE = ("resources", "allocatedResources", "containerStatuses", "initContainerStatuses")
_CONDITIONS = ("PodScheduled", "PodResizePending")
_PLACED_CONTAINER = ("resources", "ports", "restartPolicy")
_SHAPE_CONTAINER = ("image", *_PLACED_CONTAINER, "restartPolicyRules")
_SHAPE_SPEC = (
    "nodeName",
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "overhead",
    "resources",
    "hostNetwork",
    "hostUsers",
)
# Volumes that are anywhere: they decide nothing, and some have names that differ from pod to pod.
_VOLUMES_ANYWHERE = {"configMap", "downwardAPI", "emptyDir", "hostPath", "image", "projected", "secret"}
_THAT_DECIDE = {"ephemeral", "persistentVolumeClaim", *disks.KINDS}
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
Keys = tuple[bytes, bytes]


class HostPort(NamedTuple):
    ip: str
    protocol: str
    port: int

    def conflicts(self, other: HostPort) -> bool:
        """The same port and protocol on the same address; 0.0.0.0 is every address."""
        if (self.port, self.protocol) != (other.port, other.protocol):
            return False
        return self.ip == other.ip or ANY_IP in (self.ip, other.ip)


class Sort:
    """What other pods' rules can see of a placed pod: equal for all pods of one controller."""

    __slots__ = ("_hash", "key", "labels", "namespace", "terminating", "terms")

    def __init__(self, pod: Object) -> None:
        affinity = (pod.get("spec") or {}).get("affinity") or {}
        self.namespace = namespace_of(pod)
        self.labels = labels_of(pod)
        self.terminating = is_deleting(pod)
        self.terms: PodTerms = pod_terms(pod)
        towards_pods = [affinity.get(name) for name in ("podAffinity", "podAntiAffinity")]
        self.key = _encode((self.namespace, self.labels, self.terminating, towards_pods))
        self._hash = hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sort) and (self is other or self.key == other.key)

    def __hash__(self) -> int:
        return self._hash


class Footprint(NamedTuple):
    """What a placed pod occupies. `scoring` counts a container without requests as a small one."""

    priority: int
    requests: Amounts
    scoring: Amounts
    ports: tuple[HostPort, ...]
    sort: Sort
    claims: tuple[str, ...] = ()  # of volumes, as "namespace/name"
    disks: tuple[Disk, ...] = ()

    @property
    def amounts_key(self) -> tuple[object, ...]:
        """Equal for pods that take the same amounts and ports."""
        return tuple(sorted(self.requests.items())), tuple(sorted(self.scoring.items())), self.ports

    def takes_what(self, other: Footprint) -> bool:
        """Whether it takes what the other does, though they may be of different sorts."""
        return (self[:4], self[5:]) == (other[:4], other[5:])

    @classmethod
    def of(cls, pod: Object) -> Footprint:
        spec = pod.get("spec") or {}
        return cls(
            spec.get("priority") or 0,
            pod_requests(pod),
            scoring_requests(pod),
            host_ports(spec),
            Sort(pod),
            claims_of(pod),
            disks_of(pod),
        )


class Shape:
    """All that decides where a pod may go. Nothing in it names the pod. `pod`: the first that had this shape.

    `key_beside_devices` is equal for pods that differ, if at all, in which claims of devices they have."""

    def __init__(self, pod: Object, keys: Keys, footprint: Callable[[Object], Footprint] = Footprint.of) -> None:
        self.key, self.key_beside_devices = keys
        self._footprint = footprint
        self.pod = pod
        self.namespace = namespace_of(pod)
        self.labels = labels_of(pod)
        self.spec: dict[str, Any] = pod.get("spec") or {}
        self.tolerations: tuple[Mapping[str, Any], ...] = tuple(self.spec.get("tolerations") or ())
        self.owner = _controller(pod)
        self.device_claims: tuple[WantedClaim, ...] = claims_wanted(pod)

    @cached_property
    def footprint(self) -> Footprint:
        return self._footprint(self.pod)

    @property
    def requests(self) -> Amounts:
        return self.footprint.requests

    @property
    def terms(self) -> PodTerms:
        return self.footprint.sort.terms

    @property
    def claims(self) -> tuple[str, ...]:
        return self.footprint.claims


class Shapes:
    """The shapes and footprints that are in use, each kept once. When there are too many, all are forgotten."""

    def __init__(self) -> None:
        self._shapes: dict[bytes, Shape] = {}
        self._footprints: dict[bytes, Footprint] = {}

    def shape(self, pod: Object) -> Shape:
        keys = shape_keys(pod)
        shape = self._shapes.get(keys[0])
        if shape is None:
            if len(self._shapes) >= _SHAPES_MAX:
                self._shapes.clear()
            shape = self._shapes[keys[0]] = Shape(pod, keys, self.footprint)
        return shape

    def footprint(self, pod: Object) -> Footprint:
        key = _placed_key(pod)
        footprint = self._footprints.get(key)
        if footprint is None:
            if len(self._footprints) >= _SHAPES_MAX:
                self._footprints.clear()
            footprint = self._footprints[key] = Footprint.of(pod)
        return footprint


class PodDemand:
    """A pod waiting for a node."""

    __slots__ = ("gang", "key", "pod", "priority", "shape", "uid")

    def __init__(self, pod: Object, shapes: Shapes | None = None) -> None:
        self.pod = pod
        self.key = key_of(pod)
        self.uid = uid_of(pod)
        self.gang = gang_of(pod)
        self.priority: int = (pod.get("spec") or {}).get("priority") or 0
        self.shape = shapes.shape(pod) if shapes is not None else Shape(pod, shape_keys(pod))

    @property
    def spec(self) -> dict[str, Any]:
        return self.pod.get("spec") or {}

    @property
    def footprint(self) -> Footprint:
        return self.shape.footprint

    @property
    def requests(self) -> Amounts:
        return self.footprint.requests

    def decides_like(self, other: PodDemand) -> bool:
        """Would the same cluster place both alike? (A changed status changes nothing.)"""
        return (self.uid, self.spec) == (other.uid, other.spec) and self.shape.key == other.shape.key

    def __repr__(self) -> str:
        return f"<pod/{self.key}>"


def scheduler_name(pod: Object) -> str:
    """The profile that is to place it."""
    return (pod.get("spec") or {}).get("schedulerName") or DEFAULT_SCHEDULER


def shape_keys(pod: Object) -> Keys:
    spec, metadata = pod.get("spec") or {}, meta(pod)
    containers = [
        [container.get(field) for field in _SHAPE_CONTAINER]
        for field in ("initContainers", "containers")
        for container in (*(spec.get(field) or ()), {})
    ]
    annotations = metadata.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        annotations = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
    volumes = [v for v in spec.get("volumes") or () if _VOLUMES_ANYWHERE.isdisjoint(v)]
    if volumes:
        volumes = [volumes, claims_of(pod)]
        if any(True for _ in ephemeral_volumes(pod)):
            volumes.append(uid_of(pod))  # only its own claims will do, and they are called after it
    fields = [spec.get(field) for field in _SHAPE_SPEC]
    owner, deleting = _controller(pod), "deletionTimestamp" in metadata
    who = (metadata.get("namespace"), metadata.get("labels") or None, annotations or None, owner, deleting)
    beside = _encode((who, spec.get("priority"), fields, volumes, containers))
    if not spec.get("resourceClaims"):
        return beside, beside
    devices = claims_wanted(pod)
    whose = uid_of(pod) if any(claim.own for claim in devices) else ""
    return beside + _encode((spec["resourceClaims"], devices, whose)), beside


def _placed_key(pod: Object) -> bytes:
    spec = pod.get("spec") or {}
    affinity = spec.get("affinity") or {}
    containers = [
        [container.get(field) for field in _PLACED_CONTAINER]
        for field in ("initContainers", "containers")
        for container in (*(spec.get(field) or ()), {})
    ]
    towards_pods = [affinity.get(name) for name in ("podAffinity", "podAntiAffinity")]
    fields = [spec.get(field) for field in ("priority", "overhead", "resources")]
    volumes = (claims_of(pod), disks_of(pod)) if spec.get("volumes") else ()
    who = (namespace_of(pod), labels_of(pod), is_deleting(pod))
    return _encode((who, towards_pods, fields, containers, volumes, resizes(pod)))


def claims_of(pod: Object) -> tuple[str, ...]:
    """Those of its volumes, as "namespace/name"."""
    namespace = namespace_of(pod)
    return tuple(dict.fromkeys(f"{namespace}/{name}" for name in claim_names(pod)))


def _controller(pod: Object) -> tuple[str, str] | None:
    """Kind and name of the pod's controlling owner."""
    owners = meta(pod).get("ownerReferences") or ()
    return next(((owner["kind"], owner["name"]) for owner in owners if owner.get("controller")), None)


def trim_pod(pod: Object) -> Object:
    """What the scheduler keeps of a pod: who it is and what decides; of a pod with a node, only what it takes there."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    placed = bool(spec.get("nodeName"))
    kept = _only(_STATUS, status)
    if placed and resizes(pod):
        kept |= _only(_STATUS_OF_RESIZE, status)
    conditions = [each for each in status.get("conditions") or () if each.get("type") in _CONDITIONS]
    return {
        "metadata": _only(_METADATA if placed else _WAITING_METADATA, pod.get("metadata") or {}),
        "spec": _trim_placed(spec) if placed else spec,
        "status": {**kept, "conditions": conditions},
    }


def _trim_placed(spec: Mapping[str, Any]) -> dict[str, Any]:
    trimmed = _only(_PLACED_SPEC, spec)
    if towards_pods := _only(("podAffinity", "podAntiAffinity"), spec.get("affinity") or {}):
        trimmed["affinity"] = towards_pods
    if volumes := [volume for volume in spec.get("volumes") or () if not _THAT_DECIDE.isdisjoint(volume)]:
        trimmed["volumes"] = volumes
    for field in ("containers", "initContainers"):
        if spec.get(field):
            trimmed[field] = [_only(("name", *_PLACED_CONTAINER), container) for container in spec[field]]
    return trimmed


def _only(fields: tuple[str, ...], value: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value[field] for field in fields if field in value}


def host_ports(spec: Mapping[str, Any]) -> tuple[HostPort, ...]:
    """The node ports that a pod opens: those of its containers and of init containers that keep running."""
    return tuple(
        HostPort(port.get("hostIP") or ANY_IP, port.get("protocol") or "TCP", port["hostPort"])
        for container in _running(spec)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def _running(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always")
    yield from spec.get("containers") or ()
