"""Is an object acceptable? One table from resources to their rules, and the answer that refuses.

A rule is a generator `rule(obj, old)`: `old` is the stored object on updates and None on creates. Objects come here
defaulted and of the right types (the schema saw to that), so rules look at values, not at JSON kinds.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.apiserver.rules.field import FieldError, FieldErrors, invalid
from actors.apiserver.rules.validate import (
    admission,
    allocations,
    api_services,
    certificates,
    cluster,
    definitions,
    devices,
    events,
    flowcontrol,
    jobs,
    limit_ranges,
    mutations,
    networking,
    pod_groups,
    policy,
    quotas,
    resource_slices,
    service_addresses,
    services,
    statuses,
    storage,
    storage_drivers,
    workloads,
)
from actors.apiserver.rules.validate.counted_status import counted_status
from actors.apiserver.rules.validate.job_status import job_status
from actors.apiserver.rules.validate.load_balancers import ingress_status, service_status
from actors.apiserver.rules.validate.metadata import metadata, metadata_update
from actors.apiserver.rules.validate.node_status import node_status
from actors.apiserver.rules.validate.pod_resize import pod_resize
from actors.apiserver.rules.validate.pod_status import pod_status
from actors.apiserver.rules.validate.pods import pod, pod_ephemeral
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
    "ipaddresses.networking.k8s.io": service_addresses.ip_address,
    "servicecidrs.networking.k8s.io": service_addresses.service_cidr,
    "configmaps": cluster.config_map,
    "events": events.event,
    "controllerrevisions.apps": workloads.controller_revision,
    "secrets": cluster.secret,
    "nodes": cluster.node,
    "leases.coordination.k8s.io": cluster.lease,
    "priorityclasses.scheduling.k8s.io": cluster.priority_class,
    "podgroups.scheduling.k8s.io": pod_groups.pod_group,
    "workloads.scheduling.k8s.io": pod_groups.workload,
    "runtimeclasses.node.k8s.io": cluster.runtime_class,
    "flowschemas.flowcontrol.apiserver.k8s.io": flowcontrol.flow_schema,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": flowcontrol.priority_level,
    "roles.rbac.authorization.k8s.io": cluster.role,
    "clusterroles.rbac.authorization.k8s.io": cluster.role,
    "rolebindings.rbac.authorization.k8s.io": cluster.role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": cluster.role_binding,
    "persistentvolumes": storage.persistent_volume,
    "persistentvolumeclaims": storage.persistent_volume_claim,
    "storageclasses.storage.k8s.io": storage.storage_class,
    "csistoragecapacities.storage.k8s.io": storage.storage_capacity,
    "csinodes.storage.k8s.io": storage_drivers.csi_node,
    "csidrivers.storage.k8s.io": storage_drivers.csi_driver,
    "volumeattachments.storage.k8s.io": storage_drivers.volume_attachment,
    "volumeattributesclasses.storage.k8s.io": storage.volume_attributes_class,
    "deviceclasses.resource.k8s.io": devices.device_class,
    "resourceclaims.resource.k8s.io": devices.resource_claim,
    "resourceclaimtemplates.resource.k8s.io": devices.resource_claim_template,
    "resourceslices.resource.k8s.io": resource_slices.resource_slice,
    "certificatesigningrequests.certificates.k8s.io": certificates.signing_request,
    "poddisruptionbudgets.policy": policy.pod_disruption_budget,
    "horizontalpodautoscalers.autoscaling": policy.horizontal_pod_autoscaler,
    "resourcequotas": quotas.resource_quota,
    "limitranges": limit_ranges.limit_range,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": admission.webhook_configuration,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": admission.webhook_configuration,
    "mutatingadmissionpolicies.admissionregistration.k8s.io": mutations.mutating_policy,
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": mutations.mutating_policy_binding,
    "validatingadmissionpolicies.admissionregistration.k8s.io": admission.admission_policy,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": admission.admission_policy_binding,
    "customresourcedefinitions.apiextensions.k8s.io": definitions.definition,
    "apiservices.apiregistration.k8s.io": api_services.api_service,
}
_RULES_OF: dict[str, dict[str, Rule]] = {
    "": _RULES,
    "approval": {"certificatesigningrequests.certificates.k8s.io": certificates.approval},
    "status": {
        "certificatesigningrequests.certificates.k8s.io": certificates.status,
        "pods": pod_status,
        "nodes": node_status,
        "namespaces": statuses.namespace_status,
        "services": service_status,
        "persistentvolumeclaims": statuses.claim_status,
        "resourcequotas": statuses.quota_status,
        "replicationcontrollers": counted_status,
        "replicasets.apps": counted_status,
        "deployments.apps": counted_status,
        "statefulsets.apps": counted_status,
        "daemonsets.apps": counted_status,
        "horizontalpodautoscalers.autoscaling": counted_status,
        "jobs.batch": job_status,
        "ingresses.networking.k8s.io": ingress_status,
        "poddisruptionbudgets.policy": statuses.budget_status,
        "volumeattachments.storage.k8s.io": statuses.attachment_status,
        "validatingadmissionpolicies.admissionregistration.k8s.io": statuses.policy_status,
        "flowschemas.flowcontrol.apiserver.k8s.io": statuses.flow_status,
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": statuses.flow_status,
        "apiservices.apiregistration.k8s.io": statuses.api_service_status,
        "customresourcedefinitions.apiextensions.k8s.io": statuses.definition_status,
        "resourceclaims.resource.k8s.io": allocations.resource_claim_status,
    },
    "ephemeralcontainers": {"pods": pod_ephemeral},
    "resize": {"pods": pod_resize},
}


def validate(resource: Resource, obj: Object, old: Object | None = None, subresource: str = "") -> list[FieldError]:
    """Everything that is wrong with `obj`; `old` is the stored object when this is an update.

    Subresources leave the spec alone or change it by rules of their own, so only the metadata (and for "status" the
    status) are looked at, and ephemeral containers and new sizes by theirs.
    """
    rules = _RULES_OF.get(subresource, {})
    errors = list(metadata(resource, obj) if old is None else metadata_update(resource, obj, old))
    if resource.custom is not None:
        errors.extend(resource.custom.errors(obj, old, subresource))
    rule = rules.get(resource.group_resource)
    if rule is not None:
        errors.extend(rule(obj, old))
    return errors
