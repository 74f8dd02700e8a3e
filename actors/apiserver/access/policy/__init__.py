"""The policy that every cluster begins with: Kubernetes' default roles and bindings.

Source: "Using RBAC Authorization: default roles and role bindings" and what a Kubernetes 1.36 cluster shows by
`kubectl get clusterroles,roles -A -o yaml`; rules for features that are not served here are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from actors.apiserver.access.policy import bindings, cluster_roles, controller_roles, roles
from actors.apiserver.access.policy.table import AUTO_UPDATE, Role, binding, role_objects
from actors.apiserver.access.rbac import BINDINGS, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLES
from protocols.objects import Object

__all__ = ["AUTO_UPDATE", "default_policy"]


@cache
def default_policy() -> tuple[tuple[str, Object], ...]:
    """(group resource, object), roles before what binds them. Not to be changed: all callers get the same."""
    return tuple(_objects())


def _objects() -> Iterator[tuple[str, Object]]:
    for text in (cluster_roles.TABLE, controller_roles.TABLE):
        for role in role_objects(text):
            yield CLUSTER_ROLES, role
    for role in role_objects(roles.TABLE):
        yield ROLES, role
    for name, subjects in [*bindings.CLUSTER.items(), *controller_roles.bindings()]:
        yield CLUSTER_BINDINGS, binding(Role("ClusterRole", name), name, subjects)
    for namespace, name, role_name, subjects in bindings.NAMESPACED:
        yield BINDINGS, binding(Role("Role", role_name), name, subjects, namespace)
