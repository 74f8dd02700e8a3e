"""What the server gave a Service once (cluster IPs, node ports) stays when an update leaves it out."""

from __future__ import annotations

from typing import Any

from protocols.objects import Object

_WITH_CLUSTER_IP = ("ClusterIP", "NodePort", "LoadBalancer", "")
_WITH_NODE_PORT = ("NodePort", "LoadBalancer")


def normalize_cluster_ips(new: Object, old: Object | None) -> None:
    """`clusterIP` and `clusterIPs` say the same: clients that know only one of them keep the other in step."""
    spec = new["spec"] = {**(new.get("spec") or {})}
    first, addresses = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    before = (old or {}).get("spec") or {}
    if old is None:
        if first and not addresses:
            spec["clusterIPs"] = [first]
    elif first != (before.get("clusterIP") or "") and addresses == (before.get("clusterIPs") or []):
        if first:
            spec["clusterIPs"] = [first, *addresses[1:]]
        else:
            spec.pop("clusterIPs", None)
    elif first and not addresses:
        spec["clusterIPs"] = [first]


def keep_allocated(new: Object, old: Object) -> None:
    spec, before = new["spec"], old.get("spec") or {}
    kind, kind_before = spec.get("type") or "", before.get("type") or ""
    if kind in _WITH_CLUSTER_IP and kind_before in _WITH_CLUSTER_IP:
        for key in ("clusterIP", "clusterIPs"):
            if not spec.get(key) and before.get(key):
                spec[key] = before[key]
    if kind in _WITH_NODE_PORT and kind_before in _WITH_NODE_PORT:
        _keep_node_ports(spec, before)
    if not spec.get("healthCheckNodePort") and before.get("healthCheckNodePort") and kind == "LoadBalancer":
        spec["healthCheckNodePort"] = before["healthCheckNodePort"]


def _keep_node_ports(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """By protocol and port; a port that nobody asked a number for keeps its number, unless another took it."""
    given = {(port.get("protocol"), port.get("port")): port.get("nodePort") for port in before.get("ports") or ()}
    taken = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
    ports = []
    for port in spec.get("ports") or ():
        kept = given.get((port.get("protocol") or "TCP", port.get("port")))
        if not port.get("nodePort") and kept and kept not in taken:
            port = {**port, "nodePort": kept}
            taken.add(kept)
        ports.append(port)
    spec["ports"] = ports
