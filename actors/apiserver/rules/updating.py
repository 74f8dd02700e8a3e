"""What an update may do beside changing what is there: of some kinds it creates what is not, and of others it must name
the revision that it was made from. Both are Kubernetes' strategies for each kind.
"""

from __future__ import annotations

from actors.apiserver.rules.field import invalid_value, refusal
from actors.apiserver.schema.resources import Resource

_RBAC = ("clusterrolebindings", "clusterroles", "rolebindings", "roles")
_POLICIES = (
    *("mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations"),
    *("validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations"),
)

_CREATED = frozenset(
    {
        *("endpoints", "events", "limitranges", "services"),
        *("leases.coordination.k8s.io", "runtimeclasses.node.k8s.io"),
        *(f"{kind}.rbac.authorization.k8s.io" for kind in _RBAC),
    }
)
_AT_REVISION = frozenset(
    {
        *("apiservices.apiregistration.k8s.io", "customresourcedefinitions.apiextensions.k8s.io"),
        *("leases.coordination.k8s.io", "poddisruptionbudgets.policy", "runtimeclasses.node.k8s.io"),
        *("csidrivers.storage.k8s.io", "csinodes.storage.k8s.io", "csistoragecapacities.storage.k8s.io"),
        "volumeattachments.storage.k8s.io",
        *(f"{kind}.admissionregistration.k8s.io" for kind in _POLICIES),
    }
)


def is_created_by_update(resource: Resource) -> bool:
    """Whether a PUT under a name that is free creates the object."""
    return resource.group_resource in _CREATED


def check_revision_named(resource: Resource, name: str, revision: int) -> None:
    """Raises Invalid where an update of this kind has to say which revision it was made from, and does not."""
    if revision or not (resource.custom is not None or resource.group_resource in _AT_REVISION):
        return
    problem = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
    raise refusal(resource.group_resource, resource.group, resource.plural, name, [problem])
