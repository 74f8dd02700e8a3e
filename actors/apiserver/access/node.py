"""The Node authoriser: what a kubelet may do. It reads what its pods need, and changes itself and their status.

Verbs on the kinds below are looked at one by one; everything else is allowed to all nodes alike, by the rules of the
ClusterRole system:node. Whose status or node it is that changes is checked where the object is known, in admission
(node_restriction.py). Source: "Using Node Authorization" of Kubernetes' reference, and kube-apiserver's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.apiserver.access.attributes import Attributes, Decision, quoted
from actors.apiserver.access.node_graph import NodeGraph
from actors.apiserver.access.references import Thing
from actors.apiserver.access.rules import Rule
from actors.apiserver.callers import NODE_PREFIX, NODES, Caller
from protocols.rules.selectors import InvalidSelector, parse_field_selector

_LEASES = "kube-node-lease"
_CHANGING = ("get", "create", "update", "patch", "delete")
_REMEMBERED_MAX = 1024
_ALLOWED, _NO_OPINION = Decision(True), Decision(False)


def node_name(caller: Caller) -> str | None:
    """The node that the caller is; None for others. "" where the caller's name does not say which."""
    if not caller.user.startswith(NODE_PREFIX) or NODES not in caller.groups:
        return None
    return caller.user.removeprefix(NODE_PREFIX)


class NodeAuthorizer:
    """`rules`: what all nodes may do alike."""

    def __init__(self, graph: NodeGraph, rules: Sequence[Rule]) -> None:
        self._graph = graph
        self._rules = rules
        self._alike: dict[tuple[str, str, str, str], bool] = {}
        self._subdivided: dict[tuple[str, str], Callable[[str, Attributes], Decision]] = {
            ("", "secrets"): self._read,
            ("", "configmaps"): self._read,
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): self._get,
            ("resource.k8s.io", "resourceclaims"): self._get,
            ("resource.k8s.io", "resourceslices"): self._slice,
            ("storage.k8s.io", "volumeattachments"): self._get,
            ("storage.k8s.io", "csinodes"): self._csi_node,
            ("", "serviceaccounts"): self._account,
            ("coordination.k8s.io", "leases"): self._lease,
            ("", "nodes"): self._node,
            ("", "pods"): self._pod,
        }

    def decide(self, node: str, asked: Attributes) -> Decision:
        if not node:
            return Decision(False, f"unknown node for user {quoted(NODE_PREFIX)}")
        decide = self._subdivided.get((asked.group, asked.resource))
        if decide is not None:
            return decide(node, asked)
        return _ALLOWED if self._allowed_to_all(asked) else _NO_OPINION

    def _allowed_to_all(self, asked: Attributes) -> bool:
        question = (asked.verb, asked.group, asked.resource or asked.path, asked.subresource)
        if question not in self._alike:
            if len(self._alike) >= _REMEMBERED_MAX:
                self._alike.clear()
            self._alike[question] = any(rule.allows(asked) for rule in self._rules)
        return self._alike[question]

    def _related(self, node: str, asked: Attributes) -> Decision:
        resource = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
        if self._graph.reaches(node, Thing(resource, asked.namespace, asked.name)):
            return _ALLOWED
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _named(self, node: str, asked: Attributes) -> Decision:
        return self._related(node, asked) if asked.name else Decision(False, "No Object name found")

    def _read(self, node: str, asked: Attributes) -> Decision:
        if asked.verb not in ("get", "list", "watch"):
            return Decision(False, "can only read resources of this type")
        if asked.subresource:
            return Decision(False, "cannot read subresource")
        if not asked.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return self._named(node, asked)

    def _get(self, node: str, asked: Attributes) -> Decision:
        if asked.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if asked.subresource:
            return Decision(False, "cannot get subresource")
        return self._named(node, asked)

    def _claim(self, node: str, asked: Attributes) -> Decision:
        if asked.subresource != "status":
            return self._get(node, asked)
        if asked.verb not in ("update", "patch"):
            return Decision(False, "can only get/update/patch this type")
        return self._named(node, asked)

    def _account(self, node: str, asked: Attributes) -> Decision:
        if asked.verb == "get" and not asked.subresource:
            return self._named(node, asked)
        if asked.verb != "create" or not asked.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if asked.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return self._related(node, asked)

    def _lease(self, node: str, asked: Attributes) -> Decision:
        if asked.verb not in _CHANGING:
            return Decision(False, "can only get, create, update, patch, or delete a node lease")
        if asked.namespace != _LEASES:
            return Decision(False, f"can only access leases in the {quoted(_LEASES)} system namespace")
        if asked.verb != "create" and asked.name != node:
            return Decision(False, "can only access node lease with the same name as the requesting node")
        return _ALLOWED

    def _csi_node(self, node: str, asked: Attributes) -> Decision:
        if asked.verb not in _CHANGING:
            return Decision(False, "can only get, create, update, patch, or delete a CSINode")
        if asked.subresource:
            return Decision(False, "cannot authorize CSINode subresources")
        if asked.verb != "create" and asked.name != node:
            return Decision(False, "can only access CSINode with the same name as the requesting node")
        return _ALLOWED

    def _slice(self, node: str, asked: Attributes) -> Decision:
        """No node keeps slices here: what Kubernetes decides by its graph is refused."""
        if asked.subresource:
            return Decision(False, "cannot authorize ResourceSlice subresources")
        if asked.verb == "create" or (asked.verb in ("list", "watch") and _selects(asked, "nodeName", node)):
            return _ALLOWED
        if asked.verb in ("list", "watch", "deletecollection"):
            return Decision(False, "can only list/watch/deletecollection resourceslices with nodeName field selector")
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _node(self, node: str, asked: Attributes) -> Decision:
        if asked.subresource == "status":
            return _ALLOWED if asked.verb in ("update", "patch") else _NO_OPINION
        if asked.subresource or asked.verb not in ("create", "update", "patch", "get", "list", "watch"):
            return _NO_OPINION
        if asked.verb in ("create", "update", "patch") or asked.name == node:
            return _ALLOWED
        others = f"'{asked.name}'" if asked.name else "all nodes"
        return Decision(False, f"node '{node}' cannot read {others}, only its own Node object")

    def _pod(self, node: str, asked: Attributes) -> Decision:
        match asked.subresource, asked.verb:
            case ("", "get"):
                return self._get(node, asked)
            case ("", "list" | "watch"):
                if _selects(asked, "spec.nodeName", node):
                    return _ALLOWED
                if asked.name:
                    return self._named(node, asked)
                return Decision(False, "can only list/watch pods with spec.nodeName field selector")
            case ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create"):
                return _ALLOWED
        return _NO_OPINION


def _selects(asked: Attributes, field: str, node: str) -> bool:
    """Whether the list or watch is about what its field selector says is of this node."""
    try:
        requirements = parse_field_selector(asked.fields)
    except InvalidSelector:
        return False
    return any(each.path == field and each.operator == "=" and each.value == node for each in requirements)
