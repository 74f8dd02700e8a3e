"""Is an object acceptable? One table from resources to their rules, and the answer that refuses.

A rule is a generator `rule(obj, old)`: `old` is the stored object on updates and None on creates. Objects come here
defaulted and of the right types (the schema saw to that), so rules look at values, not at JSON kinds.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.apiserver.rules.field import FieldError, FieldErrors, invalid
from actors.apiserver.rules.validate import cluster, definitions, jobs, networking, policy, services, storage, workloads
from actors.apiserver.rules.validate.metadata import metadata, metadata_update
from actors.apiserver.rules.validate.pod_status import pod_status
from actors.apiserver.rules.validate.pods import pod
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object

__all__ = ["FieldError", "invalid", "validate"]

Rule = Callable[[Object, Object | None], FieldErrors]

_RULES: dict[str, Rule] = {
    "pods": pod,
    "podtemplates": workloads.pod_template_object,
    "replicationcontrollers": workloads.replication_controller,
    "deployments.apps": workloads.deployment,
    "replicasets.apps": workloads.replica_set,
    "statefulsets.apps": workloads.stateful_set,
    "daemonsets.apps": workloads.daemon_set,
    "jobs.batch": jobs.job,
    "cronjobs.batch": jobs.cron_job,
    "services": services.service,
    "endpoints": services.endpoints,
    "endpointslices.discovery.k8s.io": services.endpoint_slice,
    "ingresses.networking.k8s.io": networking.ingress,
    "ingressclasses.networking.k8s.io": networking.ingress_class,
    "networkpolicies.networking.k8s.io": networking.network_policy,
    "configmaps": cluster.config_map,
    "secrets": cluster.secret,
    "nodes": cluster.node,
    "leases.coordination.k8s.io": cluster.lease,
    "priorityclasses.scheduling.k8s.io": cluster.priority_class,
    "runtimeclasses.node.k8s.io": cluster.runtime_class,
    "roles.rbac.authorization.k8s.io": cluster.role,
    "clusterroles.rbac.authorization.k8s.io": cluster.role,
    "rolebindings.rbac.authorization.k8s.io": cluster.role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": cluster.role_binding,
    "persistentvolumes": storage.persistent_volume,
    "persistentvolumeclaims": storage.persistent_volume_claim,
    "storageclasses.storage.k8s.io": storage.storage_class,
    "poddisruptionbudgets.policy": policy.pod_disruption_budget,
    "horizontalpodautoscalers.autoscaling": policy.horizontal_pod_autoscaler,
    "resourcequotas": policy.resource_quota,
    "customresourcedefinitions.apiextensions.k8s.io": definitions.definition,
}
_STATUS_RULES: dict[str, Rule] = {"pods": pod_status}


def validate(resource: Resource, obj: Object, old: Object | None = None, subresource: str = "") -> list[FieldError]:
    """Everything that is wrong with `obj`; `old` is the stored object when this is an update.

    Subresources leave the spec alone or change it by rules of their own, so only the metadata (and for "status" the
    status) are looked at.
    """
    rules = _STATUS_RULES if subresource == "status" else _RULES if not subresource else {}
    errors = list(metadata(resource, obj) if old is None else metadata_update(obj, old))
    if resource.custom is not None:
        errors.extend(resource.custom.errors(obj, old))
    rule = rules.get(resource.group_resource)
    if rule is not None:
        errors.extend(rule(obj, old))
    return errors
