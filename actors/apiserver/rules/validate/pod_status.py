"""What a pod's status may not say: that a container runs again which must not, or an address that is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules import addresses, names
from actors.apiserver.rules.field import FieldErrors, duplicate, forbidden, invalid_value, matches, unchanged
from protocols.objects import Object

_NATURAL = "must be a non-negative integer"
_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")


def pod_status(obj: Object, old: Object | None) -> FieldErrors:
    status, before = obj.get("status") or {}, (old or {}).get("status") or {}
    if (status.get("observedGeneration") or 0) < 0:
        yield invalid_value("status.observedGeneration", status["observedGeneration"], _NATURAL)
    for index, condition in enumerate(status.get("conditions") or ()):
        kind, generation = condition.get("type") or "", condition.get("observedGeneration") or 0
        if generation < 0:
            yield invalid_value(f"status.conditions[{index}].observedGeneration", generation, _NATURAL)
        if kind not in _SYSTEM_CONDITIONS:
            yield from matches(f"status.conditions[{index}].Type", kind, names.label_key(kind))
    if before.get("qosClass"):
        yield from unchanged("status.qosClass", status.get("qosClass"), before["qosClass"])
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != before.get("nominatedNodeName"):
        yield from matches("status.nominatedNodeName", nominated, names.dns_subdomain(nominated))
    policy = (obj.get("spec") or {}).get("restartPolicy") or "Always"
    yield from _stay_terminated(
        "status.containerStatuses", status.get("containerStatuses") or (), before.get("containerStatuses") or (), policy
    )
    for one, several in (("podIP", "podIPs"), ("hostIP", "hostIPs")):
        if status.get(several) != before.get(several) or status.get(one) != before.get(one):
            yield from _ips(one, several, status)
    if status.get("resourceClaimStatuses"):
        yield from _claims(status["resourceClaimStatuses"], (obj.get("spec") or {}).get("resourceClaims") or ())


def _ips(one: str, several: str, status: dict[str, Any]) -> FieldErrors:
    """At most one of each family, and the first of them is the one that older clients read."""
    listed = [each.get("ip") or "" for each in status.get(several) or ()]
    if listed and listed[0] != (status.get(one) or ""):
        yield invalid_value(f"status.{several}[0].ip", listed[0], f"must be equal to `{one}`")
    sound = True
    for index, ip in enumerate(listed):
        problems = list(addresses.address(ip))
        sound = sound and not problems
        yield from matches(f"status.{several}[{index}]", ip, problems)
    if sound and (len(listed) > 2 or (len(listed) == 2 and not addresses.are_of_different_families(*listed))):
        shown = [{"IP": ip} for ip in listed]
        yield invalid_value(f"status.{several}", shown, "may specify no more than one IP for each IP family")


def _claims(statuses: Sequence[dict[str, Any]], claims: Sequence[dict[str, Any]]) -> FieldErrors:
    """The claims that were made of the pod's templates."""
    known, seen = {claim.get("name") for claim in claims}, set()
    for index, status in enumerate(statuses):
        where, name = f"status.resourceClaimStatuses[{index}]", status.get("name") or ""
        if name not in known:
            yield invalid_value(f"{where}.name", name, "must match the name of an entry in `spec.resourceClaims`")
        elif name in seen:
            yield duplicate(f"{where}.name", name)
        seen.add(name)
        made = status.get("resourceClaimName")
        if made is not None:
            yield from matches(f"{where}.resourceClaimName", made, names.dns_subdomain(made))


def _stay_terminated(
    field: str, statuses: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]], restart_policy: str
) -> FieldErrors:
    if restart_policy == "Always":
        return
    now = {status.get("name"): status for status in statuses}
    for index, status in enumerate(before):
        terminated = (status.get("state") or {}).get("terminated")
        if terminated is None or (terminated.get("exitCode") and restart_policy == "OnFailure"):
            continue
        later = now.get(status.get("name"))
        if later is not None and not (later.get("state") or {}).get("terminated"):
            yield forbidden(f"{field}[{index}].state", "may not be transitioned to non-terminated state")
