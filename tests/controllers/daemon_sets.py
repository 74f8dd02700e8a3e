"""Daemon sets and nodes for tests."""

from __future__ import annotations

from typing import Any

from actors.controllers import history
from actors.controllers.daemon_pods import Fit, named_node
from actors.controllers.daemonset_nodes import Daemons
from actors.controllers.pod_summary import PodSummary, summarise_pod
from protocols.objects import Object, labels_of, name_of, uid_of
from protocols.rules.pods import is_ready, node_of
from tests.controllers.world import World

RESOURCE = "daemonsets.apps"
REVISIONS = "controllerrevisions.apps"
NOW = 1_700_000_000.0
RUNS = Fit(True, True)
STAYS = Fit(False, True)
GOES = Fit(False, False)


def daemon_set(name: str = "log", rolling: dict[str, Any] | None = None, image: str = "one", **spec: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0, **(rolling or {})}}
    pod_spec = spec.pop("pod", {})
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": image}], **pod_spec},
            },
            "updateStrategy": strategy,
            "revisionHistoryLimit": 10,
            **spec,
        },
    }


def node(name: str, labels: dict[str, str] | None = None, *taints: Object) -> Object:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": list(taints)}}


def taint(key: str, effect: str = "NoSchedule") -> Object:
    return {"key": key, "effect": effect}


def with_image(image: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}


def pod(name: str, digest: str = "new", **changes: Any) -> PodSummary:
    """Ready for long, on a node."""
    made = {"metadata": {"name": name, "namespace": "default", "labels": {history.HASH_LABEL: digest}}, "spec": {}}
    base = summarise_pod(made)._replace(node="n", phase="Running", ready_since=NOW - 1000, created=NOW - 2000, uid=name)
    return base._replace(**changes)


def daemons(
    pods: dict[str, list[PodSummary]], fits: dict[str, Fit] | None = None, surges: bool = False, min_ready_s: float = 0
) -> Daemons:
    """On as many nodes as there are named, all of which the set runs on, where nothing else is said."""
    found = {name: (fits or {}).get(name, RUNS) for name in sorted({*pods, *(fits or {})})}
    return Daemons("new", found, {name: there for name, there in pods.items() if there}, surges, min_ready_s, NOW)


def where(world: World) -> list[str]:
    """The node of each of the pods that are to stay."""
    return sorted(node_of(each) or named_node(each) for each in world.active_pods())


def digests(world: World) -> dict[str, str]:
    """Of each pod that is to stay."""
    return {name_of(each): labels_of(each)[history.HASH_LABEL] for each in world.active_pods()}


def status(world: World, name: str = "log") -> Object:
    return {key: value for key, value in world.get(RESOURCE, name)["status"].items() if key != "observedGeneration"}


def numbers(desired: int, **others: int) -> Object:
    """The status of a set of which all is well on that many nodes."""
    fields = ("currentNumberScheduled", "desiredNumberScheduled", "numberReady")
    may_be_left_out = ("updatedNumberScheduled", "numberAvailable")
    well = {**dict.fromkeys(fields, desired), "numberMisscheduled": 0}
    return {**well, **(dict.fromkeys(may_be_left_out, desired) if desired else {}), **others}


def served(pods: dict[str, Object]) -> set[str]:
    """The nodes with a pod that is ready and is to stay."""
    return {node_of(each) for each in pods.values() if is_ready(each) and "deletionTimestamp" not in each["metadata"]}


def uids(objects: list[Object]) -> set[str]:
    return {uid_of(each) for each in objects}
