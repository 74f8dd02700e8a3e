"""What is there beside nodes and pods: classes, budgets, services, volumes and devices; and the claims of pods."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.scheduler import HOST, ZONE

Object = dict[str, Any]
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "CSIDriver": "/apis/storage.k8s.io/v1/csidrivers",
    "CSINode": "/apis/storage.k8s.io/v1/csinodes",
    "CSIStorageCapacity": "/apis/storage.k8s.io/v1/namespaces/{}/csistoragecapacities",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "DeviceClass": "/apis/resource.k8s.io/v1/deviceclasses",
    "ResourceSlice": "/apis/resource.k8s.io/v1/resourceslices",
    "ResourceClaim": "/apis/resource.k8s.io/v1/namespaces/{}/resourceclaims",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/namespaces/{}/pods",
}
LIMITED, TRACKED, GPUS = "limited.example.com", "tracked.example.com", "gpu.example.com"
SIZES = ("1Gi", "5Gi", "20Gi")


def path_of(obj: Object) -> str:
    """Where objects of its kind are created."""
    return PATHS[obj["kind"]].format(obj["metadata"].get("namespace", "default"))


def make_stock(nodes: Sequence[Object], seed: int) -> list[Object]:
    draw = random.Random(f"stock {seed}")
    return [*_classes(), *_groups(draw), *_volumes(draw, nodes), *_devices(draw, nodes)]


def _object(version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _classes() -> Iterator[Object]:
    yield _object("v1", "Namespace", "other") | {"metadata": {"name": "other", "labels": {"team": "blue"}}}
    for name, value in (("low", -5), ("middle", 100), ("high", 1000)):
        yield _object("scheduling.k8s.io/v1", "PriorityClass", name, value=value)
    yield _object("scheduling.k8s.io/v1", "PriorityClass", "polite", value=500, preemptionPolicy="Never")
    overhead = {"podFixed": {"cpu": "300m", "memory": "500Mi"}}
    placed = {"tolerations": [{"key": "kept", "operator": "Exists"}]}
    yield _object("node.k8s.io/v1", "RuntimeClass", "heavy", handler="heavy", overhead=overhead, scheduling=placed)


def _groups(draw: random.Random) -> Iterator[Object]:
    """A service spreads the pods behind it."""
    for app in ("web", "db"):
        spec: Object = {"minAvailable": draw.choice([1, 4, 100]), "selector": {"matchLabels": {"app": app}}}
        yield _object("policy/v1", "PodDisruptionBudget", app, "default", spec=spec)
    if draw.random() < 0.5:
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        yield _object("v1", "Service", "web", "default", spec=spec)


def _volumes(draw: random.Random, nodes: Sequence[Object]) -> Iterator[Object]:
    static = "kubernetes.io/no-provisioner"
    later = {"volumeBindingMode": "WaitForFirstConsumer"}
    zones = [{"matchLabelExpressions": [{"key": ZONE, "values": ["zone-0", "zone-1"]}]}]
    for name, provisioner, rest in (
        ("static", static, later),
        ("at-once", static, {"volumeBindingMode": "Immediate"}),
        ("zonal", "made.example.com", later | {"allowedTopologies": zones}),
        ("tracked", TRACKED, later),
    ):
        yield _object("storage.k8s.io/v1", "StorageClass", name, provisioner=provisioner, **rest)
    yield _object("storage.k8s.io/v1", "CSIDriver", TRACKED, spec={"storageCapacity": True})
    for zone, capacity in (("zone-0", "10Gi"), ("zone-2", "100Gi")):
        where = {"matchLabels": {ZONE: zone}}
        yield _object(
            *("storage.k8s.io/v1", "CSIStorageCapacity", f"tracked-{zone}", "default"),
            storageClassName="tracked",
            nodeTopology=where,
            capacity=capacity,
        )
    for node in nodes:
        drivers = [
            {"name": LIMITED, "nodeID": node["metadata"]["name"], "allocatable": {"count": draw.choice([0, 1, 3])}}
        ]
        yield _object("storage.k8s.io/v1", "CSINode", node["metadata"]["name"], spec={"drivers": drivers})
    for index in range(12):
        yield _volume(draw, f"static-{index}", "static", {"local": {"path": "/x"}}, _place(draw, nodes))
    for index in range(12):
        kind = draw.choice([{"csi": {"driver": LIMITED, "volumeHandle": f"h{index}"}}, {"hostPath": {"path": "/x"}}])
        yield from _bound(draw, f"bound-{index}", kind, nodes)


def _volume(draw: random.Random, name: str, of_class: str, kind: Object, place: Object | None) -> Object:
    spec = {
        "capacity": {"storage": draw.choice(SIZES)},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": of_class,
        **kind,
    }
    if place is not None:
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [place]}]}}
    return _object("v1", "PersistentVolume", name, spec=spec)


def _place(draw: random.Random, nodes: Sequence[Object]) -> Object:
    if draw.random() < 0.5:
        return {"key": ZONE, "operator": "In", "values": [draw.choice(["zone-0", "zone-1", "zone-2"])]}
    names = [node["metadata"]["name"] for node in draw.sample(list(nodes), min(3, len(nodes)))]
    return {"key": HOST, "operator": "In", "values": names}


def _bound(draw: random.Random, name: str, kind: Object, nodes: Sequence[Object]) -> Iterator[Object]:
    """A volume and the claim that has it; the volume's zone may be a label, as it was before volumes had affinity."""
    place = draw.choice([None, None, _place(draw, nodes)])
    volume = _volume(draw, name, "", kind, place)
    if draw.random() < 0.3:
        volume["metadata"]["labels"] = {ZONE: draw.choice(["zone-1", "zone-0__zone-2"])}
    modes = draw.choice([["ReadWriteOnce"], ["ReadWriteOnce"], ["ReadWriteOncePod"]])
    volume["spec"] |= {
        "accessModes": modes,
        "capacity": {"storage": "1Gi"},
        "claimRef": {"namespace": "default", "name": name},
    }
    yield volume
    yield _claim(name, "", "1Gi", modes, volumeName=name)


def _claim(name: str, of_class: str, size: str, modes: Sequence[str] = ("ReadWriteOnce",), **rest: Any) -> Object:
    spec = {
        "storageClassName": of_class,
        "accessModes": list(modes),
        "resources": {"requests": {"storage": size}},
        **rest,
    }
    return _object("v1", "PersistentVolumeClaim", name, "default", spec=spec)


def _devices(draw: random.Random, nodes: Sequence[Object]) -> Iterator[Object]:
    of_driver = [{"cel": {"expression": f'device.driver == "{GPUS}"'}}]
    yield _object("resource.k8s.io/v1", "DeviceClass", "gpu", spec={"selectors": of_driver})
    for node in draw.sample(list(nodes), len(nodes) // 3):
        name = node["metadata"]["name"]
        yield _slice(draw, name, {"nodeName": name})
    yield _object("resource.k8s.io/v1", "ResourceClaim", "shared", "default", spec={"devices": _REQUESTS["one"]})
    where = {"nodeSelectorTerms": [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["zone-0"]}]}]}
    yield _slice(draw, "of-a-zone", {"nodeSelector": where})


def _slice(draw: random.Random, pool: str, where: Object) -> Object:
    devices = [
        {
            "name": f"gpu-{index}",
            "attributes": {"model": {"string": draw.choice(["old", "new"])}, "socket": {"int": index // 2}},
            "capacity": {"memory": {"value": draw.choice(["8Gi", "40Gi"])}},
            **({"taints": [{"key": "worn", "effect": "NoSchedule"}]} if draw.random() < 0.2 else {}),
        }
        for index in range(draw.choice([1, 2, 4]))
    ]
    spec = {
        "driver": GPUS,
        "pool": {"name": pool, "generation": 1, "resourceSliceCount": 1},
        **where,
        "devices": devices,
    }
    return _object("resource.k8s.io/v1", "ResourceSlice", f"{pool}-gpus", spec=spec)


def _use(claim: str) -> Object:
    return {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}


def _fresh(draw: random.Random, name: str) -> Object:
    """Of a claim of its own: `claims_for` makes it."""
    return _use(
        f"{draw.choice(['static', 'static', 'zonal', 'tracked', 'at-once'])}-{draw.choice(SIZES).lower()}.{name}"
    )


def _device(draw: random.Random, name: str) -> Object:
    kind = draw.choice(list(_REQUESTS))
    return {"resourceClaims": [{"name": "d", "resourceClaimName": f"{kind}.{name}"}]}


def _disk(draw: random.Random, _: str) -> Object:
    """Only one pod on a node may write to it, or on any."""
    if draw.random() < 0.5:
        disk = {"gcePersistentDisk": {"pdName": draw.choice(["one", "two"]), "readOnly": draw.random() < 0.5}}
    else:
        disk = {"iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2001-04.com.example:x", "lun": 0}}
    return {"volumes": [{"name": "v", **disk}]}


POD_CLAIMS: tuple[Callable[[random.Random, str], Object], ...] = (
    lambda draw, _: _use(f"bound-{draw.randrange(12)}"),
    lambda draw, _: _use("missing"),
    lambda draw, _: {"resourceClaims": [{"name": "d", "resourceClaimName": "shared"}]},
    lambda draw, _: {"resourceClaims": [{"name": "d", "resourceClaimName": "missing"}]},
    _fresh,
    _fresh,
    _disk,
    _device,
    _device,
)
_NEW = [{"cel": {"expression": f'device.attributes["{GPUS}"].model == "new"'}}]
_LARGE = [{"cel": {"expression": f'device.capacity["{GPUS}"].memory.compareTo(quantity("20Gi")) > 0'}}]
_REQUESTS: dict[str, Object] = {
    "none": {"requests": [{"name": "r", "exactly": {"deviceClassName": "unknown"}}]},
    "one": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]},
    "new": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "selectors": _NEW}}]},
    "two": {
        "requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "count": 2}}],
        "constraints": [{"matchAttribute": f"{GPUS}/socket"}],
    },
    "all": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "allocationMode": "All"}}]},
    "worn": {
        "requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "tolerations": [{"operator": "Exists"}]}}]
    },
    "either": {
        "requests": [
            {
                "name": "r",
                "firstAvailable": [
                    {"name": "large", "deviceClassName": "gpu", "selectors": _LARGE},
                    {"name": "any", "deviceClassName": "gpu"},
                ],
            }
        ]
    },
}


def claims_for(pod: Object) -> Iterator[Object]:
    """What of it does not exist yet; what its name says it is."""
    namespace = pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes", ()):
        name = volume.get("persistentVolumeClaim", {}).get("claimName", "")
        if "." in name:
            of_class, _, size = name.partition(".")[0].rpartition("-")
            claim = _claim(name, of_class, size.replace("gi", "Gi"))
            yield claim | {"metadata": {"name": name, "namespace": namespace}}
    for used in pod["spec"].get("resourceClaims", ()):
        name = used["resourceClaimName"]
        if "." in name:
            devices = _REQUESTS[name.partition(".")[0]]
            yield _object("resource.k8s.io/v1", "ResourceClaim", name, namespace, spec={"devices": devices})
