"""What is meant where nothing is said: one table from resources to the functions that fill in their defaults.

Defaults are applied in place, to objects of the right types, on every write; a second time changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.apiserver.custom.structural import fill as fill_custom
from actors.apiserver.rules.defaults import (
    admission,
    cluster,
    definitions,
    devices,
    flowcontrol,
    jobs,
    policy,
    services,
    storage,
    workloads,
)
from actors.apiserver.rules.defaults.pods import pod
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object

_DEFAULTS: dict[str, Callable[[Object], None]] = {
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
    "ingressclasses.networking.k8s.io": services.ingress_class,
    "networkpolicies.networking.k8s.io": services.network_policy,
    "namespaces": cluster.namespace,
    "secrets": cluster.secret,
    "nodes": cluster.node,
    "leases.coordination.k8s.io": cluster.with_a_spec,
    "resourcequotas": cluster.with_a_spec,
    "rolebindings.rbac.authorization.k8s.io": cluster.role_binding,
    "clusterrolebindings.rbac.authorization.k8s.io": cluster.role_binding,
    "priorityclasses.scheduling.k8s.io": cluster.priority_class,
    "flowschemas.flowcontrol.apiserver.k8s.io": flowcontrol.flow_schema,
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": flowcontrol.priority_level,
    "persistentvolumes": storage.persistent_volume,
    "persistentvolumeclaims": storage.persistent_volume_claim,
    "storageclasses.storage.k8s.io": storage.storage_class,
    "csidrivers.storage.k8s.io": storage.csi_driver,
    "resourceclaims.resource.k8s.io": devices.resource_claim,
    "resourceclaimtemplates.resource.k8s.io": devices.resource_claim_template,
    "horizontalpodautoscalers.autoscaling": policy.horizontal_pod_autoscaler,
    "limitranges": policy.limit_range,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": admission.mutating_webhooks,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": admission.validating_webhooks,
    "mutatingadmissionpolicies.admissionregistration.k8s.io": admission.admission_policy,
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": admission.admission_policy_binding,
    "validatingadmissionpolicies.admissionregistration.k8s.io": admission.admission_policy,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": admission.admission_policy_binding,
    "customresourcedefinitions.apiextensions.k8s.io": definitions.definition,
    "apiservices.apiregistration.k8s.io": definitions.api_service,
}
# Those that look at nothing but the spec, and change nothing else.
OF_THE_SPEC_ALONE = {
    name: _DEFAULTS[name]
    for name in ("pods", "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps")
}


def apply_defaults(resource: Resource, obj: Object) -> None:
    if resource.custom is not None:
        fill_custom(resource.custom.node, obj)
        return
    fill = _DEFAULTS.get(resource.group_resource)
    if fill is not None:
        fill(obj)
