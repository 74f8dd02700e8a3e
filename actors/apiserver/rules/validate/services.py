"""Services, and where their endpoints are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules import addresses, names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    one_of,
    required,
    unchanged,
)
from actors.apiserver.rules.validate.metadata import label_map
from protocols.objects import Object

Spec = dict[str, Any]

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_EXTERNAL = ("NodePort", "LoadBalancer")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_AFFINITIES = ("ClientIP", "None")
_TRAFFIC_POLICIES = ("Cluster", "Local")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_PORT_IN_GO = {"Name": "", "Protocol": "", "AppProtocol": None, "Port": 0, "TargetPort": 0, "NodePort": 0}
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_AFFINITY_SECONDS_MAX = 86400
_ENDPOINTS_MAX, _ENDPOINT_ADDRESSES_MAX, _ENDPOINT_PORTS_MAX = 1000, 100, 20000


def service(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from one_of("spec.type", spec.get("type"), _TYPES)
    yield from _ports(spec)
    yield from _of_its_type(spec)
    yield from label_map("spec.selector", spec.get("selector"))
    yield from _session_affinity(spec)
    yield from _cluster_ips(spec)
    yield from _traffic(spec)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        yield from matches(f"spec.externalIPs[{index}]", address, addresses.reachable(address))
    for index, source in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        yield from matches(f"spec.LoadBalancerSourceRanges[{index}]", source, addresses.network(source.strip()))
    yield from _ranges_of_old(obj, spec)
    if old is not None:
        yield from _service_update(spec, old.get("spec") or {})


def _ranges_of_old(obj: Object, spec: Spec) -> FieldErrors:
    """Before there was a field for them, they were an annotation."""
    text = ((obj.get("metadata") or {}).get("annotations") or {}).get(_SOURCE_RANGES)
    if text is None or spec.get("loadBalancerSourceRanges"):
        return
    field = f"metadata.annotations[{_SOURCE_RANGES}]"
    if spec.get("type") != "LoadBalancer":
        yield forbidden(field, "may only be used when `type` is 'LoadBalancer'")
    for source in text.split(",") if text.strip() else ():
        yield from matches(field, text, addresses.network(source.strip()))


def endpoints(obj: Object, old: Object | None) -> FieldErrors:
    for index, subset in enumerate(obj.get("subsets") or ()):
        where = f"subsets[{index}]"
        for key in ("addresses", "notReadyAddresses"):
            for address_index, address in enumerate(subset.get(key) or ()):
                ip = address.get("ip") or ""
                yield from matches(f"{where}.{key}[{address_index}].ip", ip, addresses.reachable(ip))
                if address.get("hostname"):
                    name = address["hostname"]
                    yield from matches(f"{where}.{key}[{address_index}].hostname", name, names.dns_label(name))
                if address.get("nodeName") is not None:
                    name = address["nodeName"]
                    yield from matches(f"{where}.{key}[{address_index}].nodeName", name, names.dns_subdomain(name))
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(where, "must specify `addresses` or `notReadyAddresses`")
        several = len(subset.get("ports") or ()) > 1
        for port_index, port in enumerate(subset.get("ports") or ()):
            yield from _endpoint_port(f"{where}.ports[{port_index}]", port, named=several)


def endpoint_slice(obj: Object, old: Object | None) -> FieldErrors:
    kind = obj.get("addressType")
    yield from one_of("addressType", kind, _ADDRESS_TYPES)
    if old is not None:
        yield from unchanged("addressType", kind, old.get("addressType"))
        kind = old.get("addressType")
    listed = obj.get("endpoints") or ()
    if len(listed) > _ENDPOINTS_MAX:
        yield invalid_value("endpoints", len(listed), f"must have at most {_ENDPOINTS_MAX} items")
    for index, endpoint in enumerate(listed):
        yield from _endpoint(f"endpoints[{index}]", endpoint, kind)
    ports = obj.get("ports") or ()
    seen: set[str] = set()
    if len(ports) > _ENDPOINT_PORTS_MAX:
        yield invalid_value("ports", len(ports), f"must have at most {_ENDPOINT_PORTS_MAX} items")
    for index, port in enumerate(ports):
        name = port.get("name") or ""
        if name in seen:
            yield duplicate(f"ports[{index}].name", name)
        seen.add(name)
        if name:
            yield from matches(f"ports[{index}].name", name, names.dns_label(name))
        yield from one_of(f"ports[{index}].protocol", port.get("protocol"), _PROTOCOLS)
        if port.get("appProtocol") is not None:
            yield from matches(f"ports[{index}].appProtocol", port["appProtocol"], names.label_key(port["appProtocol"]))


def _ports(spec: Spec) -> FieldErrors:
    ports: Sequence[Spec] = spec.get("ports") or ()
    if not ports and not is_headless(spec) and spec.get("type") != "ExternalName":
        yield required("spec.ports")
    seen: dict[str, set[Any]] = {"name": set(), "nodePort": set(), "port": set()}
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}]"
        yield from _port(where, port, named=len(ports) > 1)
        name, protocol = port.get("name"), port.get("protocol")
        if name and _seen(seen["name"], name):
            yield duplicate(f"{where}.name", name)
        if port.get("nodePort") and _seen(seen["nodePort"], (protocol, port["nodePort"])):
            yield invalid_value(f"{where}.nodePort", port["nodePort"], "provided port is already allocated")
        if _seen(seen["port"], (protocol, port.get("port"))):
            yield duplicate(where, {**_PORT_IN_GO, "Protocol": protocol, "Port": port.get("port")})


def _port(field: str, port: Spec, *, named: bool) -> FieldErrors:
    name = port.get("name")
    if name:
        yield from matches(f"{field}.name", name, names.dns_label(name))
    elif named:
        yield required(f"{field}.name")
    yield from matches(f"{field}.port", port.get("port", 0), names.port_number(port.get("port", 0)))
    yield from one_of(f"{field}.protocol", port.get("protocol"), _PROTOCOLS)
    target = port.get("targetPort", 0)
    yield from matches(f"{field}.targetPort", target, names.port_number_or_name(target))
    if port.get("appProtocol") is not None:
        yield from matches(f"{field}.appProtocol", port["appProtocol"], names.label_key(port["appProtocol"]))


def _of_its_type(spec: Spec) -> FieldErrors:
    kind = spec.get("type")
    if kind in _EXTERNAL and is_headless(spec):
        yield invalid_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        yield from _external_name(spec)
    if kind == "ClusterIP":
        for index, port in enumerate(spec.get("ports") or ()):
            if port.get("nodePort"):
                yield forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
    if kind == "LoadBalancer" and spec.get("loadBalancerClass") is not None:
        yield from matches(
            "spec.loadBalancerClass", spec["loadBalancerClass"], names.label_key(spec["loadBalancerClass"])
        )
    if kind != "LoadBalancer":
        for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(key) is not None:
                yield forbidden(f"spec.{key}", "may only be used when `type` is 'LoadBalancer'")
        if spec.get("loadBalancerSourceRanges"):
            yield forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")


def _external_name(spec: Spec) -> FieldErrors:
    for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(key):
            yield forbidden(f"spec.{key}", "may not be set for ExternalName services")
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        yield required("spec.externalName")
    else:
        yield from matches("spec.externalName", name, names.dns_subdomain(name))


def _session_affinity(spec: Spec) -> FieldErrors:
    kind, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    yield from one_of("spec.sessionAffinity", kind, _AFFINITIES)
    if kind == "ClientIP":
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None:
            yield required("spec.sessionAffinityConfig", "when session affinity type is ClientIP")
        elif not 0 < seconds <= _AFFINITY_SECONDS_MAX:
            detail = f"must be greater than 0 and less than {_AFFINITY_SECONDS_MAX}"
            yield invalid_value("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, detail)


def _cluster_ips(spec: Spec) -> FieldErrors:
    given: list[str] = spec.get("clusterIPs") or []
    first = spec.get("clusterIP") or ""
    if first and not given:
        yield required("spec.clusterIPs")
    elif given and not first:
        yield invalid_value("spec.clusterIPs", given, "must be empty when `clusterIP` is not specified")
    elif given and given[0] != first:
        yield invalid_value("spec.clusterIPs", given, "first value must match `clusterIP`")
    if given[:1] == ["None"] and len(given) > 1:
        yield invalid_value("spec.clusterIPs", given, "'None' must be the first and only value")
    for index, address in enumerate(given):
        if index or address != "None":
            yield from matches(f"spec.clusterIPs[{index}]", address, names.ip_address(address))
    seen: set[str] = set()
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in _FAMILIES:
            yield not_supported(f"spec.ipFamilies[{index}]", family, _FAMILIES)
        elif _seen(seen, family):
            yield duplicate(f"spec.ipFamilies[{index}]", family)
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in _FAMILY_POLICIES:
        yield not_supported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES)
    yield from _one_family(spec)


def _one_family(spec: Spec) -> FieldErrors:
    """Services have IPv4 addresses; what is headless and selects nothing may have endpoints of any family."""
    policy, families = spec.get("ipFamilyPolicy"), [*(spec.get("ipFamilies") or ())]
    if policy == "SingleStack":
        for several, what in ((spec.get("clusterIPs"), "cluster IPs"), (families, "IP families")):
            if len(set(several or ())) == 2:
                detail = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                yield invalid_value("spec.ipFamilyPolicy", policy, detail)
    if spec.get("type") == "ExternalName" or (is_headless(spec) and not spec.get("selector")):
        return
    if policy == "RequireDualStack":
        yield invalid_value("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services")
    given = [address for address in spec.get("clusterIPs") or () if addresses.is_one(address)]
    if len(given) > 1:
        yield from _several(given)
    elif len(families) < 2:
        for index, family in enumerate(families):
            if family in _FAMILIES and family != "IPv4":
                yield invalid_value(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
    elif policy == "PreferDualStack" and families[0] != "IPv4":
        yield invalid_value("spec.ipFamilies[0]", families[0], "not configured on this cluster")


def _several(given: Sequence[str]) -> FieldErrors:
    if not addresses.is_dual_stack(f"{given[0]}/0", f"{given[1]}/0"):
        yield invalid_value("spec.clusterIPs", given, "may specify no more than one IP for each IP family")
        return
    for index, address in enumerate(given):
        if ":" in address:
            yield invalid_value(f"spec.clusterIPs[{index}]", given, "IPv6 is not configured on this cluster")


def _traffic(spec: Spec) -> FieldErrors:
    checks = spec.get("healthCheckNodePort")
    if checks and (spec.get("type") != "LoadBalancer" or spec.get("externalTrafficPolicy") != "Local"):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid_value("spec.healthCheckNodePort", checks, detail)
    external = spec.get("externalTrafficPolicy")
    reachable = spec.get("type") in _EXTERNAL or (spec.get("type") == "ClusterIP" and spec.get("externalIPs"))
    if reachable:
        yield from one_of("spec.externalTrafficPolicy", external, _TRAFFIC_POLICIES)
    elif external:
        detail = "may only be set for externally-accessible services"
        yield invalid_value("spec.externalTrafficPolicy", external, detail)
    internal = spec.get("internalTrafficPolicy")
    if internal is not None and internal not in _TRAFFIC_POLICIES:
        yield not_supported("spec.internalTrafficPolicy", internal, _TRAFFIC_POLICIES)
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        yield not_supported("spec.trafficDistribution", distribution, _DISTRIBUTIONS)


def _service_update(spec: Spec, old: Spec) -> FieldErrors:
    """A cluster IP, once there, stays; only a service that was or becomes an ExternalName is without."""
    if "ExternalName" in (spec.get("type"), old.get("type")) or spec.get("type") not in _TYPES:
        return
    before = old.get("clusterIPs") or []
    given = spec.get("clusterIPs") or []
    sound = all(address == "None" or addresses.is_one(address) for address in given)
    if before and sound and (not given or given[0] != before[0]):
        yield invalid_value("spec.clusterIPs[0]", given, "may not change once set")
    families = old.get("ipFamilies") or []
    if families and spec.get("ipFamilies") and spec["ipFamilies"][0] != families[0]:
        yield invalid_value("spec.ipFamilies[0]", spec["ipFamilies"], "may not change once set")
    checks = old.get("healthCheckNodePort")
    if checks and spec.get("healthCheckNodePort") not in (None, 0, checks) and _is_checked(spec):
        yield forbidden("spec.healthCheckNodePort", "field is immutable")
    if spec.get("type") == old.get("type") == "LoadBalancer":
        if spec.get("loadBalancerClass") != old.get("loadBalancerClass"):
            yield invalid_value("spec.loadBalancerClass", spec.get("loadBalancerClass"), "may not change once set")


def _is_checked(spec: Spec) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def is_headless(spec: Spec) -> bool:
    return spec.get("clusterIP") == "None" or (spec.get("clusterIPs") or [""])[0] == "None"


def _endpoint(field: str, endpoint: Spec, kind: str | None) -> FieldErrors:
    listed = endpoint.get("addresses") or ()
    if not listed:
        yield required(f"{field}.addresses", "must contain at least 1 address")
    elif len(listed) > _ENDPOINT_ADDRESSES_MAX:
        detail = f"must have at most {_ENDPOINT_ADDRESSES_MAX} items"
        yield invalid_value(f"{field}.addresses", len(listed), detail)
    for index, address in enumerate(listed):
        yield from _endpoint_address(f"{field}.addresses", index, address, kind)
    if endpoint.get("hostname") is not None:
        yield from matches(f"{field}.hostname", endpoint["hostname"], names.dns_label(endpoint["hostname"]))
    if endpoint.get("nodeName") is not None:
        yield from matches(f"{field}.nodeName", endpoint["nodeName"], names.dns_subdomain(endpoint["nodeName"]))
    yield from _hints(f"{field}.hints", endpoint.get("hints") or {})


def _endpoint_address(field: str, index: int, address: str, kind: str | None) -> FieldErrors:
    where = f"{field}[{index}]"
    if kind == "FQDN":
        yield from matches(where, address, names.dns_subdomain(address))
    elif not addresses.is_one(address):
        yield from matches(where, address, names.ip_address(address))
    elif kind in _FAMILIES and (":" in address) != (kind == "IPv6"):
        yield invalid_value(field, address, f"must be an {kind} address")
    else:
        problems = list(addresses.ip(address))
        yield from matches(where, address, problems or addresses.reachable(address))


def _hints(field: str, hints: Spec) -> FieldErrors:
    for kind, form in (("forZones", names.label_value), ("forNodes", names.dns_subdomain)):
        seen: set[str] = set()
        for index, each in enumerate(hints.get(kind) or ()):
            name = each.get("name") or ""
            if _seen(seen, name):
                yield duplicate(f"{field}.{kind}[{index}].name", name)
            yield from matches(f"{field}.{kind}[{index}].name", name, form(name))


def _endpoint_port(field: str, port: Spec, *, named: bool) -> FieldErrors:
    if named and not port.get("name"):
        yield required(f"{field}.name")
    elif port.get("name"):
        yield from matches(f"{field}.name", port["name"], names.dns_label(port["name"]))
    yield from matches(f"{field}.port", port.get("port", 0), names.port_number(port.get("port", 0)))
    yield from one_of(f"{field}.protocol", port.get("protocol"), _PROTOCOLS)
    if port.get("appProtocol") is not None:
        yield from matches(f"{field}.appProtocol", port["appProtocol"], names.label_key(port["appProtocol"]))


def _seen(values: set[Any], value: Any) -> bool:
    """Was it there already? It is from now on."""
    known = value in values
    values.add(value)
    return known
