"""The resources whose objects can own, be owned, or fill a namespace: what the garbage collector and the namespace
controller watch, beside the custom ones, which a view of definitions tells, and those of other API servers, which a
view of APIServices does. Events are left out: nobody owns them, they are many, and time removes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from actorkube.kube import View, Views
from protocols.objects import Object
from protocols.rules.api_services import API_SERVICES, FarResource, is_available, is_of_another_server, served_by
from protocols.rules.conditions import condition_is

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
DEFINED = "defined"  # the summary of a definition: `defined`
FAR = "far"  # the summary of an APIService: `far`
GROWING = (DEFINITIONS, API_SERVICES)  # what tells of more kinds


class Resource(NamedTuple):
    name: str  # kubectl's notation: "pods", "replicasets.apps"
    kind: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        return self.name.partition(".")[2]


_NAMESPACED = """
    configmaps                                ConfigMap
    endpoints                                 Endpoints
    limitranges                               LimitRange
    persistentvolumeclaims                    PersistentVolumeClaim
    pods                                      Pod
    podtemplates                              PodTemplate
    replicationcontrollers                    ReplicationController
    resourcequotas                            ResourceQuota
    secrets                                   Secret
    serviceaccounts                           ServiceAccount
    services                                  Service
    controllerrevisions.apps                  ControllerRevision
    daemonsets.apps                           DaemonSet
    deployments.apps                          Deployment
    replicasets.apps                          ReplicaSet
    statefulsets.apps                         StatefulSet
    horizontalpodautoscalers.autoscaling      HorizontalPodAutoscaler
    cronjobs.batch                            CronJob
    jobs.batch                                Job
    leases.coordination.k8s.io                Lease
    endpointslices.discovery.k8s.io           EndpointSlice
    ingresses.networking.k8s.io               Ingress
    networkpolicies.networking.k8s.io         NetworkPolicy
    poddisruptionbudgets.policy               PodDisruptionBudget
    resourceclaims.resource.k8s.io            ResourceClaim
    resourceclaimtemplates.resource.k8s.io    ResourceClaimTemplate
    rolebindings.rbac.authorization.k8s.io    RoleBinding
    roles.rbac.authorization.k8s.io           Role
    csistoragecapacities.storage.k8s.io       CSIStorageCapacity
    podgroups.scheduling.k8s.io               PodGroup
    workloads.scheduling.k8s.io               Workload
"""

_CLUSTER = """
    namespaces                                        Namespace
    nodes                                             Node
    persistentvolumes                                 PersistentVolume
    ingressclasses.networking.k8s.io                  IngressClass
    ipaddresses.networking.k8s.io                     IPAddress
    servicecidrs.networking.k8s.io                    ServiceCIDR
    deviceclasses.resource.k8s.io                     DeviceClass
    resourceslices.resource.k8s.io                    ResourceSlice
    runtimeclasses.node.k8s.io                        RuntimeClass
    clusterrolebindings.rbac.authorization.k8s.io     ClusterRoleBinding
    clusterroles.rbac.authorization.k8s.io            ClusterRole
    priorityclasses.scheduling.k8s.io                 PriorityClass
    flowschemas.flowcontrol.apiserver.k8s.io                        FlowSchema
    prioritylevelconfigurations.flowcontrol.apiserver.k8s.io        PriorityLevelConfiguration
    certificatesigningrequests.certificates.k8s.io    CertificateSigningRequest
    csidrivers.storage.k8s.io                         CSIDriver
    csinodes.storage.k8s.io                           CSINode
    storageclasses.storage.k8s.io                     StorageClass
    volumeattributesclasses.storage.k8s.io            VolumeAttributesClass
    volumeattachments.storage.k8s.io                  VolumeAttachment
    customresourcedefinitions.apiextensions.k8s.io    CustomResourceDefinition
    mutatingwebhookconfigurations.admissionregistration.k8s.io      MutatingWebhookConfiguration
    validatingwebhookconfigurations.admissionregistration.k8s.io    ValidatingWebhookConfiguration
    validatingadmissionpolicies.admissionregistration.k8s.io        ValidatingAdmissionPolicy
    validatingadmissionpolicybindings.admissionregistration.k8s.io  ValidatingAdmissionPolicyBinding
    mutatingadmissionpolicies.admissionregistration.k8s.io          MutatingAdmissionPolicy
    mutatingadmissionpolicybindings.admissionregistration.k8s.io    MutatingAdmissionPolicyBinding
    apiservices.apiregistration.k8s.io                              APIService
"""


def _rows(table: str, namespaced: bool) -> tuple[Resource, ...]:
    rows = (line.split() for line in table.splitlines() if line.strip())
    return tuple(Resource(name, kind, namespaced) for name, kind in rows)


NAMESPACED = _rows(_NAMESPACED, True)
RESOURCES = NAMESPACED + _rows(_CLUSTER, False)

Kinds = Mapping[tuple[str, str], Resource]


def kinds_of(resources: Iterable[Resource]) -> Kinds:
    """The resources by group and kind, as owner references name them (whatever the version)."""
    return {(resource.group, resource.kind): resource for resource in resources}


def defined(definition: Object) -> Resource | None:
    """The resource that an established definition defines."""
    if not condition_is(definition, "Established"):
        return None
    spec, names = definition["spec"], definition["status"]["acceptedNames"]
    return Resource(f"{names['plural']}.{spec['group']}", names["kind"], spec["scope"] == "Namespaced")


def custom_resources(definitions: View) -> list[Resource]:
    """What is defined by now, by a view of definitions that keeps `DEFINED`."""
    found = (definitions.summary(DEFINED, key) for key in definitions)
    return [resource for resource in found if resource is not None]


class Far(NamedTuple):
    """A group version that another API server answers for, and what it serves there."""

    group: str
    version: str
    available: bool
    resources: tuple[FarResource, ...]

    def named(self, resource: FarResource) -> Resource:
        return Resource(f"{resource.plural}.{self.group}", resource.kind, resource.namespaced)


def far(api_service: Object) -> Far | None:
    """None for what this server serves itself."""
    if not is_of_another_server(api_service):
        return None
    spec = api_service["spec"]
    return Far(spec["group"], spec["version"], is_available(api_service), served_by(api_service))


def far_versions(views: Views) -> list[Far]:
    services = views.get(API_SERVICES)
    found = (services.summary(FAR, key) for key in services) if services is not None else ()
    return [each for each in found if each is not None]


def far_resources(views: Views) -> list[Resource]:
    """What can be watched and deleted of other API servers now, by a view of APIServices that keeps `FAR`."""
    available = (each for each in far_versions(views) if each.available)
    found = ((each, resource) for each in available for resource in each.resources)
    return [each.named(resource) for each, resource in found if resource.can("list", "watch", "delete")]


def grown(views: Views) -> tuple[list[Resource], list[Resource]]:
    """What is defined by now, and what there is of other servers beside."""
    custom = custom_resources(views[DEFINITIONS]) if DEFINITIONS in views else []
    known = {each.name for each in custom}
    beside = {each.name: each for each in far_resources(views) if each.name not in known}
    return custom, list(beside.values())
