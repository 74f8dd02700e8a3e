"""Where Services' cluster IPs come from, and who holds which: ServiceCIDR and IPAddress (KEP-1880)."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules import addresses, names
from actors.apiserver.rules.field import IMMUTABLE, FieldErrors, invalid_value, matches, required, unchanged
from actors.apiserver.rules.go_values import in_go
from protocols.objects import Object

_CIDRS = "spec.cidrs"
_PARENT = "spec.parentRef"


def service_cidr(obj: Object, old: Object | None) -> FieldErrors:
    """Networks never change: what is given out of them would be in none. One of the other family may be added."""
    spec: dict[str, Any] = obj.get("spec") or {}
    cidrs = spec.get("cidrs") or []
    if old is not None:
        before = (old.get("spec") or {}).get("cidrs") or []
        if len(cidrs) < len(before):
            yield invalid_value(_CIDRS, cidrs, IMMUTABLE)
        else:
            for index, (cidr, was) in enumerate(zip(cidrs, before, strict=False)):
                yield from unchanged(f"{_CIDRS}[{index}]", cidr, was)
            yield from _networks(spec, cidrs)
    else:
        yield from _networks(spec, cidrs)


def _networks(spec: dict[str, Any], cidrs: list[str]) -> FieldErrors:
    if not cidrs:
        yield required(_CIDRS, "at least one CIDR required")
    elif len(cidrs) > 2:
        yield invalid_value(_CIDRS, spec, "may only hold up to 2 values")
    elif len(cidrs) == 2 and not addresses.is_dual_stack(*cidrs):
        detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        yield invalid_value(_CIDRS, spec, detail)
    else:
        for index, cidr in enumerate(cidrs):
            yield from matches(f"{_CIDRS}[{index}]", cidr, addresses.cidr(cidr))


def ip_address(obj: Object, old: Object | None) -> FieldErrors:
    """The name is the address; metadata.py looks at its form."""
    parent: dict[str, Any] | None = (obj.get("spec") or {}).get("parentRef")
    if old is not None:
        if parent is None:
            yield required(_PARENT)
        if parent != (old.get("spec") or {}).get("parentRef"):
            yield invalid_value(_PARENT, in_go("networking.v1.ParentReference", parent), IMMUTABLE)
    elif parent is None:
        yield required(_PARENT)
    else:
        yield from _parent(parent)


def _parent(parent: dict[str, Any]) -> FieldErrors:
    if parent.get("group"):
        yield from matches(f"{_PARENT}.group", parent["group"], names.dns_subdomain(parent["group"]))
    for key in ("resource", "name"):
        if not parent.get(key):
            yield required(f"{_PARENT}.{key}")
    for key in ("resource", "name", "namespace"):
        if parent.get(key):
            yield from matches(f"{_PARENT}.{key}", parent[key], names.path_segment(parent[key]))
