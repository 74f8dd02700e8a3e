"""Claims, volumes, classes and pods for tests of their controllers, in the small world of controllers."""

from __future__ import annotations

from typing import Any

from actors.controllers import persistent_volume, volume_protection
from protocols.objects import Object, meta, name_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
CLASSES = "storageclasses.storage.k8s.io"
BINDER = (persistent_volume.controller(),)
PROTECTED = (*BINDER, volume_protection.claim_controller(), volume_protection.volume_controller())


def in_world(controllers: Any, scenario: Any, seed: int = 0) -> None:
    async def play() -> None:
        async with World(*controllers, seed=seed, together=True) as world:
            await scenario(world)

    run(play())


def claim(name: str = "data", size: str = "1Gi", storage_class: str = "", **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            "storageClassName": storage_class,
            "volumeMode": "Filesystem",
            **spec,
        },
        "status": {"phase": "Pending"},
    }


def volume(name: str, size: str = "1Gi", storage_class: str = "", policy: str = "Retain", **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "labels": {"name": name}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": size},
            "storageClassName": storage_class,
            "persistentVolumeReclaimPolicy": policy,
            "volumeMode": "Filesystem",
            "hostPath": {"path": f"/tmp/{name}"},
            **spec,
        },
        "status": {"phase": "Pending"},
    }


def storage_class(name: str, provisioner: str, mode: str = "Immediate", policy: str = "Delete") -> Object:
    return {
        "metadata": {"name": name},
        "provisioner": provisioner,
        "volumeBindingMode": mode,
        "reclaimPolicy": policy,
    }


def pod(name: str, *claims: str, node: str = "") -> Object:
    volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": "none"}], "volumes": volumes}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**spec, **({"nodeName": node} if node else {})},
    }


def phase(world: World, resource: str, name: str) -> str:
    found = world.find(resource, name, "default" if resource == CLAIMS else "")
    return "" if found is None else str(found["status"]["phase"])


def bound(world: World) -> dict[str, str]:
    """The claims that are bound, and to which volume; the volume must say so too."""
    pairs = {}
    for each in world.list(CLAIMS):
        if each["status"]["phase"] == "Bound":
            name = each["spec"]["volumeName"]
            reference = world.get(VOLUMES, name, "")["spec"]["claimRef"]
            assert (reference["name"], reference["uid"]) == (name_of(each), meta(each)["uid"]), reference
            pairs[name_of(each)] = name
    return pairs


def told(world: World, name: str) -> list[tuple[str, str, str]]:
    """(type, reason, message) of the events about an object of that name, in order."""
    about = [e for e in world.list("events") if e["involvedObject"]["name"] == name]
    return [(e["type"], e["reason"], e["message"]) for e in about]
