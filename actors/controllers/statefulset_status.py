"""What a stateful set says about itself: how many pods, of which revision, and which revision is the current one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.controllers.pod_summary import PodSummary
from actors.controllers.statefulset_pods import revision_of_pod
from protocols.objects import Object, meta


def new_status(stateful_set: Object, pods: Sequence[PodSummary], current: str, updated: str, now: float) -> Object:
    """The current revision is the one that all pods had when all had the same, until all have the updated one."""
    wanted, min_ready_s = desired_replicas(stateful_set), stateful_set["spec"].get("minReadySeconds") or 0
    ready = [pod for pod in pods if pod.phase == "Running" and pod.ready]
    revisions = [revision_of_pod(pod) for pod in pods if not pod.deleting]
    counts = {
        "readyReplicas": len(ready),
        "currentReplicas": revisions.count(current),
        "updatedReplicas": revisions.count(updated),
    }
    if rolls(stateful_set) and (counts["updatedReplicas"], len(ready), len(pods)) == (wanted,) * 3:
        current, counts["currentReplicas"] = updated, counts["updatedReplicas"]
    status: dict[str, Any] = {
        "observedGeneration": meta(stateful_set).get("generation", 0),
        "replicas": len(pods),
        "availableReplicas": sum(pod.available(min_ready_s, now) for pod in ready),
        "collisionCount": (stateful_set.get("status") or {}).get("collisionCount") or 0,
        **{field: number for field, number in counts.items() if number},
    }
    names = {"currentRevision": current, "updateRevision": updated}
    return {**status, **{field: name for field, name in names.items() if name}}


def desired_replicas(stateful_set: Object) -> int:
    replicas = stateful_set["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def rolls(stateful_set: Object) -> bool:
    return (stateful_set["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"
