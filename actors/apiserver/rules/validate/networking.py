"""Ingresses, their classes, and network policies."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules import addresses, names
from actors.apiserver.rules.field import (
    FieldErrors,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    required,
    too_long,
    unchanged,
)
from actors.apiserver.rules.validate.scheduling import label_selector
from protocols.objects import Object

Spec = dict[str, Any]

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_THE_END = ("/..", "/.")
_CONTROLLER_BYTES_MAX = 250
_SCOPES = ("Cluster", "Namespace")
_CLASS = "kubernetes.io/ingress.class"
_POLICY_TYPES = ("Ingress", "Egress")
_PROTOCOLS = ("TCP", "UDP", "SCTP")


def ingress(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    rules = spec.get("rules") or ()
    if not rules and spec.get("defaultBackend") is None:
        yield invalid_value("spec", None, "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        yield from _backend("spec.defaultBackend", spec["defaultBackend"])
    for index, rule in enumerate(rules):
        where, host = f"spec.rules[{index}]", rule.get("host") or ""
        if host and addresses.is_one(host):
            yield invalid_value(f"{where}.host", host, "must be a DNS name, not an IP address")
        elif host:
            yield from matches(f"{where}.host", host, names.host(host))
        if rule.get("http") is not None:
            yield from _paths(f"{where}.http.paths", rule["http"].get("paths") or ())
    yield from _tls(spec)
    name = spec.get("ingressClassName")
    if name is not None:
        yield from matches("spec.ingressClassName", name, names.dns_subdomain(name))
    annotated = ((obj.get("metadata") or {}).get("annotations") or {}).get(_CLASS)
    if old is None and annotated is not None and name is not None and annotated != name:
        yield invalid_value(f"annotations.{_CLASS}", annotated, "must match `ingressClassName` when both are specified")


def ingress_class(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    if old is not None:
        before = (old.get("spec") or {}).get("controller")
        yield from unchanged("spec.controller", spec.get("controller") or "", before)
    if not spec.get("controller"):
        yield required("spec.controller")
    else:
        yield from _controller("spec.controller", spec["controller"])
    if spec.get("parameters") is not None:
        yield from _parameters("spec.parameters", spec["parameters"])


def _controller(field: str, name: str) -> FieldErrors:
    domain, slash, path = name.partition("/")
    if len(name.encode()) > _CONTROLLER_BYTES_MAX:
        yield too_long(field, _CONTROLLER_BYTES_MAX)
    if not slash or not domain or not path:
        yield invalid_value(field, name, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    yield from matches(field, domain, names.dns_subdomain(domain))


def _parameters(field: str, parameters: Spec) -> FieldErrors:
    group, scope, namespace = (parameters.get(key) for key in ("apiGroup", "scope", "namespace"))
    if group is not None:
        yield from matches(f"{field}.apiGroup", group, names.dns_subdomain(group))
    for key in ("kind", "name"):
        if not parameters.get(key):
            yield required(f"{field}.{key}")
        else:
            yield from matches(f"{field}.{key}", parameters[key], names.path_segment(parameters[key]))
    if scope not in _SCOPES:
        yield not_supported(f"{field}.scope", scope, _SCOPES)
    elif scope == "Namespace" and not namespace:
        yield required(f"{field}.namespace", "`parameters.scope` is set to 'Namespace'")
    elif scope == "Namespace" and namespace:
        yield from matches(f"{field}.namespace", namespace, names.dns_label(namespace))
    elif namespace is not None:
        yield forbidden(f"{field}.namespace", "`parameters.scope` is set to 'Cluster'")


def network_policy(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from label_selector("spec.podSelector", spec.get("podSelector"))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            where = f"spec.{direction}[{index}]"
            for port_index, port in enumerate(rule.get("ports") or ()):
                yield from _policy_port(f"{where}.ports[{port_index}]", port)
            for peer_index, peer in enumerate(rule.get(peers) or ()):
                yield from _peer(f"{where}.{peers}[{peer_index}]", peer)
    kinds = spec.get("policyTypes") or ()
    if len(kinds) > len(_POLICY_TYPES):
        yield invalid_value("spec.policyTypes", kinds, "may not specify more than two policyTypes")
        return
    for index, kind in enumerate(kinds):
        if kind not in _POLICY_TYPES:
            yield not_supported(f"spec.policyTypes[{index}]", kind, _POLICY_TYPES)


def _tls(spec: Spec) -> FieldErrors:
    for index, tls in enumerate(spec.get("tls") or ()):
        where = f"spec.tls[{index}]"
        for host_index, host in enumerate(tls.get("hosts") or ()):
            yield from matches(f"{where}.hosts[{host_index}]", host, names.host(host))
        if tls.get("secretName"):
            yield from matches(f"{where}.secretName", tls["secretName"], names.dns_subdomain(tls["secretName"]))


def _paths(field: str, paths: Any) -> FieldErrors:
    if not paths:
        yield required(field)
    for index, path in enumerate(paths):
        where, kind, text = f"{field}[{index}]", path.get("pathType"), path.get("path") or ""
        if kind is None:
            yield required(f"{where}.pathType", "pathType must be specified")
        elif kind not in _PATH_TYPES:
            yield not_supported(f"{where}.pathType", kind, _PATH_TYPES)
        if kind in ("Exact", "Prefix"):
            yield from _path(f"{where}.path", text)
        yield from _backend(f"{where}.backend", path.get("backend") or {})


def _path(field: str, text: str) -> FieldErrors:
    if not text.startswith("/"):
        yield invalid_value(field, text, "must be an absolute path")
    for part in _NOT_IN_PATHS:
        if part in text:
            yield invalid_value(field, text, f"must not contain '{part}'")
    for end in _NOT_AT_THE_END:
        if text.endswith(end):
            yield invalid_value(field, text, f"cannot end with '{end}'")


def _backend(field: str, backend: Spec) -> FieldErrors:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        yield invalid_value(field, "", "cannot set both resource and service backends")
    elif service is None and resource is None:
        yield invalid_value(field, "", "resource or service backend is required")
    elif service is not None:
        yield from _service_backend(field, service)
    else:
        for key in ("kind", "name"):
            if not backend["resource"].get(key):
                yield required(f"{field}.resource.{key}")


def _service_backend(field: str, service: Spec) -> FieldErrors:
    name, port = service.get("name") or "", service.get("port") or {}
    if not name:
        yield required(f"{field}.service.name")
    else:
        yield from matches(f"{field}.service.name", name, names.dns_label(name))
    if port.get("name") and port.get("number"):
        yield invalid_value(field, "", "cannot set both port name & port number")
    elif port.get("name"):
        yield from matches(f"{field}.service.port.name", port["name"], names.port_name(port["name"]))
    elif port.get("number"):
        yield from matches(f"{field}.service.port.number", port["number"], names.port_number(port["number"]))
    else:
        yield required(field, "port name or number is required")


def _policy_port(field: str, port: Spec) -> FieldErrors:
    if port.get("protocol") is not None and port["protocol"] not in _PROTOCOLS:
        yield not_supported(f"{field}.protocol", port["protocol"], _PROTOCOLS)
    number, last = port.get("port"), port.get("endPort")
    if number is not None:
        yield from matches(f"{field}.port", number, names.port_number_or_name(number))
    if last is None:
        return
    if number is None:
        yield invalid_value(f"{field}.endPort", last, "may not be specified when `port` is not specified")
    elif not isinstance(number, int):
        yield invalid_value(f"{field}.endPort", last, "may not be specified when `port` is non-numeric")
    elif last < number:
        yield invalid_value(f"{field}.endPort", number, "must be greater than or equal to `port`")
    if isinstance(number, int):
        yield from matches(f"{field}.endPort", last, names.port_number(last))


def _peer(field: str, peer: Spec) -> FieldErrors:
    selectors = [key for key in ("podSelector", "namespaceSelector") if peer.get(key) is not None]
    block = peer.get("ipBlock")
    for key in selectors:
        yield from label_selector(f"{field}.{key}", peer[key])
    if block is not None:
        yield from _block(f"{field}.ipBlock", block)
    if block is not None and selectors:
        detail = "may not specify both ipBlock and another peer"
        yield forbidden(field, detail)
    elif block is None and not selectors:
        yield required(field, "must specify a peer")


def _block(field: str, block: Spec) -> FieldErrors:
    whole = block.get("cidr") or ""
    if not whole:
        yield required(f"{field}.cidr")
        return
    yield from matches(f"{field}.cidr", whole, addresses.network(whole))
    for index, part in enumerate(block.get("except") or ()):
        where, problems = f"{field}.except[{index}]", list(addresses.network(part))
        yield from matches(where, part, problems)
        if not problems and not addresses.is_strictly_within(part, whole):
            yield invalid_value(where, part, "must be a strict subset of `cidr`")
