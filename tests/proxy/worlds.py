"""Services and EndpointSlices: made by hand, or drawn at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from protocols.objects import Object


def make_service(name: str, ip: str = "127.66.0.10", port: int = 8080, **spec: Any) -> Object:
    """One port, unless `ports` are given; `ingress` are a load balancer's IPs."""
    ingress = [{"ip": address} for address in spec.pop("ingress", [])]
    node_port = {"nodePort": spec.pop("node_port")} if "node_port" in spec else {}
    ports = [{"port": port, "protocol": "TCP", **node_port}]
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"clusterIP": ip, "ports": ports, **spec},
        "status": {"loadBalancer": {"ingress": ingress}},
    }


def make_slice(
    service: str, *endpoints: Object, name: str = "", port: int | None = 9000, port_name: str = ""
) -> Object:
    return {
        "metadata": {
            "name": name or f"{service}-1",
            "namespace": "default",
            "uid": f"uid-slice-{name or service}",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }


def make_endpoint(ip: str, node: str = "node-1", **conditions: bool | None) -> Object:
    return {"addresses": [ip], "nodeName": node, "conditions": conditions}


services = st.builds(
    make_service,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["127.66.0.1", "127.66.0.2", "None"]),
    st.sampled_from([80, 81]),
    node_port=st.sampled_from([30000, 30001]),
    ingress=st.lists(st.sampled_from(["127.67.0.1"]), max_size=1),
    externalTrafficPolicy=st.sampled_from(["Cluster", "Local"]),
    sessionAffinity=st.sampled_from(["None", "ClientIP"]),
)
endpoints = st.builds(
    make_endpoint,
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    st.sampled_from(["node-1", "node-2"]),
    ready=st.sampled_from([None, True, False]),
    serving=st.sampled_from([None, True, False]),
    terminating=st.sampled_from([None, True, False]),
)
slices = st.builds(
    lambda service, found, name: make_slice(service, *found, name=name),
    st.sampled_from(["a", "b", "c"]),
    st.lists(endpoints, max_size=4),
    st.sampled_from(["s1", "s2", "s3"]),
)
