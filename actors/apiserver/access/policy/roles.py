"""The Roles in kube-system and kube-public."""

from __future__ import annotations

TABLE = """
= kube-system/extension-apiserver-authentication-reader
READ   -   configmaps   extension-apiserver-authentication

= kube-system/system:controller:bootstrap-signer
READ   -   secrets

= kube-system/system:controller:cloud-provider
READ,create   -   configmaps

= kube-system/system:controller:token-cleaner
READ,delete   -   secrets
EVENTS

= kube-system/system::leader-locking-kube-controller-manager
READ,create,update   coordination.k8s.io   leases
READ,create,update   coordination.k8s.io   leasecandidates

= kube-system/system::leader-locking-kube-scheduler
READ,create,update   coordination.k8s.io   leases
READ,create,update   coordination.k8s.io   leasecandidates

= kube-public/kubeadm:bootstrap-signer-clusterinfo
get   -   configmaps   cluster-info

= kube-public/system:controller:bootstrap-signer
READ     -   configmaps
update   -   configmaps   cluster-info
EVENTS
"""
