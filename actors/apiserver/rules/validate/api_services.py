"""APIServices: who answers for a group version (kube-aggregator's own rules)."""

from __future__ import annotations

import base64
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, invalid_value, matches, required
from protocols.objects import Object, name_of

_GROUP_MAX, _VERSION_MAX = 20_000, 1_000


def api_service(obj: Object, old: Object | None) -> FieldErrors:
    spec: dict[str, Any] = obj.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    if name_of(obj) != f"{version}.{group}":
        detail = f'must be `spec.version+"."+spec.group`: "{version}.{group}"'
        yield invalid_value("metadata.name", name_of(obj), detail)
    if not group and version != "v1":
        yield required("spec.group", "only v1 may have an empty group and it better be legacy kube")
    if group:
        yield from matches("spec.group", group, names.dns_subdomain(group))
    yield from matches("spec.version", version, names.dns_1035_label(version))
    for key, most in (("groupPriorityMinimum", _GROUP_MAX), ("versionPriority", _VERSION_MAX)):
        if not 0 < (spec.get(key) or 0) <= most:
            yield invalid_value(f"spec.{key}", spec.get(key) or 0, f"must be positive and less than {most}")
    yield from _service(spec)


def _size(encoded: str) -> int:
    return len(base64.b64decode(encoded))


def _service(spec: dict[str, Any]) -> FieldErrors:
    service, bundle = spec.get("service"), spec.get("caBundle") or ""
    insecure = bool(spec.get("insecureSkipTLSVerify"))
    at = "spec.insecureSkipTLSVerify"
    if service is None:
        if bundle:
            yield invalid_value("spec.caBundle", f"{_size(bundle)} bytes", "local APIServices may not have a caBundle")
        if insecure:
            yield invalid_value(at, True, "local APIServices may not have insecureSkipTLSVerify")
        return
    for key in ("namespace", "name"):
        if not service.get(key):
            yield required(f"spec.service.{key}")
    if not 1 <= (service.get("port") or 443) <= 65535:
        detail = "port is not valid: must be between 1 and 65535, inclusive"
        yield invalid_value("spec.service.port", service["port"], detail)
    if insecure and bundle:
        yield invalid_value(at, True, "may not be true if caBundle is present")
