"""The resources whose objects can own, be owned, or fill a namespace: what the garbage collector and the namespace
controller watch, beside the custom ones, which a view of definitions tells. Events are left out: nobody owns them, they
are many, and time removes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from actorkube.kube import View
from protocols.objects import Object
from protocols.rules.conditions import condition_is

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
DEFINED = "defined"  # the summary of a definition: `defined`


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
    rolebindings.rbac.authorization.k8s.io    RoleBinding
    roles.rbac.authorization.k8s.io           Role
    csistoragecapacities.storage.k8s.io       CSIStorageCapacity
"""

_CLUSTER = """
    namespaces                                        Namespace
    nodes                                             Node
    persistentvolumes                                 PersistentVolume
    ingressclasses.networking.k8s.io                  IngressClass
    runtimeclasses.node.k8s.io                        RuntimeClass
    clusterrolebindings.rbac.authorization.k8s.io     ClusterRoleBinding
    clusterroles.rbac.authorization.k8s.io            ClusterRole
    priorityclasses.scheduling.k8s.io                 PriorityClass
    csidrivers.storage.k8s.io                         CSIDriver
    csinodes.storage.k8s.io                           CSINode
    storageclasses.storage.k8s.io                     StorageClass
    volumeattachments.storage.k8s.io                  VolumeAttachment
    customresourcedefinitions.apiextensions.k8s.io    CustomResourceDefinition
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
