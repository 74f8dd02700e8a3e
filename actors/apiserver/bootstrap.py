"""What exists in every cluster from its first moment: namespaces, the system's priorities, the Service `kubernetes`,
and a class of volumes that is the default, as kind and minikube have one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from actors.apiserver.admission.priority import CLASSES, SYSTEM_PRIORITIES
from protocols.csi import DIRECTORY_DRIVER
from protocols.objects import Object
from protocols.rules.bootstrap_tokens import CLUSTER_INFO
from protocols.rules.times import time_of

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_HTTPS_PORT = 443
SERVICE = ("default", "kubernetes")
SERVICE_CIDRS = "servicecidrs.networking.k8s.io"


def first_objects(first_ip: str) -> list[tuple[str, Object]]:
    """(group resource, object) in the order to create them; the Service has the first address of the range."""
    namespaces: list[tuple[str, Object]] = [
        ("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}) for name in _NAMESPACES
    ]
    port = {"name": "https", "protocol": "TCP", "port": _HTTPS_PORT, "targetPort": _HTTPS_PORT}
    spec = {"type": "ClusterIP", "clusterIP": first_ip, "ports": [port], "sessionAffinity": "None"}
    labels = {"component": "apiserver", "provider": "kubernetes"}
    metadata = {"name": "kubernetes", "namespace": "default", "labels": labels}
    return [
        *namespaces,
        *_priority_classes(),
        ("storageclasses.storage.k8s.io", _standard_class()),
        ("services", {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}),
    ]


def service_cidr(network: str, now: float) -> tuple[str, Object]:
    """Where cluster IPs come from, as it is told to whoever asks (KEP-1880); that it is ready, too."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": time_of(now), "reason": ""}
    ready["message"] = "Kubernetes default Service CIDR is ready"
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}}
    return SERVICE_CIDRS, {**head, "spec": {"cidrs": [network]}, "status": {"conditions": [ready]}}


def token_tracking(now: float) -> tuple[str, Object]:
    """Since when the use of tokens in Secrets is noted: who cleans them up waits for long enough."""
    metadata = {"name": "kube-apiserver-legacy-service-account-token-tracking", "namespace": "kube-system"}
    data = {"since": time_of(now).partition("T")[0]}
    return "configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def proxy_trust(ca: str, proxy_ca: str, proxy_name: str) -> tuple[str, Object]:
    """What servers behind this one read: whose word about the user of a request they may take (PEM, JSON lists)."""
    headers = {"username": ["X-Remote-User"], "uid": ["X-Remote-Uid"], "group": ["X-Remote-Group"]}
    data = {
        "client-ca-file": ca,
        "requestheader-client-ca-file": proxy_ca,
        "requestheader-allowed-names": json.dumps([proxy_name]),
        "requestheader-extra-headers-prefix": json.dumps(["X-Remote-Extra-"]),
        **{f"requestheader-{what}-headers": json.dumps(names) for what, names in headers.items()},
    }
    metadata = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
    return "configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def cluster_info(ca: bytes, server: str) -> tuple[str, Object]:
    """By which whoever joins finds the cluster, and its CA: a kubeconfig that anybody may read, as kubeadm makes it.

    The bootstrap signer puts signatures beside it, by which it is believed.
    """
    import yaml  # where there is REST, and only at the start

    cluster = {"certificate-authority-data": base64.b64encode(ca).decode(), "server": server}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": cluster}],
        "contexts": None,
        "current-context": "",
        "users": None,
    }
    namespace, name = CLUSTER_INFO
    data = {"kubeconfig": yaml.safe_dump(kubeconfig)}
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
    return "configmaps", {**head, "data": data}


def _priority_classes() -> list[tuple[str, Object]]:
    head = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    used_for = {
        "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved to "
        "another node if necessary.",
        "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
    }
    return [
        (CLASSES, {**head, "metadata": {"name": name}, "value": SYSTEM_PRIORITIES[name], "description": description})
        for name, description in used_for.items()
    ]


def _standard_class() -> Object:
    """Directories of the node on which the first pod that uses them runs."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": DIRECTORY_DRIVER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def endpoints_of(servers: Mapping[str, tuple[str, int]]) -> list[tuple[str, Object]]:
    """Where the Service leads: to the REST address of each API server, by its name. Kept by the servers themselves, not
    by a controller. The ports of a slice hold for all of its endpoints, so each server has a slice.
    """
    namespace, name = SERVICE
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    ports = {server: [{"name": "https", "protocol": "TCP", "port": port}] for server, (_, port) in servers.items()}
    endpoints: Object = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "subsets": [{"addresses": [{"ip": host}], "ports": ports[server]} for server, (host, _) in servers.items()],
    }
    slices: list[tuple[str, Object]] = [
        ("endpointslices.discovery.k8s.io", _slice(server, host, ports[server]))
        for server, (host, _) in servers.items()
    ]
    return [("endpoints", endpoints), *slices]


def _slice(server: str, host: str, ports: list[Object]) -> Object:
    """Named as the Service for the first server, `apiserver`; `kubernetes-2` for `apiserver-2`."""
    namespace, name = SERVICE
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name + server.removeprefix("apiserver"),
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        "ports": ports,
    }
