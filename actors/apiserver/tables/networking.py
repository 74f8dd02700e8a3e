"""Services, their endpoints, and the ways in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from actors.apiserver.elapsed import UNKNOWN
from actors.apiserver.tables.cells import (
    NONE,
    UNSET,
    Columns,
    Printer,
    age,
    cut,
    name_of_row,
    shown_labels,
    shown_selector,
)
from protocols.objects import Object

_HOSTS_MAX = 3

_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


def _service(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    addresses = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [
        name_of_row(obj),
        spec.get("type") or "",
        addresses[0] if addresses else NONE,
        _external_ip(obj, spec),
        ",".join(_service_port(port) for port in spec.get("ports") or ()) or NONE,
        age(obj),
        shown_labels(spec.get("selector")),
    ]


def _endpoints(obj: Object) -> list[Any]:
    return [name_of_row(obj), cut(_endpoint_addresses(obj.get("subsets") or ())), age(obj)]


def _endpoint_slice(obj: Object) -> list[Any]:
    ports = (str(port.get("port") or port.get("name") or "*") for port in obj.get("ports") or ())
    addresses = (address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ())
    return [name_of_row(obj), obj.get("addressType") or "", cut(ports, UNSET), cut(addresses, UNSET), age(obj)]


def _ingress(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    return [
        name_of_row(obj),
        spec.get("ingressClassName") or NONE,
        _hosts(spec.get("rules") or ()),
        _load_balancer(obj),
        "80, 443" if spec.get("tls") else "80",
        age(obj),
    ]


def _ingress_class(obj: Object) -> list[Any]:
    spec, annotations = obj.get("spec") or {}, (obj.get("metadata") or {}).get("annotations") or {}
    name = name_of_row(obj) + (" (default)" if annotations.get(_DEFAULT_CLASS) == "true" else "")
    return [name, spec.get("controller") or "", _parameters(spec.get("parameters")), age(obj)]


def _network_policy(obj: Object) -> list[Any]:
    selector = (obj.get("spec") or {}).get("podSelector")
    return [name_of_row(obj), shown_selector(selector), age(obj)]


def _service_cidr(obj: Object) -> list[Any]:
    return [name_of_row(obj), ",".join((obj.get("spec") or {}).get("cidrs") or ()), age(obj)]


def _ip_address(obj: Object) -> list[Any]:
    parent = (obj.get("spec") or {}).get("parentRef")
    if parent is None:
        return [name_of_row(obj), NONE]
    group = f".{parent['group']}" if parent.get("group") else ""
    steps = [f"{parent.get('resource') or ''}{group}".lower(), parent.get("namespace"), parent.get("name") or ""]
    return [name_of_row(obj), "/".join(step for step in steps if step)]


SERVICE = Printer(
    Columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"),
    _service,
)
ENDPOINTS = Printer(Columns("Name", "Endpoints", "Age"), _endpoints)
ENDPOINT_SLICE = Printer(Columns("Name", "AddressType", "Ports", "Endpoints", "Age"), _endpoint_slice)
INGRESS = Printer(Columns("Name", "Class", "Hosts", "Address", "Ports", "Age"), _ingress)
INGRESS_CLASS = Printer(Columns("Name", "Controller", "Parameters", "Age"), _ingress_class)
SERVICE_CIDR = Printer(Columns("Name", "CIDRs", "Age"), _service_cidr)
IP_ADDRESS = Printer(Columns("Name", "ParentRef"), _ip_address)
NETWORK_POLICY = Printer(Columns("Name", "Pod-Selector", "Age"), _network_policy)


def _external_ip(obj: Object, spec: dict[str, Any]) -> str:
    external: list[str] = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(external) or NONE
        case "LoadBalancer":
            given = _load_balancer(obj)
            return ",".join([given, *external] if given else external) or "<pending>"
        case "ExternalName":
            return spec.get("externalName") or ""
        case _:
            return UNKNOWN


def _load_balancer(obj: Object) -> str:
    points = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(sorted({point.get("ip") or point.get("hostname") or "" for point in points} - {""}))


def _service_port(port: dict[str, Any]) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol')}"


def _endpoint_addresses(subsets: Sequence[dict[str, Any]]) -> Iterator[str]:
    for subset in subsets:
        ips = [address.get("ip") or "" for address in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if not ports:  # a headless service may have none
            yield from ips
        for port in ports:
            yield from (f"{f'[{ip}]' if ':' in ip else ip}:{port.get('port')}" for ip in ips)


def _hosts(rules: Sequence[dict[str, Any]]) -> str:
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    if len(hosts) <= _HOSTS_MAX:
        return ",".join(hosts) or "*"
    return f"{','.join(hosts[:_HOSTS_MAX])} + {len(rules) - _HOSTS_MAX} more..."


def _parameters(parameters: dict[str, Any] | None) -> str:
    if parameters is None:
        return NONE
    group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") else ""
    return f"{parameters.get('kind', '')}{group}/{parameters.get('name', '')}"
