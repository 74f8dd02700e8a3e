"""What exists in every cluster from its first moment: four namespaces, and the Service `kubernetes`."""

from __future__ import annotations

from protocols.objects import Object

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_HTTPS_PORT = 443


def first_objects(first_ip: str) -> list[tuple[str, Object]]:
    """(group resource, object) in the order to create them; the Service has the first address of the range."""
    namespaces: list[tuple[str, Object]] = [
        ("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}) for name in _NAMESPACES
    ]
    port = {"name": "https", "protocol": "TCP", "port": _HTTPS_PORT, "targetPort": _HTTPS_PORT}
    spec = {"type": "ClusterIP", "clusterIP": first_ip, "ports": [port], "sessionAffinity": "None"}
    labels = {"component": "apiserver", "provider": "kubernetes"}
    metadata = {"name": "kubernetes", "namespace": "default", "labels": labels}
    return [*namespaces, ("services", {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})]


def endpoints_of(address: str, port: int) -> list[tuple[str, Object]]:
    """Where the Service leads: to this API server's REST address. Kept by the server itself, not by a controller."""
    ports = [{"name": "https", "protocol": "TCP", "port": port}]
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    endpoints: Object = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "subsets": [{"addresses": [{"ip": address}], "ports": ports}],
    }
    endpoint_slice: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": ports,
    }
    return [("endpoints", endpoints), ("endpointslices.discovery.k8s.io", endpoint_slice)]
