"""The admission chain: which plugin looks at which change, and in what order, as kube-apiserver runs them by default.

What the table does not name costs nothing: most kinds have no plugin at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from actors.apiserver.admission import (
    admin_access,
    claim_resize,
    default_ingress_class,
    default_storage_class,
    limit_ranger,
    node_restriction,
    pod_groups,
    pod_topology_labels,
    priority,
    runtime_class,
    service_account,
    storage_protection,
    taint_nodes,
)
from actors.apiserver.admission.attributes import Attributes, Operation, Plugin
from actors.apiserver.admission.namespace_lifecycle import check_namespace
from actors.apiserver.admission.pod_security import admission as pod_security
from actors.apiserver.admission.stored import Stored
from actors.apiserver.admission.toleration_seconds import DefaultTolerationSeconds
from protocols.rules.device_claims import CLAIMS, TEMPLATES

# By operation and group resource; "pods/binding" is a subresource, of which no plugin knows that does not name it.
Table = Mapping[tuple[Operation, str], tuple[Plugin, ...]]

_PVCS = "persistentvolumeclaims"

VALIDATING: Table = {
    ("CREATE", "pods"): (runtime_class.validate, limit_ranger.validate_pod, pod_security.validate_pod),
    ("UPDATE", "pods"): (pod_security.validate_pod,),
    ("UPDATE", "pods/resize"): (limit_ranger.validate_pod,),
    ("CREATE", _PVCS): (limit_ranger.validate_claim,),
    ("UPDATE", _PVCS): (limit_ranger.validate_claim, claim_resize.validate),
    ("CREATE", "namespaces"): (pod_security.validate_namespace,),
    ("UPDATE", "namespaces"): (pod_security.validate_namespace,),
    ("CREATE", pod_groups.POD_GROUPS): (pod_groups.validate,),
    ("CREATE", CLAIMS): (admin_access.validate_claim,),
    ("CREATE", TEMPLATES): (admin_access.validate_template,),
    ("CREATE", priority.CLASSES): (priority.validate_class,),
    ("UPDATE", priority.CLASSES): (priority.validate_class,),
    **{
        (operation, workload): (pod_security.validate_workload,)
        for workload in pod_security.WORKLOADS
        for operation in ("CREATE", "UPDATE")
    },
}


def mutating(toleration_s: int, pod_tokens: bool, topology_labels: bool) -> Table:
    """`toleration_s`: how long a pod stays on a node that is not ready or reachable, unless it says so itself.

    `topology_labels`: pods get the zone and region of their nodes.
    """
    tolerations = DefaultTolerationSeconds(toleration_s)
    account = service_account.complete if pod_tokens else service_account.default
    pods = (limit_ranger.default_pod, account, tolerations, priority.resolve, runtime_class.complete)
    by_node: Table = (
        {
            ("CREATE", "pods"): (*pods, pod_topology_labels.label_pod),
            ("CREATE", "pods/binding"): (pod_topology_labels.label_binding,),
        }
        if topology_labels
        else {}
    )
    return {
        ("CREATE", "pods"): pods,
        ("UPDATE", "pods"): (tolerations, priority.keep),
        ("CREATE", _PVCS): (default_storage_class.default, storage_protection.protect),
        ("CREATE", "nodes"): (taint_nodes.taint,),
        ("CREATE", "persistentvolumes"): (storage_protection.protect,),
        ("CREATE", "ingresses.networking.k8s.io"): (default_ingress_class.default,),
        ("CREATE", pod_groups.POD_GROUPS): (priority.resolve_groups,),
        ("CREATE", pod_groups.WORKLOADS): (priority.resolve_groups,),
        **by_node,
    }


class Chain:
    """`stored` is what plugins read. `pod_tokens`: each pod's account must be there, and its token is mounted."""

    def __init__(self, stored: Stored, toleration_s: int, pod_tokens: bool, topology_labels: bool = False) -> None:
        self._stored = stored
        self._pod_tokens = pod_tokens
        self._mutating = mutating(toleration_s, pod_tokens, topology_labels)

    def comes_early(self, attributes: Attributes) -> bool:
        """Whether a new object's namespace still lacks what is about to be made in it."""
        if not self._pod_tokens or attributes.resource.group_resource != "pods":
            return False
        return service_account.comes_early(attributes, self._stored)

    def complete(self, attributes: Attributes) -> None:
        """Mutating admission: changes `attributes.obj` in place. Raises what a plugin refuses with."""
        if attributes.operation == "CREATE" and attributes.resource.namespaced:
            check_namespace(attributes, self._stored)
        self._run(self._mutating, attributes)

    def judge(self, attributes: Attributes) -> None:
        """Validating admission, of what is about to be stored. Raises what a plugin refuses with."""
        node_restriction.restrict(attributes, self._stored)
        self._run(VALIDATING, attributes)

    def _run(self, table: Table, attributes: Attributes) -> None:
        what, subresource = attributes.resource.group_resource, attributes.subresource
        for plugin in table.get((attributes.operation, f"{what}/{subresource}" if subresource else what), ()):
            plugin(attributes, self._stored)
