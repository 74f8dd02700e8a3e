"""The ClusterRoles that people and components are given; those of single controllers are in controller_roles.py."""

from __future__ import annotations

TABLE = """
= cluster-admin
*       *       *
*       url     *

= system:discovery
get     url     /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi
+               /openapi/*,/readyz,/version,/version/

= system:public-info-viewer
get     url     /healthz,/livez,/readyz,/version,/version/

= system:monitoring
get     url     /flagz,/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*,/statusz
get     -       nodes/metrics

= system:service-account-issuer-discovery
get     url     /.well-known/openid-configuration
+               /.well-known/openid-configuration/,/openid/v1/jwks
+               /openid/v1/jwks/

= system:basic-user
create  authorization.k8s.io    selfsubjectaccessreviews,selfsubjectrulesreviews
create  authentication.k8s.io   selfsubjectreviews

# -- for people, by namespace: what definitions label as part of them is gathered by a controller

= admin gathers=admin
= edit gathers=edit part-of=admin
= view gathers=view part-of=edit

= system:aggregate-to-admin part-of=admin
create  authorization.k8s.io        localsubjectaccessreviews
ALL     rbac.authorization.k8s.io   roles,rolebindings

= system:aggregate-to-edit part-of=edit
READ         -   pods/attach,pods/proxy,pods/exec,pods/portforward,secrets,services/proxy
impersonate  -   serviceaccounts
WRITE        -   pods,pods/attach,pods/proxy,pods/exec,pods/portforward
create       -   pods/eviction
WRITE        -   configmaps,persistentvolumeclaims,replicationcontrollers
+                replicationcontrollers/scale,secrets,serviceaccounts
+                services,services/proxy
create       -   serviceaccounts/token
WRITE        -,events.k8s.io   events
WRITE        apps          daemonsets,deployments,deployments/rollback
+                          deployments/scale,replicasets,replicasets/scale,statefulsets
+                          statefulsets/scale
WRITE        autoscaling   horizontalpodautoscalers
WRITE        batch         cronjobs,jobs
WRITE        extensions    daemonsets,deployments,deployments/rollback
+                          deployments/scale,ingresses,networkpolicies,replicasets
+                          replicasets/scale,replicationcontrollers/scale
WRITE        policy        poddisruptionbudgets
WRITE        networking.k8s.io     ingresses,networkpolicies
ALL          coordination.k8s.io   leases
WRITE        resource.k8s.io       resourceclaims,resourceclaimtemplates

= system:aggregate-to-view part-of=view
READ    -   configmaps,endpoints,persistentvolumeclaims
+           persistentvolumeclaims/status,pods,replicationcontrollers
+           replicationcontrollers/scale,serviceaccounts,services
+           services/status
READ    -   bindings,limitranges,namespaces/status,pods/log
+           pods/status,replicationcontrollers/status,resourcequotas
+           resourcequotas/status
READ    -   namespaces
READ    -,events.k8s.io    events
READ    discovery.k8s.io   endpointslices
READ    apps          controllerrevisions,daemonsets,daemonsets/status,deployments
+                     deployments/scale,deployments/status,replicasets
+                     replicasets/scale,replicasets/status,statefulsets
+                     statefulsets/scale,statefulsets/status
READ    autoscaling   horizontalpodautoscalers,horizontalpodautoscalers/status
READ    batch         cronjobs,cronjobs/status,jobs,jobs/status
READ    extensions    daemonsets,daemonsets/status,deployments,deployments/scale
+                     deployments/status,ingresses,ingresses/status
+                     networkpolicies,replicasets,replicasets/scale
+                     replicasets/status,replicationcontrollers/scale
READ    policy        poddisruptionbudgets,poddisruptionbudgets/status
READ    networking.k8s.io   ingresses,ingresses/status,networkpolicies
READ    resource.k8s.io     resourceclaims,resourceclaims/status,resourceclaimtemplates

# -- nodes

= system:node
create          authentication.k8s.io   tokenreviews
create          authorization.k8s.io    localsubjectaccessreviews,subjectaccessreviews
READ            -   services
create,READ     -   nodes
UPDATE          -   nodes/status
UPDATE          -   nodes
EVENTS
READ            -   pods
create,delete   -   pods
UPDATE          -   pods/status
create          -   pods/eviction
READ            -   configmaps,secrets
get             -   persistentvolumeclaims,persistentvolumes
get             -   endpoints
create,READ     certificates.k8s.io   certificatesigningrequests
create,delete,get,UPDATE   coordination.k8s.io   leases
get             storage.k8s.io   volumeattachments
create          -   serviceaccounts/token
get,UPDATE      -   persistentvolumeclaims/status
READ            storage.k8s.io   csidrivers
create,delete,get,UPDATE   storage.k8s.io   csinodes
READ            node.k8s.io   runtimeclasses
get             resource.k8s.io   resourceclaims
deletecollection   resource.k8s.io   resourceslices
get             -   serviceaccounts

= system:node-proxier
WATCH   -   endpoints,services
READ    -   nodes
EVENTS
WATCH   networking.k8s.io   servicecidrs
WATCH   discovery.k8s.io    endpointslices

= system:node-bootstrapper
create,READ   certificates.k8s.io   certificatesigningrequests

= system:node-problem-detector
get     -   nodes
patch   -   nodes/status
EVENTS

= system:kubelet-api-admin
READ    -   nodes
proxy   -   nodes
*       -   nodes/log,nodes/metrics,nodes/proxy,nodes/stats
*       -   nodes/configz,nodes/healthz,nodes/pods

# -- the control plane

= system:kube-controller-manager
EVENTS
create       coordination.k8s.io   leases
get,update   coordination.k8s.io   leases   kube-controller-manager
create       -   secrets,serviceaccounts
delete       -   secrets
get          -   configmaps,namespaces,secrets,serviceaccounts
update       -   secrets,serviceaccounts
create       authentication.k8s.io   tokenreviews
create       authorization.k8s.io    subjectaccessreviews
WATCH        *   *
create       -   serviceaccounts/token

= system:kube-scheduler
EVENTS
create          coordination.k8s.io   leases
READ,update     coordination.k8s.io   leases   kube-scheduler
ALL             coordination.k8s.io   leasecandidates
READ            -   nodes
delete,READ     -   pods
create          -   bindings,pods/binding
UPDATE          -   pods/status
READ            -   replicationcontrollers,services
READ            apps,extensions   replicasets
READ            apps     statefulsets
READ            policy   poddisruptionbudgets
READ            -   persistentvolumeclaims,persistentvolumes
create          authentication.k8s.io   tokenreviews
create          authorization.k8s.io    subjectaccessreviews
READ            storage.k8s.io   csinodes
READ            storage.k8s.io   volumeattachments
READ            -   namespaces
READ            storage.k8s.io   csidrivers
READ            storage.k8s.io   csistoragecapacities
READ            resource.k8s.io   deviceclasses
READ,UPDATE     resource.k8s.io   resourceclaims
READ,UPDATE     resource.k8s.io   resourceclaims/status
update          -   pods/finalizers
READ            resource.k8s.io   resourceslices
create,delete   resource.k8s.io   resourceclaims
UPDATE          resource.k8s.io   resourceclaims/binding
# Groups of pods are served here by default.
READ            scheduling.k8s.io   podgroups,workloads
UPDATE          scheduling.k8s.io   podgroups/status

= system:volume-scheduler
READ,UPDATE   -   persistentvolumes
READ          storage.k8s.io   storageclasses
READ,UPDATE   -   persistentvolumeclaims

# Providers bring this one along in Kubernetes; here the manager belongs to the cluster.
= system:cloud-controller-manager
EVENTS
READ,UPDATE,delete   -   nodes
UPDATE               -   nodes/status
READ,UPDATE          -   services
UPDATE               -   services/status
create               coordination.k8s.io   leases
get,update           coordination.k8s.io   leases   cloud-controller-manager

= system:kube-dns
WATCH   -   endpoints,services
# What serves names here reads slices; that of others brings a role of its own along.
WATCH   discovery.k8s.io   endpointslices

= system:kube-aggregator
READ   -   endpoints,services

= system:auth-delegator
create   authentication.k8s.io   tokenreviews
create   authorization.k8s.io    subjectaccessreviews

= system:heapster
READ   -   events,namespaces,nodes,pods
READ   extensions   deployments

= system:persistent-volume-provisioner
create,delete,READ   -   persistentvolumes
READ,update          -   persistentvolumeclaims
READ                 storage.k8s.io   storageclasses
watch                -   events
EVENTS

# -- who may approve which certificates

= system:certificates.k8s.io:certificatesigningrequests:nodeclient
create   certificates.k8s.io   certificatesigningrequests/nodeclient
= system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
create   certificates.k8s.io   certificatesigningrequests/selfnodeclient
= system:certificates.k8s.io:legacy-unknown-approver
approve   certificates.k8s.io   signers   kubernetes.io/legacy-unknown
= system:certificates.k8s.io:kubelet-serving-approver
approve   certificates.k8s.io   signers   kubernetes.io/kubelet-serving
= system:certificates.k8s.io:kube-apiserver-client-approver
approve   certificates.k8s.io   signers   kubernetes.io/kube-apiserver-client
= system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
approve   certificates.k8s.io   signers   kubernetes.io/kube-apiserver-client-kubelet
"""
