"""Resources of a pod as a whole (KEP-2837): what its containers share, and must fit into."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules.field import FieldError, FieldErrors, forbidden, invalid_value, not_supported, required
from actors.apiserver.rules.validate.pod_claims import listed
from actors.apiserver.rules.validate.resources import resource_requirements
from protocols.rules.quantity import InvalidQuantity, canonical_quantity
from protocols.rules.resources import amount, pod_requests

_OF_THE_POD = ("resources", "overhead")
_SUPPORTED = ("cpu", "hugepages-", "memory")


def pod_resources(field: str, spec: dict[str, Any]) -> FieldErrors:
    resources = spec.get("resources")
    if not resources:
        return
    if resources.get("claims") is not None:
        yield forbidden(f"{field}.claims", "claims may not be set for Resources at pod-level")
        yield from _claims(f"{field}.claims", resources["claims"], spec)
    unsupported = list(_unsupported(field, resources))
    yield from unsupported
    if unsupported:
        return
    problems = list(resource_requirements(field, resources))
    yield from problems
    if not problems:
        yield from _room(field, spec, resources)


def _claims(field: str, claims: list[dict[str, Any]], spec: dict[str, Any]) -> FieldErrors:
    known = {claim.get("name") for claim in spec.get("resourceClaims") or ()}
    for index, claim in enumerate(claims):
        name = claim.get("name") or ""
        if not name:
            yield required(f"{field}[{index}]")
        elif name not in known:
            detail = f"must be one of the names in pod.spec.resourceClaims{listed(known)}"
            yield FieldError("FieldValueNotFound", f"{field}[{index}]", name, detail)


def _unsupported(field: str, resources: dict[str, Any]) -> FieldErrors:
    for kind in ("limits", "requests"):
        for name in resources.get(kind) or ():
            if name not in ("cpu", "memory") and not name.startswith("hugepages-"):
                yield not_supported(f"{field}.{kind}[{name}]", name, _SUPPORTED)


def _room(field: str, spec: dict[str, Any], resources: dict[str, Any]) -> FieldErrors:
    """Containers together ask for no more than the pod, and none may take more than it."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    try:
        together = pod_requests({"spec": {key: value for key, value in spec.items() if key not in _OF_THE_POD}})
        for name, value in requests.items():
            asked = together.get(name, 0)
            if asked > amount(name, value):
                shown = canonical_quantity(f"{asked}m" if name == "cpu" else asked)
                detail = f"must be greater than or equal to aggregate container requests of {shown}"
                yield invalid_value(f"{field}.requests[{name}]", value, detail)
        for index, container in enumerate(spec.get("containers") or ()):
            for name, value in ((container.get("resources") or {}).get("limits") or {}).items():
                if name in limits and amount(name, value) > amount(name, limits[name]):
                    detail = f"must be less than or equal to pod limits of {limits[name]}"
                    yield invalid_value(f"{field}.containers[{index}][{name}].limits", value, detail)
    except InvalidQuantity:
        return  # said of the container already
