"""What a pod says about claims of devices: which ones it has, and which of its containers use them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldError, FieldErrors, duplicate, invalid_value, matches, required

_KINDS = ("containers", "initContainers", "ephemeralContainers")
_SOURCES = ("resourceClaimName", "resourceClaimTemplateName")


def resource_claims(field: str, spec: dict[str, Any]) -> FieldErrors:
    claims = spec.get("resourceClaims") or ()
    seen: dict[str, None] = {}
    for index, claim in enumerate(claims):
        yield from _claim(f"{field}.resourceClaims[{index}]", claim, seen)
    for where, used in _used(field, spec):
        yield from _uses(where, used, sorted(seen))


def generated_claims(field: str, spec: dict[str, Any], pod_name: str) -> FieldErrors:
    """A claim that is made of a template is named after its pod."""
    for index, claim in enumerate(spec.get("resourceClaims") or ()):
        name = claim.get("name") or ""
        if claim.get("resourceClaimTemplateName") is None or not name or any(names.dns_label(name)):
            continue
        whole = f"{pod_name}-{name}"
        for problem in names.dns_subdomain(whole):
            yield invalid_value(f"{field}.resourceClaims[{index}].name", whole, f"final ResourceClaim name: {problem}")


def _claim(field: str, claim: dict[str, Any], seen: dict[str, None]) -> FieldErrors:
    name = claim.get("name") or ""
    if not name:
        yield required(f"{field}.name")
    elif name in seen:
        yield duplicate(f"{field}.name", name)
    else:
        yield from matches(f"{field}.name", name, names.dns_label(name))
        seen[name] = None
    sources = [key for key in _SOURCES if claim.get(key) is not None]
    if len(sources) > 1:
        detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
        yield invalid_value(field, _in_go(claim), detail)
    if not sources:
        yield invalid_value(
            field, _in_go(claim), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
        )
    for key in sources:
        yield from matches(f"{field}.{key}", claim[key], names.dns_subdomain(claim[key]))


def _used(field: str, spec: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for kind in _KINDS:
        for index, container in enumerate(spec.get(kind) or ()):
            used = (container.get("resources") or {}).get("claims")
            if used:
                yield f"{field}.{kind}[{index}].resources.claims", used


def _uses(field: str, used: list[dict[str, Any]], known: list[str]) -> FieldErrors:
    seen: set[str] = set()
    for index, claim in enumerate(used):
        where, name, request = f"{field}[{index}]", claim.get("name") or "", claim.get("request") or ""
        if not name:
            yield required(where)
            continue
        if request:
            yield from matches(f"{where}.request", request, names.dns_label(request))
        whole = f"{name}/{request}" if request else name
        if whole in seen:
            yield duplicate(where, whole)
        seen.add(whole)
        if name not in known:
            detail = f"must be one of the names in pod.spec.resourceClaims{listed(known)}"
            yield FieldError("FieldValueNotFound", where, name, detail)


def listed(known: Collection[Any]) -> str:
    return f": {', '.join(sorted(known))}" if known else " which is empty"


def _in_go(claim: dict[str, Any]) -> dict[str, Any]:
    """As Go shows it: with all of its fields."""
    return {"Name": claim.get("name") or "", **{key[0].upper() + key[1:]: claim.get(key) for key in _SOURCES}}
