"""Small kinds: configuration, nodes, leases, classes, access rules."""

from __future__ import annotations

import base64
import binascii
import json
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
    too_long,
    unchanged,
)
from actors.apiserver.rules.go_values import in_go
from actors.apiserver.rules.validate.metadata import label_map
from actors.apiserver.rules.validate.node_status import resources
from actors.apiserver.rules.validate.resources import quantity, resource_name
from actors.apiserver.rules.validate.scheduling import label_selector, taints, tolerations
from protocols.objects import Object

DATA_BYTES_MAX = 1024 * 1024
_IMMUTABLE_DATA = "field is immutable when `immutable` is set"
_PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
_USER_PRIORITY_MAX = 1_000_000_000
_ONCE = 'node updates may not change {} except from "" to valid'
_RBAC = "rbac.authorization.k8s.io"
# What a secret of a well-known type must hold.
_SECRET_KEYS: dict[str, tuple[str, ...]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def config_map(obj: Object, old: Object | None) -> FieldErrors:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in (*data, *binary):
        yield from matches(f"{'data' if key in data else 'binaryData'}[{key}]", key, names.config_key(key))
        if key in data and key in binary:
            yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    size = sum(len(value.encode()) for value in data.values()) + sum(len(value) * 3 // 4 for value in binary.values())
    if size > DATA_BYTES_MAX:
        yield too_long("[]", DATA_BYTES_MAX)  # the path of the object itself, as Kubernetes writes it
    yield from _immutable_data(obj, old, ("data", "binaryData"))


def secret(obj: Object, old: Object | None) -> FieldErrors:
    data, kind = obj.get("data") or {}, obj.get("type") or ""
    size = 0
    for key, value in data.items():
        yield from matches(f"data[{key}]", key, names.config_key(key))
        size += _decoded_size(value)
    if size > DATA_BYTES_MAX:
        yield too_long("data", DATA_BYTES_MAX)
    for key in _SECRET_KEYS.get(kind, ()):
        if key not in data:
            yield required(f"data[{key}]")
        elif key.startswith(".docker"):
            yield from _json(f"data[{key}]", data[key])
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        yield required("data[username]")
    if kind == "kubernetes.io/service-account-token":
        account = ((obj.get("metadata") or {}).get("annotations") or {}).get("kubernetes.io/service-account.name")
        if not account:
            yield required("metadata.annotations[kubernetes.io/service-account.name]")
    if old is not None:
        yield from unchanged("type", kind, old.get("type"))
    yield from _immutable_data(obj, old, ("data",))


def _json(field: str, encoded: str) -> FieldErrors:
    try:
        json.loads(base64.b64decode(encoded))
    except ValueError as error:
        yield invalid_value(field, "<secret contents redacted>", str(error))


def node(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from taints("metadata.taints", spec.get("taints") or ())
    cidrs = _cidrs(spec)
    for index, cidr in enumerate(cidrs):
        yield from matches(f"spec.podCIDRs[{index}]", cidr, addresses.network(cidr))
    if len(cidrs) > 2 or (len(cidrs) == 2 and not addresses.is_dual_stack(*cidrs)):
        yield invalid_value("spec.podCIDRs", cidrs, "may specify no more than one CIDR for each IP family")
    if old is None:
        yield from resources(obj.get("status") or {}, {})
        return
    before = old.get("spec") or {}
    if _cidrs(before) and _cidrs(before) != cidrs:
        yield forbidden("spec.podCIDRs", _ONCE.format("podCIDR"))
    if before.get("providerID") and before["providerID"] != spec.get("providerID"):
        yield forbidden("spec.providerID", _ONCE.format("providerID"))
    if (spec.get("externalID") or "") != (before.get("externalID") or ""):
        yield forbidden("spec.externalID", "may not be updated")


def _cidrs(spec: dict[str, Any]) -> list[str]:
    """What older clients name alone is the first of them."""
    return spec.get("podCIDRs") or [cidr for cidr in [spec.get("podCIDR")] if cidr]


def lease(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield invalid_value("spec.leaseDurationSeconds", duration, "must be greater than 0")
    transitions = spec.get("leaseTransitions")
    if transitions is not None and transitions < 0:
        yield invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


def priority_class(obj: Object, old: Object | None) -> FieldErrors:
    value = obj.get("value", 0)
    name = (obj.get("metadata") or {}).get("name", "")
    if name.startswith("system-"):
        if name not in ("system-node-critical", "system-cluster-critical"):
            detail = "priority class names with 'system-' prefix are reserved for system use only. error: "
            yield forbidden("metadata.name", f"{detail}{name} is not a known system priority class")
    elif value > _USER_PRIORITY_MAX:
        detail = f"maximum allowed value of a user defined priority is {_USER_PRIORITY_MAX}"
        yield forbidden("value", detail)
    if old is None:
        yield from one_of("preemptionPolicy", obj.get("preemptionPolicy"), _PREEMPTION_POLICIES)
    else:
        if value != old.get("value", 0):
            yield forbidden("value", "may not be changed in an update.")
        yield from unchanged("preemptionPolicy", obj.get("preemptionPolicy"), old.get("preemptionPolicy"))


def runtime_class(obj: Object, old: Object | None) -> FieldErrors:
    handler = obj.get("handler") or ""
    if handler:
        yield from matches("handler", handler, names.dns_label(handler))
    else:
        yield required("handler")
    for name, value in ((obj.get("overhead") or {}).get("podFixed") or {}).items():
        yield from resource_name(f"overhead.limits[{name}]", name)
        yield from quantity(f"overhead.limits[{name}]", value)
    chosen = obj.get("scheduling") or {}
    yield from label_map("scheduling.nodeSelector", chosen.get("nodeSelector"))
    yield from tolerations("scheduling.tolerations", chosen.get("tolerations") or ())
    yield from _unlike("scheduling.tolerations", chosen.get("tolerations") or ())
    if old is not None:
        yield from unchanged("handler", handler, old.get("handler"))


def _unlike(field: str, listed: Sequence[dict[str, Any]]) -> FieldErrors:
    for index, toleration in enumerate(listed):
        if toleration in listed[:index]:
            shown = {
                key[:1].upper() + key[1:]: toleration.get(key) or "" for key in ("key", "operator", "value", "effect")
            }
            seconds = {"TolerationSeconds": toleration.get("tolerationSeconds")}
            yield duplicate(f"{field}[{index}]", {**shown, **seconds})


def role(obj: Object, old: Object | None) -> FieldErrors:
    for index, rule in enumerate(obj.get("rules") or ()):
        yield from _policy_rule(f"rules[{index}]", rule, namespaced=obj.get("kind") == "Role")
    if obj.get("aggregationRule") is not None:
        yield from _aggregation("aggregationRule.clusterRoleSelectors", obj["aggregationRule"])


def _aggregation(field: str, rule: dict[str, Any]) -> FieldErrors:
    if not rule.get("clusterRoleSelectors"):
        yield required(field, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for index, selector in enumerate(rule.get("clusterRoleSelectors") or ()):
        yield from label_selector(f"{field}[{index}]", selector)


def role_binding(obj: Object, old: Object | None) -> FieldErrors:
    reference = obj.get("roleRef") or {}
    if reference.get("apiGroup") != _RBAC:
        yield not_supported("roleRef.apiGroup", reference.get("apiGroup") or "", (_RBAC,))
    kinds = ("Role", "ClusterRole") if obj.get("kind") == "RoleBinding" else ("ClusterRole",)
    if reference.get("kind") not in kinds:
        yield not_supported("roleRef.kind", reference.get("kind") or "", kinds)
    if not reference.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(obj.get("subjects") or ()):
        yield from _subject(f"subjects[{index}]", subject, namespaced=obj.get("kind") == "RoleBinding")
    if old is not None and reference != old.get("roleRef"):
        yield invalid_value("roleRef", in_go("rbac.v1.RoleRef", reference), "cannot change roleRef")


def _policy_rule(field: str, rule: dict[str, Any], *, namespaced: bool) -> FieldErrors:
    if not rule.get("verbs"):
        yield required(f"{field}.verbs", "verbs must contain at least one value")
    if rule.get("nonResourceURLs"):
        if namespaced:
            detail = "namespaced rules cannot apply to non-resource URLs"
            yield invalid_value(f"{field}.nonResourceURLs", rule["nonResourceURLs"], detail)
        if any(rule.get(key) for key in ("apiGroups", "resources", "resourceNames")):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid_value(f"{field}.nonResourceURLs", rule["nonResourceURLs"], detail)
        return
    if not rule.get("apiGroups"):
        yield required(f"{field}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{field}.resources", "resource rules must supply at least one resource")


def _subject(field: str, subject: dict[str, Any], *, namespaced: bool) -> FieldErrors:
    if not subject.get("name"):
        yield required(f"{field}.name")
    kind, group = subject.get("kind") or "", subject.get("apiGroup") or ""
    if kind not in ("ServiceAccount", "User", "Group"):
        yield not_supported(f"{field}.kind", kind, ("ServiceAccount", "User", "Group"))
        return
    expected = "" if kind == "ServiceAccount" else _RBAC
    if group != expected:
        yield not_supported(f"{field}.apiGroup", group, (expected,))
    if kind == "ServiceAccount" and subject.get("name"):
        yield from matches(f"{field}.name", subject["name"], names.dns_subdomain(subject["name"]))
    if kind == "ServiceAccount" and not namespaced and not subject.get("namespace"):
        yield required(f"{field}.namespace")


def _immutable_data(obj: Object, old: Object | None, keys: tuple[str, ...]) -> FieldErrors:
    if old is None or not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield forbidden("immutable", _IMMUTABLE_DATA)
    for key in keys:
        if (obj.get(key) or {}) != (old.get(key) or {}):
            yield forbidden(key, _IMMUTABLE_DATA)


def _decoded_size(value: str) -> int:
    try:
        return len(base64.b64decode(value))
    except (binascii.Error, ValueError):
        return len(value)
