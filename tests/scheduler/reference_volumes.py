"""kube-scheduler's answers about volumes, slowly: one pod, one node, everything looked up in plain lists of objects.

Written from kube-scheduler 1.36's volumebinding, volumerestrictions, volumezone and nodevolumelimits, without anything
of actors/scheduler or of the rules that it shares with controllers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from protocols.objects import Object
from protocols.rules.affinity import node_selector_matches
from protocols.rules.quantity import parse_quantity
from protocols.rules.selectors import selector_matches

ZONES = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
SELECTED = "volume.kubernetes.io/selected-node"


@dataclass
class Storage:
    """By name; `used` are (node, name of a claim) of the pods that are placed."""

    claims: dict[str, Object] = field(default_factory=dict)
    volumes: dict[str, Object] = field(default_factory=dict)
    classes: dict[str, Object] = field(default_factory=dict)
    limits: dict[str, dict[str, int]] = field(default_factory=dict)
    counting: set[str] = field(default_factory=set)  # drivers that say how much room they have
    capacities: dict[str, Object] = field(default_factory=dict)
    used: list[tuple[str, str]] = field(default_factory=list)


def refusal_altogether(names: list[str], storage: Storage, pod: Object) -> str:
    called = pod["metadata"]["name"]
    own = [f"{called}-{volume['name']}" for volume in pod["spec"].get("volumes", ()) if "ephemeral" in volume]
    for name in names:
        if name not in storage.claims and name in own:
            return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
        if name not in storage.claims:
            return f'persistentvolumeclaim "{name}" not found'
        owners = storage.claims[name]["metadata"].get("ownerReferences") or [{"uid": ""}]
        if name in own and owners[0]["uid"] != pod["metadata"]["uid"]:
            return f"PVC default/{name} was not created for pod default/{called} (pod is not owner)"
    for name in names:
        claim = storage.claims[name]
        if not is_bound(claim) and (claim["spec"].get("volumeName") or not waits(claim, storage)):
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def refusal(names: list[str], node: Object, storage: Storage) -> list[str]:
    """The reasons of the first plugin that refuses the node."""
    claims = [storage.claims[name] for name in names]
    for judge in (one_pod, limits, binding, zone):
        if reasons := judge(claims, node, storage):
            return reasons
    return []


def one_pod(claims: list[Object], node: Object, storage: Storage) -> list[str]:
    for claim in claims:
        if "ReadWriteOncePod" in claim["spec"]["accessModes"]:
            if any(used == claim["metadata"]["name"] for _, used in storage.used):
                return ["node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"]
    return []


def disk_is_taken(pod: Object, others: list[Object]) -> bool:
    """Whether one of the pods of a node has a disk that this pod names."""
    pairs = [(one, two) for one in pod["spec"]["volumes"] for other in others for two in other["spec"]["volumes"]]
    return any(is_same_disk(one, two) for one, two in pairs)


def is_same_disk(one: dict[str, Any], two: dict[str, Any]) -> bool:
    both_read = all(next(iter(each.values())).get("readOnly") for each in (no_name(one), no_name(two)))
    if "awsElasticBlockStore" in one and "awsElasticBlockStore" in two:
        return bool(one["awsElasticBlockStore"]["volumeID"] == two["awsElasticBlockStore"]["volumeID"])
    if both_read:
        return False
    if "gcePersistentDisk" in one and "gcePersistentDisk" in two:
        return bool(one["gcePersistentDisk"]["pdName"] == two["gcePersistentDisk"]["pdName"])
    if "iscsi" in one and "iscsi" in two:
        return bool(one["iscsi"]["iqn"] == two["iscsi"]["iqn"])
    if "rbd" in one and "rbd" in two:
        a, b = one["rbd"], two["rbd"]
        is_one_image = (a.get("pool", "rbd"), a["image"]) == (b.get("pool", "rbd"), b["image"])
        return is_one_image and bool(set(a["monitors"]) & set(b["monitors"]))
    return False


def no_name(volume: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in volume.items() if key != "name"}


def limits(claims: list[Object], node: Object, storage: Storage) -> list[str]:
    name = node["metadata"]["name"]
    there = {
        handle_of(storage.claims[c], storage) for where, c in storage.used if where == name and c in storage.claims
    }
    there.discard(None)
    new = {handle_of(claim, storage) for claim in claims} - there - {None}
    for driver, most in storage.limits.get(name, {}).items():
        wanted = [each for each in new if each is not None and each[0] == driver]
        if wanted and len(wanted) + sum(each is not None and each[0] == driver for each in there) > most:
            return ["node(s) exceed max volume count"]
    return []


def handle_of(claim: Object, storage: Storage) -> tuple[str, str] | None:
    if name := claim["spec"].get("volumeName"):
        source = storage.volumes.get(name, {}).get("spec", {}).get("csi")
        return (source["driver"], source["volumeHandle"]) if source else None
    storage_class = storage.classes.get(claim["spec"]["storageClassName"])
    return (storage_class["provisioner"], claim["metadata"]["name"]) if storage_class else None


def binding(claims: list[Object], node: Object, storage: Storage) -> list[str]:
    reasons = []
    volumes = [storage.volumes.get(claim["spec"]["volumeName"]) for claim in claims if is_bound(claim)]
    if any(volume is not None and not reaches(volume, node) for volume in volumes):
        reasons.append("node(s) didn't match PersistentVolume's node affinity")
    if why := what_is_missing([claim for claim in claims if not is_bound(claim)], node, storage):
        reasons.append(why)
    if any(volume is None for volume in volumes):
        reasons.append("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)")
    return reasons


def what_is_missing(claims: list[Object], node: Object, storage: Storage) -> str:
    """What is wrong with the first claim that gets no volume: those that a node was chosen for, then from small to
    large."""
    found = chosen(claims, node, storage)
    if found is None:
        return "node(s) didn't find available persistent volumes to bind"
    for claim in sorted(claims, key=lambda c: (not selected_by(c), size_of(c), c["metadata"]["name"])):
        if claim["metadata"]["name"] in found:
            continue
        storage_class = storage.classes[claim["spec"]["storageClassName"]]
        if not makeable(storage_class, node):
            return "node(s) didn't find available persistent volumes to bind"
        if storage_class["provisioner"] in storage.counting and not has_room(claim, node, storage):
            return "node(s) did not have enough free storage"
    return ""


def has_room(claim: Object, node: Object, storage: Storage) -> bool:
    for capacity in storage.capacities.values():
        if capacity["storageClassName"] != claim["spec"]["storageClassName"]:
            continue
        most = capacity.get("maximumVolumeSize") or capacity.get("capacity")
        topology = capacity.get("nodeTopology")
        if most is None or topology is None or parse_quantity(most) < size_of(claim):
            continue
        if selector_matches(topology, node["metadata"]["labels"]):
            return True
    return False


def choice_of(names: list[str], node: Object, storage: Storage) -> dict[str, str]:
    """Claim -> the volume that it gets on that node; those whose volume has to be made are left out."""
    return chosen([storage.claims[name] for name in names if not is_bound(storage.claims[name])], node, storage) or {}


def chosen(claims: list[Object], node: Object, storage: Storage) -> dict[str, str] | None:
    taken: dict[str, str] = {}
    for claim in sorted(claims, key=lambda c: (size_of(c), c["metadata"]["name"])):
        selected = selected_by(claim)
        if selected and selected != node["metadata"]["name"]:
            return None
        found = None if selected else find(claim, node, storage, set(taken.values()))
        if found is not None:
            taken[claim["metadata"]["name"]] = found
    return taken


def selected_by(claim: Object) -> str:
    return (claim["metadata"].get("annotations") or {}).get(SELECTED) or ""


def find(claim: Object, node: Object, storage: Storage, taken: set[str]) -> str | None:
    for name, volume in sorted(storage.volumes.items()):
        if is_reserved(volume, claim) and name not in taken and is_enough(volume, claim):
            return name if reaches(volume, node) else None
    best: tuple[Any, ...] | None = None
    for name, volume in storage.volumes.items():
        spec = volume["spec"]
        if name in taken or spec.get("claimRef") or volume["status"]["phase"] != "Available":
            continue
        if spec["storageClassName"] != claim["spec"]["storageClassName"] or not is_enough(volume, claim):
            continue
        if not set(claim["spec"]["accessModes"]) <= set(spec["accessModes"]) or not reaches(volume, node):
            continue
        if best is None or (capacity_of(volume), name) < best:
            best = (capacity_of(volume), name)
    return best[1] if best else None


def makeable(storage_class: Object, node: Object) -> bool:
    if storage_class["provisioner"] == "kubernetes.io/no-provisioner":
        return False
    terms = storage_class.get("allowedTopologies")
    labels = node["metadata"]["labels"]
    return not terms or any(
        all(labels.get(each["key"]) in each["values"] for each in term["matchLabelExpressions"]) for term in terms
    )


def zone(claims: list[Object], node: Object, storage: Storage) -> list[str]:
    labels = node["metadata"]["labels"]
    if not any(key in labels for key in ZONES):
        return []
    for claim in claims:
        volume = storage.volumes.get(claim["spec"].get("volumeName") or "")
        for key in ZONES:
            value = (volume or {}).get("metadata", {}).get("labels", {}).get(key)
            if value is not None and labels.get(key) not in value.split("__"):
                return ["node(s) had no available volume zone"]
    return []


def is_bound(claim: Object) -> bool:
    completed = "pv.kubernetes.io/bind-completed" in (claim["metadata"].get("annotations") or {})
    return bool(claim["spec"].get("volumeName")) and completed


def waits(claim: Object, storage: Storage) -> bool:
    storage_class = storage.classes.get(claim["spec"]["storageClassName"])
    return storage_class is not None and storage_class["volumeBindingMode"] == "WaitForFirstConsumer"


def is_reserved(volume: Object, claim: Object) -> bool:
    reference = volume["spec"].get("claimRef")
    if not reference or reference["name"] != claim["metadata"]["name"]:
        return False
    return reference.get("uid") in (None, claim["metadata"]["uid"])


def is_enough(volume: Object, claim: Object) -> bool:
    return capacity_of(volume) >= size_of(claim)


def reaches(volume: Object, node: Object) -> bool:
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return required is None or node_selector_matches(required, node)


def size_of(claim: Object) -> int:
    return parse_quantity(claim["spec"]["resources"]["requests"]["storage"])


def capacity_of(volume: Object) -> int:
    return parse_quantity(volume["spec"]["capacity"]["storage"])
