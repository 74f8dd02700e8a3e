"""What each controller may do: the ClusterRole system:controller:NAME.

Kubernetes' controller manager gives each its own service account (--use-service-account-credentials). Ours run in one
actor that sends under one name, so the manager's user is bound to the roles of the controllers that live in it, too.
"""

from __future__ import annotations

from collections.abc import Iterator

PREFIX = "system:controller:"
_MANAGER = "user:system:kube-controller-manager"

TABLE = """
= system:controller:attachdetach-controller
WATCH        -   persistentvolumeclaims,persistentvolumes
READ         -   nodes
UPDATE       -   nodes/status
WATCH        -   pods
EVENTS
READ,create,delete   storage.k8s.io   volumeattachments
READ         storage.k8s.io   csidrivers
READ         storage.k8s.io   csinodes

= system:controller:certificate-controller
READ,delete  certificates.k8s.io   certificatesigningrequests
update       certificates.k8s.io   certificatesigningrequests/approval,certificatesigningrequests/status
approve      certificates.k8s.io   signers   kubernetes.io/kube-apiserver-client-kubelet
sign         certificates.k8s.io   signers   kubernetes.io/kube-apiserver-client
+                                           kubernetes.io/kube-apiserver-client-kubelet
+                                           kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown
create       authorization.k8s.io   subjectaccessreviews
EVENTS

= system:controller:clusterrole-aggregation-controller
READ,escalate,UPDATE   rbac.authorization.k8s.io   clusterroles

= system:controller:cronjob-controller
READ,update           batch   cronjobs
READ,create,delete,UPDATE   batch   jobs
update                batch   cronjobs/status
update                batch   cronjobs/finalizers
WATCH,delete          -   pods
EVENTS

= system:controller:daemon-set-controller
READ         apps,extensions   daemonsets
update       apps,extensions   daemonsets/status
update       apps,extensions   daemonsets/finalizers
WATCH        -   nodes
WATCH,create,delete,patch   -   pods
create       -   pods/binding
READ,create,delete,UPDATE   apps   controllerrevisions
EVENTS

= system:controller:deployment-controller
READ,update  apps,extensions   deployments
update       apps,extensions   deployments/status
update       apps,extensions   deployments/finalizers
READ,create,delete,UPDATE   apps,extensions   replicasets
READ,update  -   pods
EVENTS

= system:controller:device-taint-eviction-controller
READ,delete  -   pods
UPDATE       -   pods/status
READ         resource.k8s.io   resourceclaims
READ         resource.k8s.io   resourceslices
READ         resource.k8s.io   deviceclasses
EVENTS

= system:controller:disruption-controller
READ         apps,extensions   deployments
READ         apps,extensions   replicasets
READ         -   replicationcontrollers
READ         policy   poddisruptionbudgets
READ         apps   statefulsets
update       policy   poddisruptionbudgets/status
UPDATE       -   pods/status
get          *   */scale
EVENTS

= system:controller:endpoint-controller
READ         -   pods,services
READ,create,delete,update   -   endpoints
create       -   endpoints/restricted
EVENTS

= system:controller:endpointslice-controller
READ         -   nodes,pods,services
update       -   services/finalizers
READ,create,delete,update   discovery.k8s.io   endpointslices
create       discovery.k8s.io   endpointslices/restricted
EVENTS

= system:controller:endpointslicemirroring-controller
READ         -   endpoints,services
update       -   services/finalizers
update       -   endpoints/finalizers
READ,create,delete,update   discovery.k8s.io   endpointslices
create       discovery.k8s.io   endpointslices/restricted
EVENTS

= system:controller:ephemeral-volume-controller
READ         -   pods
update       -   pods/finalizers
READ,create  -   persistentvolumeclaims
EVENTS

= system:controller:expand-controller
READ,UPDATE  -   persistentvolumes
UPDATE       -   persistentvolumeclaims/status
READ         -   persistentvolumeclaims
EVENTS

= system:controller:generic-garbage-collector
READ,delete,UPDATE   *   *
EVENTS

= system:controller:horizontal-pod-autoscaler
READ         autoscaling   horizontalpodautoscalers
update       autoscaling   horizontalpodautoscalers/status
get,update   *   */scale
WATCH        -   pods
WATCH        metrics.k8s.io   pods
READ         custom.metrics.k8s.io   *
READ         external.metrics.k8s.io   *
EVENTS

= system:controller:job-controller
READ,UPDATE  batch   jobs
update       batch   jobs/status
update       batch   jobs/finalizers
WATCH,create,delete,patch   -   pods
EVENTS

= system:controller:legacy-service-account-token-cleaner
get          -   configmaps   kube-apiserver-legacy-service-account-token-tracking
delete,patch -   secrets

= system:controller:namespace-controller
READ,delete  -   namespaces
update       -   namespaces/finalize,namespaces/status
READ,delete,deletecollection   *   *

= system:controller:node-controller
READ,delete,UPDATE   -   nodes
UPDATE       -   nodes/status
UPDATE       -   pods/status
READ,delete  -   pods
EVENTS

= system:controller:persistent-volume-binder
READ,create,delete,update   -   persistentvolumes
update       -   persistentvolumes/status
READ,update  -   persistentvolumeclaims
update       -   persistentvolumeclaims/status
READ,create,delete   -   pods
READ         storage.k8s.io   storageclasses
WATCH        -   nodes
EVENTS
watch        -   events

= system:controller:pod-garbage-collector
WATCH,delete -   pods
READ         -   nodes
patch        -   pods/status

= system:controller:pv-protection-controller
READ,update  -   persistentvolumes
EVENTS

= system:controller:pvc-protection-controller
READ,update  -   persistentvolumeclaims
update       -   persistentvolumeclaims/status
READ         -   pods
EVENTS

= system:controller:replicaset-controller
READ,update  apps,extensions   replicasets
update       apps,extensions   replicasets/status
update       apps,extensions   replicasets/finalizers
WATCH,create,delete,patch   -   pods
EVENTS

= system:controller:replication-controller
READ,update  -   replicationcontrollers
update       -   replicationcontrollers/status
update       -   replicationcontrollers/finalizers
WATCH,create,delete,patch   -   pods
EVENTS

= system:controller:resource-claim-controller
READ         -   pods
update       -   pods/finalizers
READ,create,delete   resource.k8s.io   resourceclaims
UPDATE       resource.k8s.io   resourceclaims,resourceclaims/status
UPDATE       -   pods/status
EVENTS
UPDATE       resource.k8s.io   resourceclaims/binding

= system:controller:resourcequota-controller
WATCH        *   *
update       -   resourcequotas/status
EVENTS

= system:controller:root-ca-cert-publisher
create,update   -   configmaps
EVENTS

= system:controller:route-controller
WATCH        -   nodes
patch        -   nodes/status
EVENTS

= system:controller:selinux-warning-controller
EVENTS
READ         -   persistentvolumes
READ         -   persistentvolumeclaims
READ         -   pods
READ         storage.k8s.io   csidrivers

= system:controller:service-account-controller
create       -   serviceaccounts
EVENTS

= system:controller:service-cidrs-controller
READ,UPDATE  networking.k8s.io   servicecidrs
UPDATE       networking.k8s.io   servicecidrs/finalizers
UPDATE       networking.k8s.io   servicecidrs/status
READ         networking.k8s.io   ipaddresses
EVENTS

= system:controller:service-controller
READ         -   services
UPDATE       -   services/status
WATCH        -   nodes
EVENTS

= system:controller:statefulset-controller
WATCH        -   pods
READ         apps   statefulsets
update       apps   statefulsets/status
update       apps   statefulsets/finalizers
create,delete,get,UPDATE   -   pods
READ,create,delete,UPDATE   apps   controllerrevisions
READ,create  -   persistentvolumeclaims
delete,update   -   persistentvolumeclaims
update       -   pods/finalizers
EVENTS

= system:controller:ttl-after-finished-controller
READ,delete  batch   jobs
EVENTS

= system:controller:ttl-controller
WATCH,UPDATE -   nodes
EVENTS

= system:controller:validatingadmissionpolicy-status-controller
READ         admissionregistration.k8s.io   validatingadmissionpolicies
get,UPDATE   admissionregistration.k8s.io   validatingadmissionpolicies/status
EVENTS

= system:controller:volumeattributesclass-protection-controller
READ         -   persistentvolumeclaims
READ         -   persistentvolumes
READ,update  storage.k8s.io   volumeattributesclasses
EVENTS
"""


def bindings() -> Iterator[tuple[str, list[str]]]:
    """(role, subjects) of each, the binding being named as the role."""
    for line in TABLE.splitlines():
        if line.startswith("= "):
            role = line.split()[1]
            yield role, [f"account:kube-system/{role.removeprefix(PREFIX)}", _MANAGER]
