"""NodeRestriction: a kubelet changes its own node, the status of its own pods, and its own lease, and no more of them.

The Node authoriser (access/node.py) allows the verb; whose object it is shows only here. Source: "NodeRestriction" of
Kubernetes' reference, and kube-apiserver's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actors.apiserver.access.attributes import quoted
from actors.apiserver.access.node import node_name
from actors.apiserver.access.references import references
from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from actors.apiserver.callers import Caller
from protocols.errors import NotFound
from protocols.objects import Object, labels_of, meta, name_of, uid_of
from protocols.rules.pods import MIRROR, node_of

_LEASES = "kube-node-lease"
_RESTRICTION = "node-restriction.kubernetes.io"
# Labels of Kubernetes' own that a kubelet may give its node.
_KUBELET_LABELS = frozenset(
    (
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    )
)
_KUBELET_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_CLAIM_STATUS = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")


def restrict(attributes: Attributes, stored: Stored) -> None:
    """Raises Forbidden. Costs those who are no nodes one look at their name."""
    node = node_name(attributes.caller)
    if node is None:
        return
    if not node:
        raise attributes.refusal(f"could not determine node from user {quoted(attributes.caller.user)}")
    check = _CHECKS.get(attributes.resource.group_resource)
    if check is not None:
        check(node, attributes, stored)


def restrict_eviction(caller: Caller, pod: Object, refuse: Callable[[str], Exception]) -> None:
    node = node_name(caller)
    if node is not None and node_of(pod) != node:
        raise refuse(f"node {node} can only evict pods with spec.nodeName set to itself")


def restrict_token(
    caller: Caller, request: Object, find: Callable[[str], Object | None], refuse: Callable[[str], Exception]
) -> None:
    """`find`: the pod of a name. A node asks for tokens that end with one of its pods."""
    node = node_name(caller)
    if node is None:
        return
    bound = request["spec"].get("boundObjectRef") or {}
    if bound.get("apiVersion") != "v1" or bound.get("kind") != "Pod" or not bound.get("name"):
        raise refuse("node requested token not bound to a pod")
    if not bound.get("uid"):
        raise refuse("node requested token with a pod binding without a uid")
    pod = find(bound["name"])
    if pod is None:
        raise NotFound(f'pod "{bound["name"]}" not found', {"name": bound["name"], "kind": "pod"})
    if uid_of(pod) != bound["uid"]:
        raise refuse(
            f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
    if node_of(pod) != node:
        raise refuse("node requested token bound to a pod scheduled on a different node")


def _pod(node: str, attributes: Attributes, stored: Stored) -> None:
    match attributes.subresource, attributes.operation:
        case ("status", "UPDATE"):
            _pod_status(node, attributes)
        case ("", "CREATE"):
            _mirror_pod(node, attributes, stored)
        case ("", "DELETE"):
            if node_of(attributes.old) != node:
                raise attributes.refusal(f"node {quoted(node)} can only delete pods with spec.nodeName set to itself")
        case ("eviction", "CREATE"):
            return  # whose pod it is, is asked when it is found (`restrict_eviction`)
        case ("", operation):
            raise attributes.refusal(
                f"unexpected operation {quoted(operation)}, node {quoted(node)} can only create and delete mirror pods"
            )
        case (subresource, _):
            raise attributes.refusal(
                f"unexpected pod subresource {quoted(subresource)}, only 'status' and 'eviction' are allowed"
            )


def _pod_status(node: str, attributes: Attributes) -> None:
    old, new = attributes.old, attributes.obj
    if node_of(old) != node:
        raise attributes.refusal(
            f"node {quoted(node)} can only update pod status for pods with spec.nodeName set to itself"
        )
    if labels_of(old) != labels_of(new):
        raise attributes.refusal(f"node {quoted(node)} cannot update labels through pod status")
    if _claims(old) != _claims(new):
        raise attributes.refusal(f"node {quoted(node)} cannot update resource claim statues")


def _mirror_pod(node: str, attributes: Attributes, stored: Stored) -> None:
    pod, who = attributes.obj, f"node {quoted(node)}"
    if MIRROR not in (meta(pod).get("annotations") or {}):
        raise attributes.refusal(f"pod does not have {quoted(MIRROR)} annotation, {who} can only create mirror pods")
    if node_of(pod) != node:
        raise attributes.refusal(f"{who} can only create pods with spec.nodeName set to itself")
    _mirror_owner(node, attributes, stored)
    kinds = {thing.resource for thing in references(pod)}
    for resource, named in (
        ("serviceaccounts", "a service account"),
        ("secrets", "secrets"),
        ("configmaps", "configmaps"),
        ("persistentvolumeclaims", "persistentvolumeclaims"),
    ):
        if resource in kinds:
            raise attributes.refusal(f"{who} can not create pods that reference {named}")


def _mirror_owner(node: str, attributes: Attributes, stored: Stored) -> None:
    who, owners = f"node {quoted(node)}", meta(attributes.obj).get("ownerReferences") or []
    if len(owners) > 1:
        raise attributes.refusal(f"{who} can only create pods with a single owner reference set to itself")
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        raise attributes.refusal(f"{who} can only create pods with an owner reference set to itself")
    if not owner.get("controller"):
        raise attributes.refusal(f"{who} can only create pods with a controller owner reference set to itself")
    if owner.get("blockOwnerDeletion"):
        raise attributes.refusal(f"{who} must not set blockOwnerDeletion on an owner reference")
    itself = stored.get("nodes", node)
    if itself is None:
        raise attributes.refusal(f'error looking up node {node} to verify uid: node "{node}" not found')
    if uid_of(itself) != owner.get("uid"):
        raise attributes.refusal(f"node {node} UID mismatch: expected {owner.get('uid')} got {uid_of(itself)}")


def _node(node: str, attributes: Attributes, stored: Stored) -> None:
    who, old, new = f"node {quoted(node)}", attributes.old, attributes.obj
    name = name_of(new or old)
    if name != node:
        raise attributes.refusal(f"{who} is not allowed to modify node {quoted(name)}")
    if attributes.operation == "DELETE":
        return
    source = (new.get("spec") or {}).get("configSource")
    if attributes.operation == "CREATE":
        if source is not None:
            raise attributes.refusal(f"{who} is not allowed to create pods with a non-nil configSource")
        if forbidden := _forbidden_labels(labels_of(new), {}):
            raise attributes.refusal(f"{who} is not allowed to set the following labels: {forbidden}")
        return
    if source is not None and source != (old.get("spec") or {}).get("configSource"):
        raise attributes.refusal(f"{who} is not allowed to update configSource to a new non-nil configSource")
    if _taints(new) != _taints(old):
        raise attributes.refusal(f"{who} is not allowed to modify taints")
    if meta(new).get("ownerReferences") != meta(old).get("ownerReferences"):
        raise attributes.refusal(f"{who} is not allowed to modify ownerReferences")
    if forbidden := _forbidden_labels(labels_of(new), labels_of(old)):
        raise attributes.refusal(f"is not allowed to modify labels: {forbidden}")


def _claim(node: str, attributes: Attributes, stored: Stored) -> None:
    if attributes.subresource != "status":
        raise attributes.refusal("may only update PVC status")
    old, new = _without_sizes(attributes.old), _without_sizes(attributes.obj)
    if changed := [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]:
        raise attributes.refusal(
            f"node {quoted(node)} is not allowed to update fields other than status.capacity and status.conditions: "
            + ", ".join(changed)
        )


def _lease(node: str, attributes: Attributes, stored: Stored) -> None:
    if attributes.namespace != _LEASES:
        raise attributes.refusal(f"can only access leases in the {quoted(_LEASES)} system namespace")
    if name_of(attributes.obj or attributes.old) != node:
        raise attributes.refusal("can only access node lease with the same name as the requesting node")


def _csi_node(node: str, attributes: Attributes, stored: Stored) -> None:
    if name_of(attributes.obj or attributes.old) != node:
        raise attributes.refusal("can only access CSINode with the same name as the requesting node")


def _slice(node: str, attributes: Attributes, stored: Stored) -> None:
    """Which slices a node may change is its authorizer's business."""
    if attributes.operation == "CREATE" and (attributes.obj.get("spec") or {}).get("nodeName") != node:
        raise attributes.refusal("can only create ResourceSlice with the same NodeName as the requesting node")


def _forbidden_labels(new: Mapping[str, str], old: Mapping[str, str]) -> str:
    changed = {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
    return ", ".join(sorted(filter(_is_forbidden, changed)))


def _is_forbidden(label: str) -> bool:
    domain = label.rpartition("/")[0]
    if _within(domain, _RESTRICTION):
        return True
    if not (_within(domain, "kubernetes.io") or _within(domain, "k8s.io")) or label in _KUBELET_LABELS:
        return False
    return not any(_within(domain, each) for each in _KUBELET_DOMAINS)


def _within(domain: str, parent: str) -> bool:
    return domain == parent or domain.endswith(f".{parent}")


def _taints(node: Object) -> Any:
    return (node.get("spec") or {}).get("taints") or []


def _claims(pod: Object) -> list[tuple[str, Any]]:
    statuses = (pod.get("status") or {}).get("resourceClaimStatuses") or ()
    return [(each.get("name", ""), each.get("resourceClaimName")) for each in statuses]


def _without_sizes(claim: Object) -> dict[str, Any]:
    metadata = {key: value for key, value in meta(claim).items() if key not in ("resourceVersion", "managedFields")}
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in _CLAIM_STATUS}
    return {**claim, "metadata": metadata, "status": status}


_CHECKS: dict[str, Callable[[str, Attributes, Stored], None]] = {
    "pods": _pod,
    "nodes": _node,
    "persistentvolumeclaims": _claim,
    "leases.coordination.k8s.io": _lease,
    "csinodes.storage.k8s.io": _csi_node,
    "resourceslices.resource.k8s.io": _slice,
}
