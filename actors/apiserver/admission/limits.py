"""One bound of a limit range against what a container, a pod or a claim asks for, in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from protocols.rules.quantity import canonical_quantity, format_quantity, parse_quantity

Amount = str | int | float | None  # as it is written; None where nothing is said


class Usage(NamedTuple):
    requests: Mapping[str, Any]
    limits: Mapping[str, Any]


def of_container(container: Mapping[str, Any]) -> Usage:
    resources = container.get("resources") or {}
    return Usage(resources.get("requests") or {}, resources.get("limits") or {})


def of_pod(spec: Mapping[str, Any]) -> Usage:
    """The sum of what runs together, or what an init container needs, if that is more."""
    whole = of_container(spec)
    return Usage({**_sum(spec, "requests"), **whole.requests}, {**_sum(spec, "limits"), **whole.limits})


def check(
    kind: str, name: str, type: str, bound: Amount, request: Amount, limit: Amount, *, limited: bool = True
) -> Iterator[str]:
    """What is wrong by one bound, "min", "max" or "ratio". `limited`: whether there is such a thing as a limit."""
    assert bound is not None
    if kind == "ratio":
        yield from _ratio(name, type, bound, request, limit)
        return
    least = kind == "min"
    prefix = f"{'minimum' if least else 'maximum'} {name} usage per {type} is {canonical_quantity(bound)}"
    needed, word = (limit, "limit") if limited and not least else (request, "request")
    if needed is None:
        yield f"{prefix}.  No {word} is specified"
        return
    values = {"request": request, "limit": limit}
    for said in ("request", "limit") if least else ("limit", "request"):
        value = values[said]
        if value is not None and _is_outside(value, bound, least):
            yield f"{prefix}, but {said} is {canonical_quantity(value)}"
            return


def _ratio(name: str, type: str, bound: Amount, request: Amount, limit: Amount) -> Iterator[str]:
    assert bound is not None
    prefix = f"{name} max limit to request ratio per {type} is {canonical_quantity(bound)}, but "
    if request is None or not parse_quantity(request):
        yield f"{prefix}no request is specified or request is 0"
    elif limit is None or not parse_quantity(limit):
        yield f"{prefix}no limit is specified or limit is 0"
    elif parse_quantity(limit) * 10**9 > parse_quantity(bound) * parse_quantity(request):
        yield f"{prefix}provided ratio is {parse_quantity(limit) / parse_quantity(request):f}"


def _is_outside(value: str | float, bound: str | float, least: bool) -> bool:
    found, allowed = parse_quantity(value), parse_quantity(bound)
    return found < allowed if least else found > allowed


def _sum(spec: Mapping[str, Any], field: str) -> dict[str, str]:
    """A container that says nothing adds nothing."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        for name, value in ((container.get("resources") or {}).get(field) or {}).items():
            total[name] = total.get(name, 0) + parse_quantity(value)
    running: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        own = {
            name: parse_quantity(value) for name, value in ((container.get("resources") or {}).get(field) or {}).items()
        }
        if container.get("restartPolicy") == "Always":
            for name, value in own.items():
                total[name] = total.get(name, 0) + value
                running[name] = running.get(name, 0) + value
        else:
            for name, value in own.items():
                total[name] = max(total.get(name, 0), running.get(name, 0) + value)
    return {name: format_quantity(value, "DecimalSI" if name == "cpu" else "BinarySI") for name, value in total.items()}
