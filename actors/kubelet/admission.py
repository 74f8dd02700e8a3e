"""Whether the node takes a pod that was bound to it. A scheduler that did not know better, or a user who set nodeName,
may bind what does not fit; such a pod fails with the reason, and its controller makes another.
"""

from __future__ import annotations

from collections.abc import Collection

from actors.kubelet.actions import Failed
from protocols.objects import Object
from protocols.rules.affinity import node_eligible
from protocols.rules.resources import Amounts, pod_requests
from protocols.rules.taints import NO_EXECUTE, untolerated


def refusal(pod: Object, node: Object, allocatable: Amounts, used: Collection[Amounts]) -> Failed | None:
    """`used`: what each pod asks for that the node has taken and that is not over. None: it is admitted."""
    if not node_eligible(pod, node):
        return Failed(
            "NodeAffinity",
            "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match the pod's node affinity/selector",
        )
    spec = node.get("spec") or {}
    taint = next(
        untolerated(spec.get("taints") or (), (pod.get("spec") or {}).get("tolerations") or (), (NO_EXECUTE,)), None
    )
    if taint is not None:
        return Failed("TaintToleration", f"Pod was rejected: the node's taint {taint.get('key')} is not tolerated")
    return _out_of(pod, allocatable, used)


def _out_of(pod: Object, allocatable: Amounts, used: Collection[Amounts]) -> Failed | None:
    requested = {"pods": 1, **pod_requests(pod)}
    for resource, wanted in requested.items():
        taken = len(used) if resource == "pods" else sum(each.get(resource, 0) for each in used)
        capacity = allocatable.get(resource, 0)
        if wanted > 0 and wanted + taken > capacity:
            amounts = f"requested: {wanted}, used: {taken}, capacity: {capacity}"
            return Failed(
                f"OutOf{resource}", f"Pod was rejected: Node didn't have enough resource: {resource}, {amounts}"
            )
    return None
