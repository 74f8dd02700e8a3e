"""TaintNodesByCondition: nothing is scheduled to a new node before somebody has seen that it is ready.

Kubernetes taints each node. Kubelets here register with the condition that they are ready, and of those nobody would
have to take the taint away again: a second write for each of thousands of nodes.
"""

from __future__ import annotations

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from protocols.objects import Object
from protocols.rules.taints import NO_SCHEDULE, NOT_READY


def taint(attributes: Attributes, stored: Stored) -> None:
    node = attributes.obj
    taints = (node.get("spec") or {}).get("taints") or []
    tainted = any(each.get("key") == NOT_READY and each.get("effect") == NO_SCHEDULE for each in taints)
    if not tainted and not _is_ready(node):
        spec = node["spec"] = {**(node.get("spec") or {})}
        spec["taints"] = [*taints, {"key": NOT_READY, "effect": NO_SCHEDULE}]


def _is_ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
