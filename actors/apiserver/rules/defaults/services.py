"""Services, where their endpoints are, and who may reach them."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules.defaults.fill import fill, section
from protocols.objects import Object

_EXTERNAL = ("NodePort", "LoadBalancer")
_AFFINITY_S = 10800


def service(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, type="ClusterIP", sessionAffinity="None")
    if spec["sessionAffinity"] == "ClientIP":
        fill(section(section(spec, "sessionAffinityConfig"), "clientIP"), timeoutSeconds=_AFFINITY_S)
    else:
        spec.pop("sessionAffinityConfig", None)  # left over from a time when there was an affinity
    for port in spec.get("ports") or ():
        fill(port, protocol="TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    if spec["type"] == "ExternalName":
        return
    fill(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in _EXTERNAL or spec.get("externalIPs"):
        fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        fill(spec, allocateLoadBalancerNodePorts=True)
        for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if ingress.get("ip"):
                fill(ingress, ipMode="VIP")
    _ip_families(spec)


def endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            fill(port, protocol="TCP")


def endpoint_slice(obj: Object) -> None:
    for endpoint in obj.get("endpoints") or ():
        section(endpoint, "conditions")
    for port in obj.get("ports") or ():
        fill(port, name="", protocol="TCP")


def ingress_class(obj: Object) -> None:
    parameters = (obj.get("spec") or {}).get("parameters")
    if parameters is not None:
        fill(parameters, scope="Cluster")


def network_policy(obj: Object) -> None:
    spec = section(obj, "spec")
    section(spec, "podSelector")
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                fill(port, protocol="TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _ip_families(spec: dict[str, Any]) -> None:
    """One IPv4 address; a headless service that selects nothing may have endpoints of any family."""
    if spec.get("clusterIP") == "None" and not spec.get("selector"):
        if not spec.get("ipFamilyPolicy") and not spec.get("ipFamilies"):
            spec["ipFamilyPolicy"], spec["ipFamilies"] = "RequireDualStack", ["IPv4", "IPv6"]
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = ["IPv6"] if ":" in (spec.get("clusterIP") or "") else ["IPv4"]
    fill(spec, ipFamilyPolicy="SingleStack")
