"""From Services and EndpointSlices to a forwarding table: which address leads to which endpoints.

A frontend is an address that somebody can connect to: the ClusterIP and a port, a load balancer's or external IP and a
port, or a node's IP and a NodePort. A frontend without any endpoint is not in the table, so nobody listens there and
clients are refused at once, as with Kubernetes' own proxy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from protocols.objects import Object, key_of, labels_of, namespace_of

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
_AFFINITY_DEFAULT_S = 10800


class Frontend(NamedTuple):
    ip: str
    port: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}/{self.protocol}"


class Endpoint(NamedTuple):
    ip: str
    port: int


class Forward(NamedTuple):
    """Where a frontend leads. `affinity_s`: how long a client stays with its endpoint (0: it does not)."""

    service: str
    port_name: str
    endpoints: tuple[Endpoint, ...]
    affinity_s: int = 0


class Node(NamedTuple):
    """The node that this proxy serves: traffic that must stay local stays on it, its IPs carry the NodePorts."""

    name: str
    ips: tuple[str, ...] = ()


Table = Mapping[Frontend, Forward]


def forwarding_table(services: Iterable[Object], slices: Iterable[Object], node: Node) -> dict[Frontend, Forward]:
    """The whole table. Where two services claim one frontend, the first by key has it."""
    of_service: dict[str, list[Object]] = {}
    for endpoint_slice in slices:
        of_service.setdefault(service_of(endpoint_slice), []).append(endpoint_slice)
    table: dict[Frontend, Forward] = {}
    for service in sorted(services, key=key_of):
        for frontend, forward in service_rules(service, of_service.get(key_of(service), []), node).items():
            table.setdefault(frontend, forward)
    return table


def service_rules(service: Object, slices: Iterable[Object], node: Node) -> dict[Frontend, Forward]:
    """One service's part of the table."""
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName" or not _cluster_ips(spec):
        return {}
    slices = list(slices)
    rules: dict[Frontend, Forward] = {}
    inside, outside = (spec.get(f"{side}TrafficPolicy") == "Local" for side in ("internal", "external"))
    for port in spec.get("ports") or ():
        by_locality = {
            local: Forward(
                key_of(service), port.get("name") or "", _endpoints(slices, port, local, node), _affinity_s(spec)
            )
            for local in dict.fromkeys((inside, outside))
        }
        for frontend, is_outside in _frontends(service, port, node):
            forward = by_locality[outside if is_outside else inside]
            if forward.endpoints:
                rules[frontend] = forward
    return rules


def service_of(endpoint_slice: Object) -> str:
    """The key of the service that a slice belongs to, "" for a slice of nobody."""
    name = labels_of(endpoint_slice).get(SERVICE_NAME_LABEL)
    return f"{namespace_of(endpoint_slice)}/{name}" if name else ""


def _frontends(service: Object, port: Mapping[str, Any], node: Node) -> Iterator[tuple[Frontend, bool]]:
    """Each frontend of a service's port, and whether it is meant for clients outside the cluster."""
    spec, protocol = service.get("spec") or {}, port.get("protocol") or "TCP"
    for ip in _cluster_ips(spec):
        yield Frontend(ip, port["port"], protocol), False
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    for ip in [*(spec.get("externalIPs") or ()), *(entry["ip"] for entry in ingress if entry.get("ip"))]:
        yield Frontend(ip, port["port"], protocol), True
    if port.get("nodePort"):
        for ip in node.ips:
            yield Frontend(ip, port["nodePort"], protocol), True


def _endpoints(slices: Iterable[Object], port: Mapping[str, Any], local: bool, node: Node) -> tuple[Endpoint, ...]:
    """The ready endpoints; while there is none, those that are terminating but still serve."""
    ready: dict[Endpoint, None] = {}
    last_resort: dict[Endpoint, None] = {}
    for endpoint_slice in slices:
        number = _port_number(endpoint_slice, port)
        for endpoint in (endpoint_slice.get("endpoints") or ()) if number else ():
            if local and endpoint.get("nodeName") != node.name:
                continue
            is_ready, is_serving = _health(endpoint.get("conditions") or {})
            chosen = ready if is_ready else last_resort if is_serving else None
            if chosen is not None:
                chosen.update((Endpoint(ip, number), None) for ip in (endpoint.get("addresses") or ())[:1])
    return tuple(sorted(ready or last_resort))


def _health(conditions: Mapping[str, Any]) -> tuple[bool, bool]:
    """(ready, still serving while it terminates); unset `ready` means yes, unset `serving` what `ready` says."""
    ready = conditions.get("ready")
    is_ready = ready is None or bool(ready)
    serving = conditions.get("serving")
    is_serving = is_ready if serving is None else bool(serving)
    return is_ready, is_serving and bool(conditions.get("terminating"))


def _port_number(endpoint_slice: Object, port: Mapping[str, Any]) -> int:
    """The slice's number for the service's port: they share its name and protocol. 0: the slice does not serve it."""
    for candidate in endpoint_slice.get("ports") or ():
        if (candidate.get("name") or "") == (port.get("name") or "") and (
            (candidate.get("protocol") or "TCP") == (port.get("protocol") or "TCP")
        ):
            return int(candidate.get("port") or 0)
    return 0


def _cluster_ips(spec: Mapping[str, Any]) -> list[str]:
    ips = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [ip for ip in ips if ip and ip != "None"]


def _affinity_s(spec: Mapping[str, Any]) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds") or _AFFINITY_DEFAULT_S)
