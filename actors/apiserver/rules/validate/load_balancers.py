"""Where a load balancer is reached: in the status of Services and Ingresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules import addresses, names
from actors.apiserver.rules.field import FieldErrors, forbidden, invalid_value, matches, not_supported
from protocols.objects import Object

_FIELD = "status.loadBalancer.ingress"
_MODES = ("Proxy", "VIP")


def service_status(obj: Object, old: Object | None) -> FieldErrors:
    points = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    if points and (obj.get("spec") or {}).get("type") != "LoadBalancer":
        yield forbidden(_FIELD, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    for index, point in enumerate(points):
        yield from _point(f"{_FIELD}[{index}]", point, with_mode=True)


def ingress_status(obj: Object, old: Object | None) -> FieldErrors:
    points: Sequence[dict[str, Any]] = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    for index, point in enumerate(points):
        yield from _point(f"{_FIELD}[{index}]", point, with_mode=False)


def _point(where: str, point: dict[str, Any], *, with_mode: bool) -> FieldErrors:
    ip, host, mode = point.get("ip") or "", point.get("hostname") or "", point.get("ipMode")
    if ip:
        yield from matches(f"{where}.ip", ip, addresses.address(ip))
    if with_mode and mode is not None and not ip:
        yield forbidden(f"{where}.ipMode", "may not be specified when `ip` is not set")
    elif with_mode and mode is not None and mode not in _MODES:
        yield not_supported(f"{where}.ipMode", mode, _MODES)
    if host:
        yield from matches(f"{where}.hostname", host, names.dns_subdomain(host))
        if addresses.is_one(host):
            yield invalid_value(f"{where}.hostname", host, "must be a DNS name, not an IP address")
